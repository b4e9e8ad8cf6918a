package rtsp

// jpegUnpacker makes JPEG files of RFC 2435 payloads.
type jpegUnpacker struct {
	out output
	au  assembly
	// size is told of each picture before it is handed on.
	size func(width, height int)

	ts     uint32
	open   bool
	bad    bool
	data   int // bytes of entropy-coded data so far
	tables [256][]byte
	head   jpegHead
}

// jpegHead is the header that every fragment repeats (RFC 2435 §3.1).
type jpegHead struct {
	offset        int
	kind, q       byte
	width, height int
	restart       int
}

func (u *jpegUnpacker) push(p *packet, lost bool) {
	if len(p.payload) == 0 {
		return
	}
	if p.ts != u.ts || !u.open && !u.bad {
		if u.open {
			u.fail(faultLost) // its marker is missing
		}
		u.ts, u.bad = p.ts, false
	} else if lost {
		u.fail(faultLost)
	}
	if u.bad {
		return
	}
	if err := u.fragment(p.payload); err != nil {
		u.fail(blame(err))
		return
	}
	if p.marker {
		u.finish()
	}
}

func (u *jpegUnpacker) fail(why fault) {
	if !u.bad {
		u.out.broken(why)
	}
	u.au.Discard()
	u.open, u.bad = false, true
}

func (u *jpegUnpacker) fragment(in []byte) error {
	if len(in) < 8 {
		return errBadUnit
	}
	h := jpegHead{
		offset: int(in[1])<<16 | int(in[2])<<8 | int(in[3]), kind: in[4], q: in[5],
		width: 8 * int(in[6]), height: 8 * int(in[7]),
	}
	in = in[8:]
	if h.kind >= 64 && h.kind <= 127 {
		if len(in) < 4 {
			return errBadUnit
		}
		h.restart = int(in[0])<<8 | int(in[1])
		in = in[4:]
	}
	if h.offset == 0 {
		var err error
		if in, err = u.begin(h, in); err != nil {
			return err
		}
	} else if !u.open || h.offset != u.data {
		return errBadUnit
	}
	u.data += len(in)
	return u.au.add(in)
}

// begin writes the file's header and returns the data behind the quantisation tables.
func (u *jpegUnpacker) begin(h jpegHead, in []byte) ([]byte, error) {
	if u.open || h.kind&0x3f > 1 || h.width == 0 || h.height == 0 || h.q == 0 {
		return nil, errBadUnit
	}
	tables := u.tables[h.q]
	if h.q >= 128 {
		if len(in) < 4 {
			return nil, errBadUnit
		}
		n := int(in[2])<<8 | int(in[3])
		if in[1] != 0 || n > len(in)-4 || n%64 != 0 || n > 128 {
			return nil, errBadUnit // 16-bit tables are not for baseline JPEG
		}
		if n > 0 {
			u.tables[h.q] = append(u.tables[h.q][:0], in[4:4+n]...)
			tables = u.tables[h.q]
		}
		in = in[4+n:]
	} else if tables == nil {
		tables = scaledTables(h.q)
		u.tables[h.q] = tables
	}
	if len(tables) == 0 {
		return nil, errBadUnit // a number of tables that were never sent
	}
	u.open, u.data, u.head = true, 0, h
	return in, u.writeHeader(h, tables)
}

func (u *jpegUnpacker) finish() {
	b := u.au.Bytes()
	if u.data < 2 {
		u.fail(faultMalformed)
		return
	}
	if n := len(b); b[n-2] != 0xff || b[n-1] != 0xd9 {
		if err := u.au.add([]byte{0xff, 0xd9}); err != nil {
			u.fail(blame(err))
			return
		}
	}
	u.size(u.head.width, u.head.height)
	u.out.frame(&u.au, u.ts, 0, true)
	u.open = false
}
