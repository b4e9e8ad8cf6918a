package rtsp

// h265Syntax is the syntax of RFC 7798 without decoding order numbers.
type h265Syntax struct{}

const (
	h265VPS       = 32
	h265SPS       = 33
	h265PPS       = 34
	h265AUD       = 35
	h265Filler    = 38
	h265PrefixSEI = 39
	h265Aggregate = 48
	h265Fragment  = 49
)

func (h265Syntax) classify(nal []byte) (nalKind, paramKind) {
	switch t := nal[0] >> 1 & 0x3f; {
	case t >= 16 && t <= 23: // BLA, IDR, CRA
		return nalKey, 0
	case t < 32:
		return nalSlice, 0
	case t == h265VPS:
		return nalParam, paramVPS
	case t == h265SPS:
		return nalParam, paramSPS
	case t == h265PPS:
		return nalParam, paramPPS
	case t == h265AUD || t == h265Filler:
		return nalStrip, 0
	case t == h265PrefixSEI || t >= 41 && t <= 44:
		return nalPrefix, 0
	default:
		return nalOther, 0
	}
}

// first is first_slice_segment_in_pic_flag.
func (h265Syntax) first(nal []byte) bool { return nal[2]&0x80 != 0 }

func (h265Syntax) split(p []byte) packing {
	if len(p) < 3 {
		return packing{}
	}
	switch t := p[0] >> 1 & 0x3f; {
	case t < h265Aggregate:
		return packing{kind: packSingle, headerLen: 2, body: p}
	case t == h265Aggregate:
		return packing{kind: packAggregate, headerLen: 2, body: p[2:]}
	case t == h265Fragment && len(p) >= 4:
		return packing{
			kind: packFragment, header: [2]byte{p[0]&0x81 | p[2]&0x3f<<1, p[1]}, headerLen: 2,
			begin: p[2]&0x80 != 0, end: p[2]&0x40 != 0, body: p[3:],
		}
	default:
		return packing{}
	}
}
