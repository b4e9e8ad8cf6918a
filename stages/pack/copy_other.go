//go:build !linux

package pack

import "os"

func copyRange(to *os.File, at int64, from *os.File, offset, n int64) (int64, error) {
	return copyThrough(to, at, from, offset, n)
}
