package nal

import "math"

// What an OBU is for, as far as anybody asks (AV1 6.2.2).
const (
	SequenceHeader    = 1
	TemporalDelimiter = 2
	TileList          = 8
	Padding           = 15
)

// OBU is a unit of AV1 where it lies.
type OBU struct {
	Kind   byte
	Header []byte // one byte or two, the size field not included
	Body   []byte
	Len    int  // of all of it
	Sized  bool // it has a size field; one without lasts to the end
}

// OBUHeader returns what an OBU is for and how long its header is without the size field. p is
// not empty, and may be shorter than the header.
func OBUHeader(p []byte) (kind byte, n int) {
	n = 1
	if p[0]&4 != 0 {
		n = 2
	}
	return p[0] >> 3 & 15, n
}

// FirstOBU takes the first OBU of some. ok is false where it makes no sense.
func FirstOBU(p []byte) (u OBU, ok bool) {
	if len(p) == 0 || p[0]&0x80 != 0 {
		return OBU{}, false
	}
	kind, head := OBUHeader(p)
	if head > len(p) {
		return OBU{}, false
	}
	u = OBU{Kind: kind, Header: p[:head], Body: p[head:], Len: len(p)}
	if p[0]&2 == 0 {
		return u, true
	}
	size, n := LEB128(u.Body)
	if n == 0 || size > len(u.Body)-n {
		return OBU{}, false
	}
	u.Body, u.Len, u.Sized = u.Body[n:n+size], head+n+size, true
	return u, true
}

// Unsized returns a copy of the OBU without its size field.
func (u OBU) Unsized() []byte {
	b := make([]byte, 0, len(u.Header)+len(u.Body))
	b = append(append(b, u.Header...), u.Body...)
	b[0] &^= 2
	return b
}

// LEB128 reads a number (AV1 4.10.5) and how many bytes it took: 0 where it is cut off, or larger
// than anything that fits in memory.
func LEB128(p []byte) (value, n int) {
	var v uint64
	for i := range min(len(p), 8) {
		v |= uint64(p[i]&0x7f) << (7 * i)
		if p[i]&0x80 == 0 {
			if v > math.MaxInt32 {
				return 0, 0
			}
			return int(v), i + 1
		}
	}
	return 0, 0
}

// LEB128Len is how many bytes a number takes.
func LEB128Len(v int) int {
	n := 1
	for v >>= 7; v > 0; v >>= 7 {
		n++
	}
	return n
}

// PutLEB128 writes a number and returns how many bytes it took.
func PutLEB128(dst []byte, v int) int {
	n := LEB128Len(v)
	for i := range n {
		dst[i] = byte(v>>(7*i)) | 0x80
	}
	dst[n-1] &= 0x7f
	return n
}
