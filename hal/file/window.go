package file

import (
	"errors"
	"fmt"
	"io"
)

// window reads small pieces of a file through one buffer, so that neighbours cost one system
// call together.
type window struct {
	r    io.ReaderAt
	size int64 // of the file
	buf  []byte
	at   int64 // of buf[0] in the file
	n    int   // valid bytes
}

func newWindow(r io.ReaderAt, size int64, capacity int) *window {
	return &window{r: r, size: size, buf: make([]byte, capacity)}
}

// bytes returns n bytes at off, valid until the next call. Where the file ends before, it
// returns what is there and io.ErrUnexpectedEOF. n is at most the window's capacity.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	if off < 0 || n < 0 || n > len(w.buf) {
		return nil, fmt.Errorf("reading %d bytes at byte %d: out of range", n, off)
	}
	if off >= w.at && off+int64(n) <= w.at+int64(w.n) {
		i := int(off - w.at)
		return w.buf[i : i+n], nil
	}
	if err := w.load(off); err != nil {
		return nil, err
	}
	if w.n < n {
		return w.buf[:w.n], io.ErrUnexpectedEOF
	}
	return w.buf[:n], nil
}

// rest returns at least one byte at off and as many as the window has, or io.EOF.
func (w *window) rest(off int64) ([]byte, error) {
	if off < w.at || off >= w.at+int64(w.n) {
		if err := w.load(off); err != nil {
			return nil, err
		}
		if w.n == 0 {
			return nil, io.EOF
		}
	}
	return w.buf[off-w.at : w.n], nil
}

func (w *window) load(off int64) error {
	w.at, w.n = off, 0
	want := int(min(int64(len(w.buf)), max(0, w.size-off)))
	if want == 0 {
		return nil
	}
	n, err := w.r.ReadAt(w.buf[:want], off)
	w.n = n
	if err != nil && !errors.Is(err, io.EOF) {
		w.n = 0
		return fmt.Errorf("read at byte %d: %w", off, err)
	}
	return nil
}
