package rtsp

// writeHeader writes what RTP leaves out of a baseline JPEG file: everything up to the scan's
// data (RFC 2435 §3.1 and appendix B say which tables).
func (u *jpegUnpacker) writeHeader(h jpegHead, tables []byte) error {
	b := u.au.Builder
	hd := headerWriter{b: assembly{Builder: b}}
	hd.put(0xff, 0xd8)
	for i := 0; i*64 < len(tables); i++ {
		hd.put(0xff, 0xdb, 0, 67, byte(i))
		hd.put(tables[64*i : 64*i+64]...)
	}
	if h.restart > 0 {
		hd.put(0xff, 0xdd, 0, 4, byte(h.restart>>8), byte(h.restart))
	}
	luma := byte(0x21) // type 0: 4:2:2
	if h.kind&0x3f == 1 {
		luma = 0x22 // type 1: 4:2:0
	}
	chroma := byte(0)
	if len(tables) > 64 {
		chroma = 1
	}
	hd.put(0xff, 0xc0, 0, 17, 8, byte(h.height>>8), byte(h.height), byte(h.width>>8), byte(h.width), 3,
		1, luma, 0, 2, 0x11, chroma, 3, 0x11, chroma)
	hd.huffman(0x00, dcCounts(false), dcSymbols())
	hd.huffman(0x10, acCounts(false), acLuma())
	hd.huffman(0x01, dcCounts(true), dcSymbols())
	hd.huffman(0x11, acCounts(true), acChroma())
	hd.put(0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0)
	return hd.err
}

// headerWriter remembers the first error.
type headerWriter struct {
	b   assembly
	err error
}

func (w *headerWriter) put(p ...byte) {
	if w.err == nil {
		w.err = w.b.add(p)
	}
}

func (w *headerWriter) huffman(class byte, counts [16]byte, symbols string) {
	n := 2 + 1 + 16 + len(symbols)
	w.put(0xff, 0xc4, byte(n>>8), byte(n), class)
	w.put(counts[:]...)
	if w.err == nil {
		var space []byte
		if space, w.err = w.b.Grow(len(symbols)); w.err == nil {
			copy(space, symbols)
		}
	}
}

// The standard tables of ITU-T T.81 annex K.3: how many codes of each length, and what they
// stand for.
func dcCounts(chroma bool) [16]byte {
	if chroma {
		return [16]byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	}
	return [16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1}
}

func dcSymbols() string { return "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b" }

func acCounts(chroma bool) [16]byte {
	if chroma {
		return [16]byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77}
	}
	return [16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d}
}

func acLuma() string {
	return "\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07" +
		"\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0" +
		"\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28" +
		"\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49" +
		"\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69" +
		"\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89" +
		"\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7" +
		"\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5" +
		"\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2" +
		"\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
		"\xf9\xfa"
}

func acChroma() string {
	return "\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71" +
		"\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\x33\x52\xf0" +
		"\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26" +
		"\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48" +
		"\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68" +
		"\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x82\x83\x84\x85\x86\x87" +
		"\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5" +
		"\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3" +
		"\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda" +
		"\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
		"\xf9\xfa"
}

// scaledTables returns the luma and the chroma table of quality q, in zigzag order (RFC 2435
// §4.2; the bases are ITU-T T.81 tables K.1 and K.2).
func scaledTables(q byte) []byte {
	const luma = "\x10\x0b\x0c\x0e\x0c\x0a\x10\x0e\x0d\x0e\x12\x11\x10\x13\x18\x28" +
		"\x1a\x18\x16\x16\x18\x31\x23\x25\x1d\x28\x3a\x33\x3d\x3c\x39\x33" +
		"\x38\x37\x40\x48\x5c\x4e\x40\x44\x57\x45\x37\x38\x50\x6d\x51\x57" +
		"\x5f\x62\x67\x68\x67\x3e\x4d\x71\x79\x70\x64\x78\x5c\x65\x67\x63"
	const chroma = "\x11\x12\x12\x18\x15\x18\x2f\x1a\x1a\x2f\x63\x42\x38\x42\x63\x63"
	factor := min(max(int(q), 1), 99)
	if factor < 50 {
		factor = 5000 / factor
	} else {
		factor = 200 - 2*factor
	}
	out := make([]byte, 128)
	for i := range out {
		v := 99 // the rest of the chroma table
		switch {
		case i < 64:
			v = int(luma[i])
		case i-64 < len(chroma):
			v = int(chroma[i-64])
		}
		out[i] = byte(min(max((v*factor+50)/100, 1), 255))
	}
	return out
}
