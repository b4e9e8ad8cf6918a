package rtsp

import "golang.org/x/sys/unix"

// writev writes the pieces with one system call and returns how many bytes were taken.
func writev(fd uintptr, pieces [][]byte) (int, error) {
	for {
		n, err := unix.Writev(int(fd), pieces)
		if err != unix.EINTR {
			return max(0, n), err
		}
	}
}
