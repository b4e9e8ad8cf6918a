package synth

import "math/bits"

// bitWriter writes an H.264 NAL unit: bits, Exp-Golomb codes, and the emulation prevention
// bytes between them (Rec. ITU-T H.264, 7.4.1 and 9.1).
type bitWriter struct {
	out   []byte
	acc   uint64
	n     uint // bits in acc, under 8 between calls
	zeros int  // zero bytes just written
}

// begin starts a NAL unit after what out holds.
func (w *bitWriter) begin(out []byte, header byte) {
	*w = bitWriter{out: append(out, header)}
}

// u writes the lower n bits of v, at most 32.
func (w *bitWriter) u(n uint, v uint32) {
	w.acc = w.acc<<n | uint64(v)&(1<<n-1)
	w.n += n
	for w.n >= 8 {
		w.n -= 8
		w.emit(byte(w.acc >> w.n))
	}
}

func (w *bitWriter) emit(b byte) {
	if w.zeros >= 2 && b <= 3 {
		w.out = append(w.out, 3)
		w.zeros = 0
	}
	w.out = append(w.out, b)
	if b == 0 {
		w.zeros++
	} else {
		w.zeros = 0
	}
}

func (w *bitWriter) flag(b bool) {
	if b {
		w.u(1, 1)
	} else {
		w.u(1, 0)
	}
}

// ue writes an unsigned Exp-Golomb code.
func (w *bitWriter) ue(v uint32) {
	n := uint(bits.Len32(v + 1))
	w.u(n-1, 0)
	w.u(n, v+1)
}

// se writes a signed Exp-Golomb code.
func (w *bitWriter) se(v int) {
	if v > 0 {
		w.ue(uint32(2*v - 1))
	} else {
		w.ue(uint32(-2 * v))
	}
}

// end writes the stop bit and returns everything.
func (w *bitWriter) end() []byte {
	w.u(1, 1)
	if w.n > 0 {
		w.u(8-w.n, 0)
	}
	return w.out
}
