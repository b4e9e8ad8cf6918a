package rtsp

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// plainUnpacker is for codecs whose packets are frames as they are: Opus (RFC 7587), G.711 and
// LPCM (RFC 3551, 3190).
type plainUnpacker struct {
	out output
	au  assembly
	one int // bytes of a sample of all channels, of which a frame has a whole number; 0 for Opus
}

func (u *plainUnpacker) push(p *packet, _ bool) {
	in := p.payload
	if len(in) == 0 {
		return
	}
	if u.one > 0 {
		in = in[:len(in)/u.one*u.one]
	}
	if len(in) == 0 {
		u.out.broken(faultMalformed)
		return
	}
	if err := u.au.add(in); err != nil {
		u.au.Discard()
		u.out.broken(blame(err))
		return
	}
	u.out.frame(&u.au, p.ts, 0, true)
}

// latmUnpacker takes AAC out of LATM (RFC 6416). It is rare enough to be allowed to allocate.
type latmUnpacker struct {
	out     output
	au      assembly
	mux     mpeg4audio.AudioMuxElement
	perUnit int64

	joined bytes.Buffer
	bad    bool
}

func (u *latmUnpacker) push(p *packet, lost bool) {
	if lost && u.joined.Len() > 0 || u.joined.Len()+len(p.payload) > maxUnit {
		u.joined.Reset()
		u.bad = true
	}
	u.joined.Write(p.payload)
	if !p.marker {
		return
	}
	if err := u.element(p.ts); u.bad || err != nil {
		u.out.broken(faultMalformed)
	}
	u.joined.Reset()
	u.bad = false
}

func (u *latmUnpacker) element(ts uint32) error {
	if u.bad {
		return nil
	}
	if err := u.mux.Unmarshal(u.joined.Bytes()); err != nil {
		return err
	}
	for i, frame := range u.mux.Payloads {
		if len(frame) == 0 || len(frame[0]) == 0 || len(frame[0][0]) == 0 {
			return errBadUnit
		}
		if err := u.au.add(frame[0][0]); err != nil {
			u.au.Discard()
			return err
		}
		u.out.frame(&u.au, ts, int64(i)*u.perUnit, true)
	}
	return nil
}
