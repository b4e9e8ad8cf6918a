package file

import "encoding/binary"

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// bitReader reads the head of a NAL unit, emulation prevention bytes taken out. It allocates
// nothing; reading past the end yields 0 and sets short.
type bitReader struct {
	buf   [64]byte
	n     int // bytes
	pos   int // bits
	short bool
}

// load takes as much of p as fits.
func (r *bitReader) load(p []byte) {
	r.n, r.pos, r.short = 0, 0, false
	zeros := 0
	for _, b := range p {
		if r.n == len(r.buf) {
			return
		}
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		r.buf[r.n] = b
		r.n++
	}
}

// u reads n bits, 32 at most.
func (r *bitReader) u(n int) uint32 {
	var v uint32
	for range n {
		if r.pos >= 8*r.n {
			r.short = true
			return 0
		}
		v = v<<1 | uint32(r.buf[r.pos/8]>>(7-r.pos%8)&1)
		r.pos++
	}
	return v
}

// ue reads an Exp-Golomb code.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for r.u(1) == 0 {
		zeros++
		if r.short || zeros > 31 {
			r.short = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.u(zeros)
}
