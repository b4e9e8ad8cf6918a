package pack

// MP4 has no G.711: it is stored as the 16-bit samples that its bytes stand for (R5).

// alaw returns the sample of each A-law byte, scaled to 16 bits (ITU-T G.711, table 1a).
func alaw() *[256]int16 {
	var t [256]int16
	for i := range t {
		v := byte(i) ^ 0x55 // even bits travel inverted
		exp, mant := v>>4&7, int16(v&15)
		s := mant<<4 + 8
		if exp > 0 {
			s = (s + 0x100) << (exp - 1)
		}
		if v&0x80 == 0 {
			s = -s
		}
		t[i] = s
	}
	return &t
}

// mulaw returns the sample of each µ-law byte, scaled to 16 bits (ITU-T G.711, table 2a).
func mulaw() *[256]int16 {
	const bias = 0x84
	var t [256]int16
	for i := range t {
		v := ^byte(i) // all bits travel inverted
		exp, mant := v>>4&7, int16(v&15)
		s := (mant<<3+bias)<<exp - bias
		if v&0x80 != 0 {
			s = -s
		}
		t[i] = s
	}
	return &t
}

// expand writes the samples of src big-endian to dst, which is twice as long.
func expand(dst, src []byte, table *[256]int16) {
	for i, b := range src {
		s := uint16(table[b])
		dst[2*i], dst[2*i+1] = byte(s>>8), byte(s)
	}
}
