package pack

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// copyRange has the kernel copy up to n bytes from one file to another and returns how many it
// did. What it refuses (another file system of another kind, an old kernel) goes through memory.
func copyRange(to *os.File, at int64, from *os.File, offset, n int64) (int64, error) {
	for {
		done, err := unix.CopyFileRange(int(from.Fd()), &offset, int(to.Fd()), &at, int(n), 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP),
			errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM):
			return copyThrough(to, at, from, offset, n)
		case err != nil:
			return 0, os.NewSyscallError("copy_file_range", err)
		}
		return int64(done), nil
	}
}
