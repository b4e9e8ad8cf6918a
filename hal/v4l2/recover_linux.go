package v4l2

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// faults bounds how often a source gets over one by itself.
type faults struct {
	any   bool
	good  int // pictures since the last
	since int64
	count int // within faultWindow
}

const (
	faultWindow = time.Minute
	maxFaults   = 5
)

// admits says whether another fault may be got over: pictures came since the last one, and
// there were not too many.
func (f *faults) admits(now int64) bool {
	if now-f.since > int64(faultWindow) {
		f.since, f.count = now, 0
	}
	f.count++
	ok := (!f.any || f.good > 0) && f.count <= maxFaults
	f.any, f.good = true, 0
	return ok
}

// signalError gives an error that decides nothing yet the meaning "try again later".
func signalError(err error) error {
	if errors.Is(err, hal.ErrNoDevice) || errors.Is(err, hal.ErrNoSignal) || errors.Is(err, hal.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: %w", hal.ErrNoSignal, err)
}

// dequeueFault decides what an error of DQBUF means. nil: go on.
func (s *source) dequeueFault(ready int16, err error) error {
	switch {
	case isErrno(err, unix.EAGAIN) && ready&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) == 0:
		return nil
	case isErrno(err, unix.EAGAIN) && ready&(unix.POLLHUP|unix.POLLNVAL) != 0:
		return fmt.Errorf("%w: the camera hung up", hal.ErrNoDevice)
	case isErrno(err, unix.ENODEV), isErrno(err, unix.ENXIO):
		return callError(vidiocDequeueBuffer, err)
	case isErrno(err, unix.EPIPE): // the last buffer before a change was taken
		s.changed = true
		return nil
	}
	return s.recover(callError(vidiocDequeueBuffer, err))
}

// recover gets over a fault: the stream is switched off, every buffer queued again, and
// switched on. It fails where that does not help, or was tried too often.
func (s *source) recover(cause error) error {
	s.note(cause.Error())
	if errors.Is(cause, hal.ErrNoDevice) {
		return cause
	}
	if !s.faults.admits(s.clock.Mono()) {
		return fmt.Errorf("%w: the camera fails again and again: %w", hal.ErrNoSignal, cause)
	}
	s.log.Warn("camera: stream begun anew", "cause", cause.Error())
	err := s.loans.stop()
	if err == nil {
		err = s.loans.start()
	}
	if err != nil {
		return signalError(fmt.Errorf("%w; and the stream cannot be begun anew: %w", cause, err))
	}
	s.stats.recovered.Add(1)
	s.timing.restart()
	s.timing.gap = true
	return nil
}

// renegotiate follows a signal that has another format: a new stream begins.
func (s *source) renegotiate() error {
	s.changed = false
	left := s.loans.close(changeWait)
	s.loans = nil
	if err := s.begin(true); err != nil {
		return signalError(fmt.Errorf("the signal changed, with %d pictures on loan: %w", left, err))
	}
	s.timing.gap = true
	s.log.Info("camera: the signal changed", "track", s.stream.Load().Tracks[0].String())
	return nil
}

// gotOver counts a call that the driver refused once. It may come from whoever gives back a picture.
func (s *source) gotOver(refusal error) {
	s.note("refused once, made again: " + refusal.Error())
	s.stats.recovered.Add(1)
	s.log.Info("camera: a call was refused once", "cause", refusal.Error())
}
