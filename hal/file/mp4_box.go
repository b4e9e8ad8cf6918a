package file

import (
	"errors"
	"fmt"
	"io"
)

// fourCC is a box's type.
type fourCC [4]byte

func cc(s string) (k fourCC) {
	copy(k[:], s)
	return k
}

// String shows what can be shown.
func (k fourCC) String() string {
	for _, b := range k {
		if b < ' ' || b > '~' {
			return fmt.Sprintf("%x", k[:])
		}
	}
	return string(k[:])
}

// box is a piece of the file (ISO/IEC 14496-12, 4.2).
type box struct {
	kind             fourCC
	start, body, end int64
	cut              bool // end was beyond what holds it, and is the holder's now
}

func (b box) len() int64 { return b.end - b.body }

// maxBoxes is how many boxes may stand beside each other.
const maxBoxes = 1 << 20

// boxes walks along the boxes of a part of the file.
type boxes struct {
	win     *window
	at, end int64
	where   string
	file    bool // at the file's top: the last one may be cut off
	n       int
}

// inside walks along a box's children, from skip bytes into it.
func inside(w *window, b box, skip int64, where string) boxes {
	return boxes{win: w, at: b.body + skip, end: b.end, where: where}
}

// next returns the next box, or false after the last one.
func (l *boxes) next() (box, bool, error) {
	if l.end-l.at < 8 {
		if l.file && l.at < l.end {
			return box{}, false, damaged(l.at, l.where, adviceCut, "%d bytes are left, a box has 8 at least", l.end-l.at)
		}
		return box{}, false, nil
	}
	if l.n++; l.n > maxBoxes {
		return box{}, false, damaged(l.at, l.where, adviceRemux, "more than %d boxes in a row", maxBoxes)
	}
	b, err := l.read()
	if err != nil {
		return box{}, false, err
	}
	l.at = b.end
	return b, true, nil
}

func (l *boxes) read() (box, error) {
	h, err := l.win.bytes(l.at, int(min(16, l.end-l.at)))
	if err != nil {
		return box{}, readError(l.at, l.where, err)
	}
	b := box{start: l.at, body: l.at + 8, kind: fourCC(h[4:8])}
	size := int64(be32(h))
	switch size {
	case 0: // to the end of what holds it
		size = l.end - l.at
	case 1:
		if len(h) < 16 {
			return b, damaged(l.at, l.where, adviceRemux, "box %s: no room for its 64-bit size", b.kind)
		}
		b.body += 8
		size = int64(be64(h[8:]))
	}
	if size < b.body-b.start {
		return b, damaged(l.at, l.where, adviceRemux, "box %s: a size of %d bytes", b.kind, size)
	}
	b.end = l.at + size
	if b.end < l.at || b.end > l.end {
		if !l.file {
			return b, damaged(l.at, l.where, adviceRemux, "box %s: its size of %d bytes passes the end of what holds it, %d bytes on",
				b.kind, size, l.end-l.at)
		}
		b.end, b.cut = l.end, true
	}
	return b, nil
}

// readError makes the file's end an error that says what is missing.
func readError(off int64, where string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(off, where, adviceCut, "the file ends here")
	}
	return fmt.Errorf("%s: %w", where, err)
}

// field returns n bytes of a box's body, off bytes into it.
func field(w *window, b box, where string, off, n int64) ([]byte, error) {
	if off+n > b.len() {
		return nil, damaged(b.start, where, adviceRemux, "%d bytes, at least %d are needed", b.len(), off+n)
	}
	p, err := w.bytes(b.body+off, int(n))
	if err != nil {
		return nil, readError(b.body+off, where, err)
	}
	return p, nil
}

// whole returns a copy of a box's body of at most limit bytes.
func whole(w *window, b box, where string, limit int64) ([]byte, error) {
	if b.len() > limit {
		return nil, damaged(b.start, where, adviceRemux, "%d bytes, %d are expected at most", b.len(), limit)
	}
	p := make([]byte, b.len())
	if _, err := w.r.ReadAt(p, b.body); err != nil && !errors.Is(err, io.EOF) {
		return nil, readError(b.body, where, err)
	}
	return p, nil
}
