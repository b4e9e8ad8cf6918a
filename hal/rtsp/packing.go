package rtsp

import (
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// packing is one RTP payload taken apart.
type packing struct {
	kind       packKind
	header     [2]byte // of a fragmented unit, rebuilt
	headerLen  int
	begin, end bool   // of a fragmented unit
	body       []byte // of a fragment; the units of an aggregate, each behind 2 bytes of length
}

type packKind uint8

const (
	packBad packKind = iota
	packSingle
	packAggregate
	packFragment
)

// head returns the beginning of the first NAL unit; none where there is only a later part of one.
func (pk *packing) head(room *[nal.SliceHead]byte) []byte {
	switch {
	case pk.kind == packSingle:
		return pk.body
	case pk.kind == packAggregate && len(pk.body) > 2:
		return pk.body[2:]
	case pk.kind == packFragment && pk.begin:
		n := copy(room[:], pk.header[:pk.headerLen])
		return room[:n+copy(room[n:], pk.body)]
	}
	return nil
}

// split says how a payload is packed.
func split(codec hal.Codec, p []byte) packing {
	if codec == hal.H265 {
		return splitH265(p)
	}
	return splitH264(p)
}

// splitH264: RFC 6184, packetisation modes 0 and 1.
func splitH264(p []byte) packing {
	const aggregate, fragment = 24, 28 // STAP-A, FU-A
	switch t := p[0] & 0x1f; {
	case t >= 1 && t <= 23:
		return packing{kind: packSingle, headerLen: 1, body: p}
	case t == aggregate:
		return packing{kind: packAggregate, headerLen: 1, body: p[1:]}
	case t == fragment && len(p) >= 3:
		return packing{
			kind: packFragment, header: [2]byte{p[0]&0xe0 | p[1]&0x1f}, headerLen: 1,
			begin: p[1]&0x80 != 0, end: p[1]&0x40 != 0, body: p[2:],
		}
	default:
		return packing{}
	}
}

// splitH265: RFC 7798 without decoding order numbers.
func splitH265(p []byte) packing {
	const aggregate, fragment = 48, 49
	if len(p) < 3 {
		return packing{}
	}
	switch t := p[0] >> 1 & 0x3f; {
	case t < aggregate:
		return packing{kind: packSingle, headerLen: 2, body: p}
	case t == aggregate:
		return packing{kind: packAggregate, headerLen: 2, body: p[2:]}
	case t == fragment && len(p) >= 4:
		return packing{
			kind: packFragment, header: [2]byte{p[0]&0x81 | p[2]&0x3f<<1, p[1]}, headerLen: 2,
			begin: p[2]&0x80 != 0, end: p[2]&0x40 != 0, body: p[3:],
		}
	default:
		return packing{}
	}
}
