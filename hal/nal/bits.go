package nal

// Bits reads numbers out of a NAL unit, its emulation prevention bytes left out (H.264 7.4.1).
// Reading past the end yields 0 and sets Short.
type Bits struct {
	Short bool

	in    []byte
	zeros int  // bytes in a row just read, two at most
	cur   byte // the byte under way
	left  int  // its bits to come
}

// BitsOf reads what follows a NAL unit's header.
func BitsOf(body []byte) Bits { return Bits{in: body} }

// U reads n bits, 32 at most.
func (b *Bits) U(n int) uint32 {
	var v uint32
	for range n {
		if b.left == 0 && !b.next() {
			return 0
		}
		b.left--
		v = v<<1 | uint32(b.cur>>b.left&1)
	}
	return v
}

// UE reads an unsigned Exp-Golomb code (H.264 9.1) of at most 32 bits.
func (b *Bits) UE() uint32 {
	zeros := 0
	for b.U(1) == 0 {
		zeros++
		if b.Short || zeros > 31 {
			b.Short = true
			return 0
		}
	}
	v := b.U(zeros)
	if b.Short {
		return 0
	}
	return 1<<zeros - 1 + v
}

// Skip passes over n bits.
func (b *Bits) Skip(n int) {
	for ; n > 0 && !b.Short; n-- {
		if b.left == 0 && !b.next() {
			return
		}
		if n > 8 && b.left == 8 {
			b.left, n = 0, n-7
			continue
		}
		b.left--
	}
}

// next fetches a byte.
func (b *Bits) next() bool {
	if b.zeros == 2 && len(b.in) > 0 && b.in[0] == 3 {
		b.in, b.zeros = b.in[1:], 0
	}
	if len(b.in) == 0 {
		b.Short = true
		return false
	}
	b.cur, b.in, b.left = b.in[0], b.in[1:], 8
	if b.cur == 0 {
		b.zeros = min(b.zeros+1, 2)
	} else {
		b.zeros = 0
	}
	return true
}
