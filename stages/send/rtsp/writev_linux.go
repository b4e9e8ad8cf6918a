package rtsp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// writev writes the pieces with one system call and returns how many bytes were taken. The socket
// never waits, so the scheduler is not told of the call: it would take the processor away from a
// thread that is back in some microseconds, and wake another for it.
func writev(fd uintptr, pieces [][]byte) (int, error) {
	var iov [len(link{}.iov)]unix.Iovec
	n := 0
	for _, p := range pieces {
		if len(p) > 0 {
			iov[n].Base = unsafe.SliceData(p)
			iov[n].SetLen(len(p))
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	for {
		sent, _, errno := unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(n))
		switch errno {
		case 0:
			return int(sent), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
