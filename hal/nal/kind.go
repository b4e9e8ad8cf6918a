package nal

import "github.com/millrace-video/millrace/hal"

// Kind is what a NAL unit is for (H.264 table 7-1, H.265 table 7-1).
type Kind uint8

// The kinds of NAL units.
const (
	Other     Kind = iota // goes along with the picture it stands in, as an H.264 slice's partitions B and C do
	Slice                 // a slice of a picture
	Key                   // a slice of a picture that a decoder can start at: IDR; H.265 BLA and CRA too
	Delimiter             // an access unit begins
	Filler                // bytes that say nothing
	VPS                   // a video parameter set
	SPS                   // a sequence parameter set
	PPS                   // a picture parameter set
	SEI                   // messages that stand before the picture
	Prefix                // what else stands only before the first slice
)

// IsSlice says whether a NAL unit of this kind is a slice.
func (k Kind) IsSlice() bool { return k == Slice || k == Key }

// IsSet says whether a NAL unit of this kind is a parameter set.
func (k Kind) IsSet() bool { return k == VPS || k == SPS || k == PPS }

// HeaderLen is how long a NAL unit's header is.
func HeaderLen(codec hal.Codec) int {
	if codec == hal.H265 {
		return 2
	}
	return 1
}

// KindOf looks at the first byte of a NAL unit of H.265, or else of H.264.
func KindOf(codec hal.Codec, first byte) Kind {
	if codec == hal.H265 {
		return kindH265(typeH265(first))
	}
	switch typeH264(first) {
	case 5:
		return Key
	case 1, 2: // a slice, or its partition A
		return Slice
	case 6:
		return SEI
	case 7:
		return SPS
	case 8:
		return PPS
	case 9:
		return Delimiter
	case 12:
		return Filler
	case 14, 15, 16, 17, 18: // 7.4.1.2.3
		return Prefix
	default:
		return Other
	}
}

func kindH265(t byte) Kind {
	switch {
	case t >= 16 && t <= 21: // 22 and 23 are reserved: decoders leave them out
		return Key
	case t < 32:
		return Slice
	case t == 32:
		return VPS
	case t == 33:
		return SPS
	case t == 34:
		return PPS
	case t == 35:
		return Delimiter
	case t == 38:
		return Filler
	case t == 39:
		return SEI
	case t >= 41 && t <= 44 || t >= 48 && t <= 55: // 7.4.2.4.4
		return Prefix
	default:
		return Other
	}
}

func typeH264(first byte) byte { return first & 0x1f }
func typeH265(first byte) byte { return first >> 1 & 0x3f }

// First says whether a slice is the first one of its picture. head is the NAL unit's beginning,
// its header included.
func First(codec hal.Codec, head []byte) bool {
	n := HeaderLen(codec) // first_mb_in_slice follows, 0 coded as one set bit; H.265 has a flag there
	return len(head) > n && head[n]&0x80 != 0
}

// Opens says whether a NAL unit that follows a slice begins a new access unit (H.264 7.4.1.2.3,
// H.265 7.4.2.4.4). head is its beginning.
func Opens(codec hal.Codec, head []byte) bool {
	if len(head) == 0 {
		return false
	}
	switch KindOf(codec, head[0]) {
	case Slice, Key:
		return First(codec, head)
	case Delimiter, VPS, SPS, PPS, SEI, Prefix:
		return true
	case Other, Filler:
	}
	return false
}
