package rtsp

// aacUnpacker takes AAC out of mpeg4-generic payloads (RFC 3640, mode AAC-hbr).
type aacUnpacker struct {
	out output
	au  assembly

	sizeLen, indexLen, deltaLen int
	perUnit                     int64 // clock ticks that an access unit lasts

	ts   uint32
	open bool // a unit of ts was begun
	want int  // its size, where the packets say so
}

// maxAACUnits bounds the access units of one packet.
const maxAACUnits = 256

func (u *aacUnpacker) push(p *packet, lost bool) {
	if len(p.payload) == 0 {
		return
	}
	if lost && u.open {
		u.fail(faultLost)
	}
	if u.open && p.ts != u.ts {
		u.endOpen()
	}
	if err := u.unpack(p); err != nil {
		u.fail(blame(err))
	}
}

// endOpen ends a unit whose last packet had no marker, as some cameras send them.
func (u *aacUnpacker) endOpen() {
	if u.au.Len() != u.want {
		u.fail(faultMalformed)
		return
	}
	u.finish()
}

func (u *aacUnpacker) finish() {
	u.open = false
	u.out.frame(&u.au, u.ts, 0, true)
}

func (u *aacUnpacker) fail(why fault) {
	u.au.Discard()
	u.open = false
	u.out.broken(why)
}

func (u *aacUnpacker) unpack(p *packet) error {
	in := p.payload
	if len(in) < 2 {
		return errBadUnit
	}
	bits := int(in[0])<<8 | int(in[1])
	in = in[2:]
	if bits == 0 || (bits+7)/8 > len(in) {
		return errBadUnit
	}
	heads, data := bitReader{in: in}, in[(bits+7)/8:]
	for i := 0; heads.pos+u.sizeLen <= bits; i++ {
		size, ok := heads.read(u.sizeLen)
		index := u.deltaLen
		if i == 0 {
			index = u.indexLen
		}
		_, ok2 := heads.read(index) // interleaving is not used in this mode
		if !ok || !ok2 || heads.pos > bits || i == maxAACUnits {
			return errBadUnit
		}
		var err error
		if data, err = u.unit(p, int(size), data, int64(i)); err != nil {
			return err
		}
	}
	return nil
}

// unit takes an access unit of size bytes, or what of it is in this packet, and returns what
// follows. Fragments stand alone in their packets; their size is the whole unit's (RFC 3640
// §3.2.3) or, from some, their own.
func (u *aacUnpacker) unit(p *packet, size int, data []byte, index int64) ([]byte, error) {
	switch {
	case u.open && index > 0 || size > 1<<16:
		return nil, errBadUnit
	case u.open:
		if err := u.au.add(data); err != nil {
			return nil, err
		}
		if p.marker || u.au.Len() == u.want {
			u.finish()
		}
		return nil, nil
	case size == 0:
		return data, nil
	case size > len(data) || !p.marker && size == len(data):
		if index > 0 {
			return nil, errBadUnit
		}
		u.ts, u.open, u.want = p.ts, true, size
		return nil, u.au.add(data)
	}
	if err := u.au.add(withoutADTS(data[:size])); err != nil {
		return nil, err
	}
	u.out.frame(&u.au, p.ts, index*u.perUnit, true)
	return data[size:], nil
}

// withoutADTS strips the header that some cameras leave on (ISO/IEC 13818-7 §6.2).
func withoutADTS(au []byte) []byte {
	if len(au) < 9 || au[0] != 0xff || au[1]&0xf6 != 0xf0 {
		return au
	}
	if n := int(au[3]&3)<<11 | int(au[4])<<3 | int(au[5])>>5; n != len(au) {
		return au
	}
	if au[1]&1 == 0 { // a checksum follows
		return au[9:]
	}
	return au[7:]
}

// bitReader reads numbers of up to 32 bits, the highest bit first.
type bitReader struct {
	in  []byte
	pos int
}

func (r *bitReader) read(n int) (uint32, bool) {
	if n < 0 || n > 32 || r.pos+n > 8*len(r.in) {
		return 0, false
	}
	var v uint32
	for range n {
		v = v<<1 | uint32(r.in[r.pos/8]>>(7-r.pos%8)&1)
		r.pos++
	}
	return v, true
}
