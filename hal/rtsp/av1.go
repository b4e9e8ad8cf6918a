package rtsp

import "github.com/millrace-video/millrace/hal/nal"

// av1Unpacker makes temporal units of AV1 payloads ("RTP Payload Format for AV1", AOMedia,
// §4): OBUs with their sizes, without temporal delimiters.
type av1Unpacker struct {
	out output
	au  assembly

	ts   uint32
	open bool
	bad  bool
	cont bool // the last OBU goes on in the next packet
	skip bool // the open OBU is not wanted
	key  bool
	seq  int // where the open sequence header begins, −1 where the open OBU is none
}

func (u *av1Unpacker) push(p *packet, lost bool) {
	if len(p.payload) < 2 {
		if len(p.payload) == 1 {
			u.fail(faultMalformed)
		}
		return
	}
	if p.ts != u.ts || !u.open && !u.bad {
		u.finish()
		u.ts, u.bad, u.cont = p.ts, false, false
		if lost && p.payload[0]&0x80 != 0 { // goes on from what was lost
			u.fail(faultLost)
		}
	} else if lost {
		u.fail(faultLost)
	}
	if u.bad {
		return
	}
	if err := u.unpack(p.payload); err != nil {
		u.fail(blame(err))
		return
	}
	if p.marker {
		u.finish()
	}
}

func (u *av1Unpacker) fail(why fault) {
	if !u.bad {
		u.out.broken(why)
	}
	u.bad = true
	u.reset()
}

func (u *av1Unpacker) reset() {
	u.au.Discard()
	u.open, u.cont, u.key = false, false, false
}

func (u *av1Unpacker) finish() {
	switch {
	case u.bad || !u.open:
	case u.cont:
		u.fail(faultMalformed)
	case u.au.Len() > 0:
		u.out.frame(&u.au, u.ts, 0, u.key)
	}
	u.reset()
}

func (u *av1Unpacker) unpack(in []byte) error {
	head := in[0]
	in = in[1:]
	u.open = true
	if head&0x08 != 0 {
		u.key = true // N: a new coded video sequence begins
	}
	if (head&0x80 != 0) != u.cont {
		return errBadUnit
	}
	count := int(head >> 4 & 3)
	for i := 0; len(in) > 0; i++ {
		size := len(in)
		if count == 0 || i < count-1 {
			n, used := nal.LEB128(in)
			if used == 0 || n == 0 || n > len(in)-used {
				return errBadUnit
			}
			in, size = in[used:], n
		}
		last := size == len(in)
		if err := u.element(in[:size], last && head&0x40 != 0); err != nil {
			return err
		}
		in = in[size:]
	}
	return nil
}

// element takes an OBU, or a piece of one; more says that it goes on.
func (u *av1Unpacker) element(p []byte, more bool) error {
	if !u.cont {
		body, err := u.beginOBU(p)
		if err != nil {
			return err
		}
		p = body
	}
	if !u.skip {
		if err := u.au.add(p); err != nil {
			return err
		}
	}
	if u.cont = more; more || u.skip {
		return nil
	}
	b := u.au.Bytes()
	n := len(b) - u.au.unit - 4
	for i := range 4 { // LEB128 may be padded (AV1 §4.10.5)
		b[u.au.unit+i] = byte(n>>(7*i))&0x7f | 0x80
	}
	b[u.au.unit+3] &= 0x7f
	if u.seq >= 0 {
		u.out.parameter(nal.SPS, b[u.seq:])
	}
	return nil
}

// beginOBU writes the OBU's header with a size of four bytes, to be filled in at its end, and
// returns the body.
func (u *av1Unpacker) beginOBU(p []byte) ([]byte, error) {
	kind, head := nal.OBUHeader(p)
	if len(p) < head {
		return nil, errBadUnit
	}
	u.seq = -1
	u.skip = kind == nal.TemporalDelimiter || kind == nal.TileList || kind == nal.Padding
	if u.skip {
		return p, nil
	}
	if kind == nal.SequenceHeader {
		u.seq, u.key = u.au.Len(), true
	}
	if err := u.au.add(p[:head]); err != nil {
		return nil, err
	}
	b := u.au.Bytes()
	b[len(b)-head] |= 0x02
	body := p[head:]
	if p[0]&0x02 != 0 { // it has a size of its own already
		_, used := nal.LEB128(body)
		if used == 0 {
			return nil, errBadUnit
		}
		body = body[used:]
	}
	return body, u.au.begin()
}
