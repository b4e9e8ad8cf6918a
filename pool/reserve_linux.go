//go:build !race

package pool

import "golang.org/x/sys/unix"

// mapBlock returns memory outside the heap; where the system has none, of the heap.
func mapBlock(size int) []byte {
	block, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size)
	}
	return block
}

// chill gives the memory behind a block back and keeps its addresses.
func chill(block []byte) {
	_ = unix.Madvise(block, unix.MADV_DONTNEED) //nolint:errcheck // it stays as it was
}

// unmapBlock gives a block back. One of the heap it leaves alone.
func unmapBlock(block []byte) {
	_ = unix.Munmap(block) //nolint:errcheck // as above
}
