//go:build unix && !linux

package rtsp

import "golang.org/x/sys/unix"

// writev writes the first piece and returns how many bytes were taken.
func writev(fd uintptr, pieces [][]byte) (int, error) {
	for {
		n, err := unix.Write(int(fd), pieces[0])
		if err != unix.EINTR {
			return max(0, n), err
		}
	}
}
