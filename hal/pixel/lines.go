package pixel

import "encoding/binary"

// The kernels below work on eight samples in a 64-bit word; what is left of a line is done one
// by one. On every machine the first byte in memory is the word's lowest.

const (
	evens = 0x00FF00FF00FF00FF // every second byte
	ones  = 0x0001000100010001 // 1 in each 16-bit lane
	tops  = 0x8080808080808080 // the top bit of each byte
)

// packedPair splits two lines of 4:2:2 into luma and the chroma that both share. lumaAt is how
// many bits a sample of luma lies above the lowest: 0 in YUYV, 8 in UYVY.
func packedPair(y0, y1, u, v, s0, s1 []byte, lumaAt uint) {
	l, c := lumaAt&63, (8-lumaAt)&63
	for len(s0) >= 32 && len(s1) >= 32 && len(y0) >= 16 && len(y1) >= 16 && len(u) >= 8 && len(v) >= 8 {
		a0, b0 := load(s0), load(s1)
		a1, b1 := load(s0[8:]), load(s1[8:])
		a2, b2 := load(s0[16:]), load(s1[16:])
		a3, b3 := load(s0[24:]), load(s1[24:])
		store(y0, squeeze(a0>>l)|squeeze(a1>>l)<<32)
		store(y0[8:], squeeze(a2>>l)|squeeze(a3>>l)<<32)
		store(y1, squeeze(b0>>l)|squeeze(b1>>l)<<32)
		store(y1[8:], squeeze(b2>>l)|squeeze(b3>>l)<<32)
		// Four samples of each kind in either word: U V U V …
		w0 := squeeze(mean(a0>>c, b0>>c)) | squeeze(mean(a1>>c, b1>>c))<<32
		w1 := squeeze(mean(a2>>c, b2>>c)) | squeeze(mean(a3>>c, b3>>c))<<32
		store(u, squeeze(w0)|squeeze(w1)<<32)
		store(v, squeeze(w0>>8)|squeeze(w1>>8)<<32)
		s0, s1, y0, y1, u, v = s0[32:], s1[32:], y0[16:], y1[16:], u[8:], v[8:]
	}
	luma, chroma := int(lumaAt/8), 1-int(lumaAt/8)
	for i := 0; 4*i+3 < len(s0) && 4*i+3 < len(s1) && i < len(u) && i < len(v); i++ {
		y0[2*i], y0[2*i+1] = s0[4*i+luma], s0[4*i+2+luma]
		y1[2*i], y1[2*i+1] = s1[4*i+luma], s1[4*i+2+luma]
		u[i] = byte((uint(s0[4*i+chroma]) + uint(s1[4*i+chroma]) + 1) / 2)
		v[i] = byte((uint(s0[4*i+2+chroma]) + uint(s1[4*i+2+chroma]) + 1) / 2)
	}
}

// split parts a line of interleaved chroma.
func split(u, v, uv []byte) {
	for len(uv) >= 16 && len(u) >= 8 && len(v) >= 8 {
		a, b := load(uv), load(uv[8:])
		store(u, squeeze(a)|squeeze(b)<<32)
		store(v, squeeze(a>>8)|squeeze(b>>8)<<32)
		uv, u, v = uv[16:], u[8:], v[8:]
	}
	for i := 0; 2*i+1 < len(uv) && i < len(u) && i < len(v); i++ {
		u[i], v[i] = uv[2*i], uv[2*i+1]
	}
}

// merge is the inverse of split.
func merge(uv, u, v []byte) {
	for len(uv) >= 16 && len(u) >= 8 && len(v) >= 8 {
		a, b := load(u), load(v)
		store(uv, spread(a)|spread(b)<<8)
		store(uv[8:], spread(a>>32)|spread(b>>32)<<8)
		uv, u, v = uv[16:], u[8:], v[8:]
	}
	for i := 0; 2*i+1 < len(uv) && i < len(u) && i < len(v); i++ {
		uv[2*i], uv[2*i+1] = u[i], v[i]
	}
}

// expandLuma stretches 16–235 to 0–255: (y−16)·(1+42/256), 255/219 being 1.164.
func expandLuma(line []byte) {
	for len(line) >= 8 {
		y := lower(load(line), 0x1010101010101010)
		store(line, raise(y, part(y, 42)))
		line = line[8:]
	}
	for i, s := range line {
		y := lower(uint64(s), 0x10)
		line[i] = byte(raise(y, part(y, 42)))
	}
}

// expandChroma stretches 16–240 around 128 to 1–255: c−18 + c·35/256, 255/224 being 1.138.
func expandChroma(line []byte) {
	for len(line) >= 8 {
		c := load(line)
		store(line, raise(lower(c, 0x1212121212121212), part(c, 35)))
		line = line[8:]
	}
	for i, s := range line {
		c := uint64(s)
		line[i] = byte(raise(lower(c, 0x12), part(c, 35)))
	}
}

// part returns each byte times n/256, rounded; n is at most 255.
func part(x, n uint64) uint64 {
	return ((x&evens)*n+128*ones)>>8&evens | ((x>>8&evens)*n+128*ones)&^evens
}

// lower subtracts the bytes of by, each under 128, and stops at 0.
func lower(x, by uint64) uint64 {
	d := (x | tops) - by
	under := ^(x | d) & tops
	return (d ^ (tops &^ x)) &^ (under<<1 - under>>7)
}

// raise adds byte by byte and stops at 255.
func raise(a, b uint64) uint64 {
	s := (a&^tops + b&^tops) ^ ((a ^ b) & tops)
	over := (a&b | (a|b)&^s) & tops
	return s | (over<<1 - over>>7)
}

// mean returns the rounded mean of every second byte of a and b.
func mean(a, b uint64) uint64 { return (a&evens + b&evens + ones) >> 1 & evens }

// squeeze moves every second byte of x together into the lower half.
func squeeze(x uint64) uint64 {
	x &= evens
	x = (x | x>>8) & 0x0000FFFF0000FFFF
	return (x | x>>16) & 0x00000000FFFFFFFF
}

// spread is the inverse of squeeze.
func spread(x uint64) uint64 {
	x &= 0x00000000FFFFFFFF
	x = (x | x<<16) & 0x0000FFFF0000FFFF
	return (x | x<<8) & evens
}

func load(b []byte) uint64     { return binary.LittleEndian.Uint64(b) }
func store(b []byte, x uint64) { binary.LittleEndian.PutUint64(b, x) }
