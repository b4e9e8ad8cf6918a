package file

import (
	"github.com/millrace-video/millrace/hal"
)

// nalClass is what a NAL unit is for (Rec. ITU-T H.264 table 7-1, H.265 table 7-1).
type nalClass uint8

const (
	nalOther nalClass = iota
	nalSlice
	nalDelimiter
	nalVPS
	nalSPS
	nalPPS
	nalSEI
)

const prefixLen = 4 // bytes of a NAL unit's length in a frame

func classify(codec hal.Codec, first byte) nalClass {
	if codec == hal.H265 {
		return classifyH265(first)
	}
	switch first & 0x1f {
	case 1, 2, 3, 4, 5:
		return nalSlice
	case 6:
		return nalSEI
	case 7:
		return nalSPS
	case 8:
		return nalPPS
	case 9:
		return nalDelimiter
	default:
		return nalOther
	}
}

func classifyH265(first byte) nalClass {
	switch t := first >> 1 & 0x3f; {
	case t < 32:
		return nalSlice
	case t == 32:
		return nalVPS
	case t == 33:
		return nalSPS
	case t == 34:
		return nalPPS
	case t == 35:
		return nalDelimiter
	case t == 39:
		return nalSEI
	default:
		return nalOther
	}
}

// randomAccess says whether a decoder can start at the picture that the slice belongs to: an
// IDR picture, with H.265 any of BLA, IDR and CRA.
func randomAccess(codec hal.Codec, first byte) bool {
	if codec == hal.H265 {
		t := first >> 1 & 0x3f
		return t >= 16 && t <= 21
	}
	return first&0x1f == 5
}

// startsPicture says whether a slice is the first one of its picture. head is the NAL unit's
// beginning, header included.
func startsPicture(codec hal.Codec, head []byte) bool {
	n := 1 // header; then first_mb_in_slice, 0 coded as one set bit
	if codec == hal.H265 {
		n = 2 // then first_slice_segment_in_pic_flag
	}
	return len(head) > n && head[n]&0x80 != 0
}

// opensUnit says whether a NAL unit that follows a slice begins a new access unit
// (H.264 7.4.1.2.3, H.265 7.4.2.4.4).
func opensUnit(codec hal.Codec, head []byte) bool {
	if len(head) == 0 {
		return false
	}
	switch classify(codec, head[0]) {
	case nalSlice:
		return startsPicture(codec, head)
	case nalDelimiter, nalVPS, nalSPS, nalPPS, nalSEI:
		return true
	case nalOther:
		if codec == hal.H265 {
			t := head[0] >> 1 & 0x3f
			return t >= 41 && t <= 44 || t >= 48 && t <= 55
		}
		t := head[0] & 0x1f
		return t >= 14 && t <= 18
	}
	return false
}

// recoveryPoint says whether an H.264 SEI message promises that decoding which starts here is
// right from this picture on (recovery_frame_cnt 0): cameras that never send another IDR
// picture have these (H.264 D.1.8).
func recoveryPoint(sei []byte) bool {
	for p := 1; p+2 < len(sei); {
		kind, size := 0, 0
		for p < len(sei) && sei[p] == 0xff {
			kind, p = kind+255, p+1
		}
		if p >= len(sei) {
			return false
		}
		kind, p = kind+int(sei[p]), p+1
		for p < len(sei) && sei[p] == 0xff {
			size, p = size+255, p+1
		}
		if p >= len(sei) {
			return false
		}
		size, p = size+int(sei[p]), p+1
		if kind == 6 {
			return p < len(sei) && sei[p]&0x80 != 0 // ue(v) 0
		}
		p += size
	}
	return false
}

// intraSlice says whether an H.264 slice is of a type that needs no other picture.
func intraSlice(slice []byte) bool {
	r := bitReader{}
	r.load(slice[min(1, len(slice)):])
	r.ue() // first_mb_in_slice
	t := r.ue()
	return !r.short && (t == 2 || t == 7 || t == 4 || t == 9)
}

// keyUnit says whether an access unit of length-prefixed NAL units is a key frame.
func keyUnit(codec hal.Codec, unit []byte) bool {
	recovery := false
	for len(unit) > prefixLen {
		n := int(be32(unit))
		if n == 0 || n > len(unit)-prefixLen {
			break
		}
		nal := unit[prefixLen : prefixLen+n]
		switch classify(codec, nal[0]) {
		case nalSlice:
			return randomAccess(codec, nal[0]) || recovery && codec == hal.H264 && intraSlice(nal)
		case nalSEI:
			recovery = recovery || codec == hal.H264 && recoveryPoint(nal)
		case nalOther, nalDelimiter, nalVPS, nalSPS, nalPPS:
		}
		unit = unit[prefixLen+n:]
	}
	return false
}

// hasSlice says whether an access unit holds a picture at all.
func hasSlice(codec hal.Codec, unit []byte) bool {
	for len(unit) > prefixLen {
		n := int(be32(unit))
		if n == 0 || n > len(unit)-prefixLen {
			break
		}
		if classify(codec, unit[prefixLen]) == nalSlice {
			return true
		}
		unit = unit[prefixLen+n:]
	}
	return false
}
