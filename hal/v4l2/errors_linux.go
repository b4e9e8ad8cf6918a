package v4l2

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// callError says which call failed. errors.Is finds the unix.Errno and, where the errno alone
// decides, the sentinel of hal.
func callError(req request, err error) error {
	switch {
	case isErrno(err, unix.ENODEV), isErrno(err, unix.ENXIO):
		return fmt.Errorf("%w: the camera is gone (%s: %w)", hal.ErrNoDevice, req, err)
	case isErrno(err, unix.EBUSY):
		return fmt.Errorf("%w: in use by another program (%s: %w)", hal.ErrNoSignal, req, err)
	case isErrno(err, unix.ENOSPC):
		return fmt.Errorf("%w: no bandwidth left on its USB bus: lower the rate or the size, use MJPEG, or another port (%s: %w)",
			hal.ErrNoSignal, req, err)
	}
	return fmt.Errorf("%s: %w", req, err)
}

// openError says why a node cannot be opened.
func openError(err error) error {
	switch {
	case isErrno(err, unix.ENOENT), isErrno(err, unix.ENODEV), isErrno(err, unix.ENXIO):
		return fmt.Errorf("%w: it is not plugged in (%w)", hal.ErrNoDevice, err)
	case isErrno(err, unix.EACCES), isErrno(err, unix.EPERM):
		return fmt.Errorf("%w: no permission: add the user to group video (%w)", hal.ErrNoDevice, err)
	case isErrno(err, unix.EBUSY):
		return fmt.Errorf("%w: in use by another program (%w)", hal.ErrNoSignal, err)
	}
	return fmt.Errorf("%w: %w", hal.ErrNoDevice, err)
}

func isErrno(err error, errno unix.Errno) bool { return errors.Is(err, errno) }

// twice makes a call again where it was refused for no reason that would last: drivers refuse
// one now and then. refused, which may be nil, is told of a refusal that was got over.
func twice(call func() error, refused func(error)) error {
	err := call()
	if err == nil || isErrno(err, unix.ENODEV) || isErrno(err, unix.EBUSY) || isErrno(err, unix.EAGAIN) {
		return err
	}
	if again := call(); again != nil {
		return again
	}
	if refused != nil {
		refused(err)
	}
	return nil
}
