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
		// The disk begins now, so that the sync at the end finds little left and does not hold up
		// what others write. It is a hint: what fails here fails there too.
		_ = unix.SyncFileRange(int(to.Fd()), at-int64(done), int64(done), unix.SYNC_FILE_RANGE_WRITE) //nolint:errcheck // a hint
		return int64(done), nil
	}
}
