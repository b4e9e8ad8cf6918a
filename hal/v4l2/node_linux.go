package v4l2

import (
	"errors"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// node is an open device. It is the seam between this package and the kernel: a trace is
// recorded and replayed here. ioctl may be called from several goroutines at once; poll and
// close from one.
type node interface {
	// ioctl makes the request with the structure at arg. It is repeated where a signal
	// interrupts it; an error is a unix.Errno.
	ioctl(req request, arg unsafe.Pointer) error
	// mmap maps length bytes of the device at an offset that QUERYBUF gave; munmap unmaps them.
	mmap(offset uintptr, length int) ([]byte, error)
	munmap(b []byte) error
	// poll waits for events of the device (POLLIN, POLLOUT, POLLPRI; 0 waits for errors) or for the
	// wake, and says what came. limit bounds the wait; negative: there is no limit. Both results
	// empty mean that it ended.
	poll(events int16, w *wake, limit time.Duration) (ready int16, woken bool, err error)
	close() error
}

// kernel is a node of this machine.
type kernel struct {
	fd int
}

// openKernel opens a device node.
func openKernel(path string) (*kernel, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &kernel{fd: fd}, nil
	}
}

func (k *kernel) ioctl(req request, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(k.fd), uintptr(req), uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

func (k *kernel) mmap(offset uintptr, length int) ([]byte, error) {
	return unix.Mmap(k.fd, int64(offset), length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func (k *kernel) munmap(b []byte) error { return unix.Munmap(b) }

func (k *kernel) poll(events int16, w *wake, limit time.Duration) (int16, bool, error) {
	fds := [2]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(k.fd), Events: events}}
	if err := pollUntil(fds[:], limit); err != nil {
		return 0, false, err
	}
	return fds[1].Revents, fds[0].Revents != 0, nil
}

func (k *kernel) close() error { return unix.Close(k.fd) }

// pollUntil is ppoll(2), begun anew where a signal interrupts it; the limit then begins anew
// too. A negative limit is none.
func pollUntil(fds []unix.PollFd, limit time.Duration) error {
	for {
		var ts *unix.Timespec
		if limit >= 0 {
			t := unix.NsecToTimespec(int64(limit))
			ts = &t
		}
		_, err := unix.Ppoll(fds, ts, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// wake ends a poll from any goroutine. It stays set until it is cleared.
type wake struct {
	fd int

	mu     sync.Mutex // held over a write that never blocks: the descriptor must not be closed under it
	closed bool
}

func newWake() (*wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &wake{fd: fd}, nil
}

// set wakes who polls, now or next. After close it does nothing.
func (w *wake) set() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	one := [8]byte{1}
	_, _ = unix.Write(w.fd, one[:]) //nolint:errcheck // it fails only where the counter is full: it is set then
}

// clear makes the next poll wait again. Only who polls calls it.
func (w *wake) clear() {
	var n [8]byte
	_, _ = unix.Read(w.fd, n[:]) //nolint:errcheck // it fails only where nothing is set
}

func (w *wake) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		_ = unix.Close(w.fd) //nolint:errcheck // nothing is lost with an eventfd
	}
}
