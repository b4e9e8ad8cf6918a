package hal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Watch keeps the map true until ctx is done: at once when somebody sets the wall clock, of
// which the kernel tells, and every minute for what NTP corrects by and by. stepped, which may
// be nil, is called after each step.
func (c *Clock) Watch(ctx context.Context, stepped func()) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch the wall clock: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "wall clock")
	defer timer.Close()                                          //nolint:errcheck // nothing was written
	stop := context.AfterFunc(ctx, func() { _ = timer.Close() }) //nolint:errcheck // it ends a Read
	defer stop()
	var expired [8]byte
	for ctx.Err() == nil {
		if err := armWall(timer); err != nil {
			return fmt.Errorf("watch the wall clock: %w", err)
		}
		// Between the arming and here nothing is missed: a step that came first is seen now.
		if c.Sync() && stepped != nil {
			stepped()
		}
		_, err := timer.Read(expired[:])
		if err != nil && !errors.Is(err, unix.ECANCELED) && ctx.Err() == nil {
			return fmt.Errorf("watch the wall clock: %w", err)
		}
	}
	return nil
}

// settle is how often the map is compared with a clock that nobody sets.
const settle = time.Minute

// armWall has the timer expire in a while, or end with ECANCELED when the clock is set.
func armWall(timer *os.File) error {
	raw, err := timer.SyscallConn()
	if err != nil {
		return err
	}
	at := time.Now().Add(settle) //nolint:forbidigo // this is the clock
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at.UnixNano())}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil)
	})
	if errors.Is(failed, unix.ECANCELED) { // it is armed; the clock was set since the last Read, which Sync sees
		failed = nil
	}
	return errors.Join(err, failed)
}
