package v4l2

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// encoderError gives a refusal of an encoder's driver the meaning that decides what happens next:
// the encoder is gone, has no room now, or cannot do what was asked.
func encoderError(what string, err error) error {
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return fmt.Errorf("%w: %s: %w", hal.ErrNoSignal, what, err)
	}
	switch errno { //nolint:exhaustive // what is not named here may pass
	case unix.ENODEV, unix.ENXIO:
		return fmt.Errorf("%w: the encoder is gone (%s: %w)", hal.ErrNoDevice, what, errno)
	case unix.EBUSY, unix.ENOMEM, unix.ENOSPC, unix.EMFILE, unix.EUSERS:
		return fmt.Errorf("%w: the encoder has no room for one more stream: encode fewer at once, or smaller ones (%s: %w)",
			hal.ErrNoSignal, what, errno)
	case unix.EINVAL, unix.ENOTTY, unix.EOPNOTSUPP, unix.ERANGE:
		return fmt.Errorf("%w: the encoder refuses %s: %w", hal.ErrUnsupported, what, errno)
	}
	return fmt.Errorf("%w: the encoder failed (%s: %w)", hal.ErrNoSignal, what, errno)
}

// errEncoderClosed says that an encoder, or its input, was closed.
func errEncoderClosed(what, name string) error {
	return fmt.Errorf("%s %s: %w", what, name, fs.ErrClosed)
}
