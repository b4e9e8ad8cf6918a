package file

import (
	"bytes"

	"github.com/millrace-video/millrace/hal"
)

// settle brings an access unit of length-prefixed NAL units into the form that hal.Frame
// promises, in place: without delimiters and without the parameter sets that the track names.
// It returns the length that is left. Where a key frame brings other sets it returns the
// track as it is from here on. bad is where a length passes the end, −1 where none does.
func settle(t *hal.Track, unit []byte, key bool) (n int, changed *hal.Track, bad int) {
	w, r := 0, 0
	for r < len(unit) {
		if len(unit)-r < prefixLen {
			return w, changed, r
		}
		size := int(be32(unit[r:]))
		if size > len(unit)-r-prefixLen {
			return w, changed, r
		}
		end := r + prefixLen + size
		var keep bool
		keep, changed = keepNAL(t, changed, unit[r+prefixLen:end], key)
		if keep {
			if w != r {
				copy(unit[w:], unit[r:end])
			}
			w += end - r
		}
		r = end
	}
	return w, changed, -1
}

func keepNAL(t, changed *hal.Track, nal []byte, key bool) (bool, *hal.Track) {
	if len(nal) == 0 {
		return false, changed
	}
	if changed != nil {
		t = changed
	}
	class := classify(t.Codec, nal[0])
	if class == nalDelimiter {
		return false, changed
	}
	old := set(t, class)
	if old == nil {
		return true, changed
	}
	if bytes.Equal(*old, nal) {
		return false, changed
	}
	if !key {
		return true, changed
	}
	next := changed
	if next == nil {
		c := *t
		next = &c
	}
	if !adopt(next, class, nal) {
		return true, changed
	}
	return false, next
}

// settleAV1 does the same for a temporal unit: the delimiter goes, a size is given to an OBU
// that has none (only the last may), a changed sequence header makes the track another. unit
// lies in a buffer with obuRoom bytes to spare behind it.
func settleAV1(t *hal.Track, buf []byte, size int, key bool) (n int, changed *hal.Track, bad int) {
	w, r := 0, 0
	for r < size {
		head, body, sized := obuSize(buf[r:size])
		if head == 0 {
			return w, changed, r
		}
		if !sized {
			return sizeOBU(buf, r, w, size, head), changed, -1
		}
		obu := buf[r : r+head+body]
		switch kind := obu[0] >> 3 & 15; {
		case kind == obuDelimiter:
			r += len(obu)
			continue
		case kind == obuSequence && key && !bytes.Equal(obu, t.SPS):
			next := *t
			if describeAV1(&next, obu) {
				changed = &next
				t = changed
			}
		}
		if w != r {
			copy(buf[w:], obu)
		}
		w, r = w+len(obu), r+len(obu)
	}
	return w, changed, -1
}

// AV1 specification 6.2.2.
const (
	obuSequence  = 1
	obuDelimiter = 2
	obuRoom      = 8 // the longest size field
)

// obuSize returns the lengths of an OBU's header with its size field and of what follows. A
// header of 0 means that it makes no sense.
func obuSize(p []byte) (head, body int, sized bool) {
	if len(p) == 0 || p[0]&0x80 != 0 {
		return 0, 0, false
	}
	head = 1
	if p[0]&4 != 0 {
		head = 2
	}
	if p[0]&2 == 0 {
		if head > len(p) {
			return 0, 0, false
		}
		return head, len(p) - head, false
	}
	for i := range 5 {
		if head >= len(p) {
			return 0, 0, false
		}
		b := p[head]
		head++
		body |= int(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			if body > len(p)-head {
				return 0, 0, false
			}
			return head, body, true
		}
	}
	return 0, 0, false
}

// sizeOBU moves the OBU without a size at r to w, with one, and returns the new end.
func sizeOBU(buf []byte, r, w, size, head int) int {
	if kind := buf[r] >> 3 & 15; kind == obuDelimiter {
		return w
	}
	body := size - r - head
	var field [obuRoom]byte
	n := 0
	for v := body; ; v >>= 7 {
		field[n] = byte(v & 0x7f)
		n++
		if v < 0x80 {
			break
		}
		field[n-1] |= 0x80
	}
	var header [2]byte
	copy(header[:], buf[r:r+head])
	header[0] |= 2
	copy(buf[w+head+n:], buf[r+head:size])
	copy(buf[w:], header[:head])
	copy(buf[w+head:], field[:n])
	return w + head + n + body
}
