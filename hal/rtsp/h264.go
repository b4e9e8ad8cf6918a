package rtsp

// h264Syntax is the syntax of RFC 6184, packetisation modes 0 and 1.
type h264Syntax struct{}

const (
	h264IDR    = 5
	h264SPS    = 7
	h264PPS    = 8
	h264AUD    = 9
	h264Filler = 12
	h264STAPA  = 24
	h264FUA    = 28
)

func (h264Syntax) classify(nal []byte) (nalKind, paramKind) {
	switch t := nal[0] & 0x1f; {
	case t == h264IDR:
		return nalKey, 0
	case t >= 1 && t <= 4: // slice, data partitions
		return nalSlice, 0
	case t == h264SPS:
		return nalParam, paramSPS
	case t == h264PPS:
		return nalParam, paramPPS
	case t == h264AUD || t == h264Filler:
		return nalStrip, 0
	case t == 6 || t >= 14 && t <= 18: // SEI and what else §7.4.1.2.3 puts before the first slice
		return nalPrefix, 0
	default:
		return nalOther, 0
	}
}

// first: first_mb_in_slice is an Exp-Golomb number, and its 0 a single set bit.
func (h264Syntax) first(nal []byte) bool { return nal[1]&0x80 != 0 }

func (h264Syntax) split(p []byte) packing {
	switch t := p[0] & 0x1f; {
	case t >= 1 && t <= 23:
		return packing{kind: packSingle, headerLen: 1, body: p}
	case t == h264STAPA:
		return packing{kind: packAggregate, headerLen: 1, body: p[1:]}
	case t == h264FUA && len(p) >= 3:
		return packing{
			kind: packFragment, header: [2]byte{p[0]&0xe0 | p[1]&0x1f}, headerLen: 1,
			begin: p[1]&0x80 != 0, end: p[1]&0x40 != 0, body: p[2:],
		}
	default:
		return packing{}
	}
}

// recoveryPoint says whether an SEI unit promises that decoding can start at this very picture
// (ITU-T H.264 §D.1.8: recovery_frame_cnt is 0).
func recoveryPoint(nal []byte) bool {
	if len(nal) < 4 || nal[0]&0x1f != 6 {
		return false
	}
	for in := nal[1:]; len(in) >= 3; {
		kind, size := in[0], int(in[1])
		if kind == 0xff || size == 0xff || size > len(in)-2 {
			return false // longer ones do not come before it
		}
		if kind == 6 {
			return in[2]&0x80 != 0
		}
		in = in[2+size:]
	}
	return false
}

// intraH264 says whether a slice, its NAL header left out, has macroblocks of type I alone.
func intraH264(slice []byte) bool {
	r := bitReader{in: slice[:min(len(slice), 16)]}
	r.golomb() // first_mb_in_slice
	kind, ok := r.golomb()
	return ok && kind%5 == 2
}
