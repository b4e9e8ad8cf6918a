package rtsp

import (
	"net"
	"syscall"
	"unsafe"
)

const canReceive = true

// receive reads a socket that never waits. The scheduler is not told of the call: it would take
// the processor away from a thread that is back in some microseconds, and wake another for it.
func receive(fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// unread is how many bytes a socket holds that were not read, whatever its low-water mark is.
func unread(fd uintptr) int {
	var n int32
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return 0 // a read will say what is wrong
	}
	return int(n)
}

// setLowWater sets how many bytes have to be there before the socket counts as readable.
func setLowWater(c *net.TCPConn, bytes int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
	}); err != nil {
		return err
	}
	return set
}
