package v4l2

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// Watch listens to the kernel, and to udev where it runs, for video devices that come and go.
// Nothing is polled and no goroutine runs: Next waits. The zero value is not usable.
type Watch struct {
	fd     int
	wake   *wake
	closed atomic.Bool

	mu   sync.Mutex // held by Next for as long as it waits
	gone bool
	buf  []byte
}

const (
	// groupKernel and groupUdev are who multicasts: udev after it has set a node's permissions.
	groupKernel = 1
	groupUdev   = 2
	maxEvent    = 16 << 10 // the kernel's own limit is 2 KiB, udev's 8
)

// NewWatch starts to listen; what comes is kept until Next reads it.
func NewWatch() (*Watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen for cameras: netlink: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groupKernel | groupUdev}); err != nil {
		_ = unix.Close(fd) //nolint:errcheck // the first error counts
		return nil, fmt.Errorf("listen for cameras: netlink: %w", err)
	}
	w, err := newWake()
	if err != nil {
		_ = unix.Close(fd) //nolint:errcheck // the first error counts
		return nil, fmt.Errorf("listen for cameras: eventfd: %w", err)
	}
	return &Watch{fd: fd, wake: w, buf: make([]byte, maxEvent)}, nil
}

// Next waits for the next event. One goroutine calls it; Close ends it.
func (w *Watch) Next(ctx context.Context) (Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stop := context.AfterFunc(ctx, w.wake.set)
	defer stop()
	for {
		switch {
		case w.closed.Load():
			return Event{}, fmt.Errorf("watch for cameras: %w", fs.ErrClosed)
		case ctx.Err() != nil:
			return Event{}, context.Cause(ctx)
		}
		n, _, err := unix.Recvfrom(w.fd, w.buf, 0)
		switch {
		case err == nil:
			if e, ok := parseEvent(w.buf[:n]); ok {
				return e, nil
			}
			continue
		case isErrno(err, unix.ENOBUFS):
			return Event{Action: "lost"}, nil
		case isErrno(err, unix.EINTR):
			continue
		case !isErrno(err, unix.EAGAIN):
			return Event{}, fmt.Errorf("watch for cameras: %w", err)
		}
		fds := [2]unix.PollFd{{Fd: int32(w.wake.fd), Events: unix.POLLIN}, {Fd: int32(w.fd), Events: unix.POLLIN}}
		if err := pollUntil(fds[:], -1); err != nil {
			return Event{}, fmt.Errorf("watch for cameras: %w", err)
		}
		if fds[0].Revents != 0 {
			w.wake.clear()
		}
	}
}

// Close ends a Next under way and every further one. A second call is harmless.
func (w *Watch) Close() error {
	w.closed.Store(true)
	w.wake.set()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return nil
	}
	w.gone = true
	w.wake.close()
	return unix.Close(w.fd)
}

// Watch calls arrived whenever a camera may be there that was not before, until ctx ends. It
// needs no polling, and serves all channels: whoever waits for a camera tries again then.
func (d Driver) Watch(ctx context.Context, arrived func(node string)) error {
	if d.Replay != nil || !builtIn() {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	w, err := NewWatch()
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }() //nolint:errcheck // nothing is lost with it
	for {
		e, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if e.Arrived() {
			arrived(e.Node)
		}
	}
}

// Await returns when it makes sense to try again to open a camera that was not there: when
// some camera arrives, or at once where this one is there by now. The other errors are those
// of ctx.
func (d Driver) Await(ctx context.Context, u *url.URL) error {
	if d.Replay != nil || !builtIn() {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	t, err := Parse(u)
	if err != nil {
		return fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	w, err := NewWatch()
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }() //nolint:errcheck // nothing is lost with it
	if d.present(&t) {
		return nil
	}
	for {
		e, err := w.Next(ctx)
		if err != nil || e.Arrived() {
			return err
		}
	}
}

// present says whether the camera that is meant is plugged in.
func (d Driver) present(t *Target) bool {
	m := thisMachine()
	var err error
	if known, ok := d.recall(t.Path); ok {
		_, err = m.again(t.Path, known)
	} else if t.Path != "" {
		_, err = capabilityOf(t.Path)
	} else {
		_, err = m.find(t)
	}
	return err == nil
}
