package pack

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// iovMax is how many pieces Linux takes at once (UIO_MAXIOV).
const iovMax = 1024

// Vector writes many pieces with one system call. Its memory is used again. The zero value is
// ready.
type Vector struct {
	iov []unix.Iovec
}

// Write appends the pieces to a file in their order and returns how many bytes got there.
func (v *Vector) Write(f *os.File, parts [][]byte) (int64, error) {
	v.iov = v.iov[:0]
	for _, b := range parts {
		if len(b) > 0 {
			piece := unix.Iovec{Base: unsafe.SliceData(b)}
			piece.SetLen(len(b))
			v.iov = append(v.iov, piece)
		}
	}
	defer clear(v.iov)
	fd := f.Fd()
	var written int64
	for rest := v.iov; len(rest) > 0; {
		n, err := writev(fd, rest[:min(len(rest), iovMax)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		written += int64(n)
		if err != nil {
			return written, &os.PathError{Op: "write", Path: f.Name(), Err: err}
		}
		rest = advance(rest, n)
	}
	return written, nil
}

// advance leaves out the first n bytes.
func advance(rest []unix.Iovec, n int) []unix.Iovec {
	for n > 0 {
		have := int(rest[0].Len)
		if n < have {
			rest[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(rest[0].Base), n))
			rest[0].SetLen(have - n)
			return rest
		}
		n -= have
		rest = rest[1:]
	}
	return rest
}

func writev(fd uintptr, iov []unix.Iovec) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
