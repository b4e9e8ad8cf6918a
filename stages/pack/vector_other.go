//go:build !linux

package pack

import "os"

// Vector writes many pieces to a file. The zero value is ready.
type Vector struct{}

// Write appends the pieces to a file in their order and returns how many bytes got there.
func (*Vector) Write(f *os.File, parts [][]byte) (int64, error) {
	var written int64
	for _, b := range parts {
		n, err := f.Write(b)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
