package nal

import (
	"bytes"
	"math"

	"github.com/millrace-video/millrace/hal"
)

// MaxSet is the largest parameter set in bytes that a track names. Larger ones stay in the frames.
const MaxSet = 8 << 10

// Standing is how a parameter set stands to those that a track names.
type Standing uint8

// How a parameter set can stand.
const (
	Named  Standing = iota // the track names it: frames go without it
	New                    // it takes the place of the one named, or there is none yet
	Beside                 // it has a number of its own, or belongs to one that has: it stays in the frames
)

// Set returns where a track names its parameter set of a kind, nil where it has none of it. The
// sequence header of AV1 is its SPS.
func Set(t *hal.Track, k Kind) *[]byte {
	switch {
	case k == VPS && t.Codec == hal.H265:
		return &t.VPS
	case k == SPS:
		return &t.SPS
	case k == PPS && t.Codec != hal.AV1:
		return &t.PPS
	}
	return nil
}

// Complete says whether a track names all that a decoder of its codec must know before the first
// picture.
func Complete(t *hal.Track) bool {
	switch t.Codec { //nolint:exhaustive // the others need nothing
	case hal.H264:
		return len(t.SPS) > 0 && len(t.PPS) > 0
	case hal.H265:
		return len(t.VPS) > 0 && len(t.SPS) > 0 && len(t.PPS) > 0
	case hal.AV1:
		return len(t.SPS) > 0
	default:
		return true
	}
}

// StandingOf says how a parameter set of a kind stands to those that t names. Two sets of one
// number take each other's place, others live side by side; a picture parameter set goes with the
// sequence parameter set whose number it has.
func StandingOf(t *hal.Track, k Kind, set []byte) Standing {
	named := Set(t, k)
	switch {
	case named == nil || len(set) > MaxSet:
		return Beside
	case bytes.Equal(*named, set):
		return Named
	case t.Codec == hal.AV1:
		return New
	case len(*named) > 0 && Number(t.Codec, k, *named) != Number(t.Codec, k, set):
		return Beside
	case k == PPS && len(t.SPS) > 0 && basis(t.Codec, set) != Number(t.Codec, SPS, t.SPS):
		return Beside
	}
	return New
}

// Adopt makes t name a copy of a parameter set, and describes t by it where it is a sequence
// parameter set. Where the set makes no sense Adopt returns false and leaves t as it is.
func Adopt(t *hal.Track, k Kind, set []byte) bool {
	const least = 3 // a header, and numbers that fill more than a byte
	named := Set(t, k)
	if named == nil || len(set) < least || len(set) > MaxSet {
		return false
	}
	if k == SPS {
		if _, ok := Describe(t, set); !ok {
			return false
		}
	}
	*named = bytes.Clone(set)
	return true
}

// Follow lets t go over to another sequence parameter set: an encoder that begins to count its sets
// anew sends one of a number of its own, and a picture parameter set for it that takes the place of
// the one named, or there was none. Both stand Beside what t names; unit is the access unit up to
// the latter, with length prefixes. Follow returns false, and leaves t as it is, where it is not so.
func Follow(t *hal.Track, pps, unit []byte) bool {
	if t.Codec == hal.AV1 || len(t.PPS) > 0 && Number(t.Codec, PPS, t.PPS) != Number(t.Codec, PPS, pps) {
		return false
	}
	want := basis(t.Codec, pps)
	if want == math.MaxUint32 || want == Number(t.Codec, SPS, t.SPS) {
		return false
	}
	for walk := Prefixed(unit); ; {
		u, ok := walk.Next()
		if !ok {
			return false
		}
		if KindOf(t.Codec, u[0]) != SPS || Number(t.Codec, SPS, u) != want {
			continue
		}
		next := *t
		ok = Adopt(&next, SPS, u) && Adopt(&next, PPS, pps)
		if ok {
			*t = next
		}
		return ok
	}
}

// Number returns a parameter set's own number, by which others refer to it; the largest uint32
// where it is cut off.
func Number(codec hal.Codec, k Kind, set []byte) uint32 {
	b := BitsOf(set[min(HeaderLen(codec), len(set)):])
	var n uint32
	switch {
	case k == VPS:
		n = b.U(4)
	case k == SPS && codec == hal.H265:
		b.profileTierLevel()
		n = b.UE()
	case k == SPS:
		b.Skip(24) // profile_idc, constraint flags, level_idc
		n = b.UE()
	default:
		n = b.UE()
	}
	return b.whole(n)
}

// basis returns the number of the sequence parameter set that a picture parameter set is for.
func basis(codec hal.Codec, pps []byte) uint32 {
	b := BitsOf(pps[min(HeaderLen(codec), len(pps)):])
	b.UE()
	return b.whole(b.UE())
}

func (b *Bits) whole(n uint32) uint32 {
	if b.Short {
		return math.MaxUint32
	}
	return n
}

// profileTierLevel passes over what stands before an H.265 sequence parameter set's number
// (7.3.2.2.1, 7.3.3).
func (b *Bits) profileTierLevel() {
	const profile, level = 88, 8 // bits
	b.Skip(4)
	layers := int(b.U(3)) // sps_max_sub_layers_minus1
	b.Skip(1 + profile + level)
	if layers == 0 {
		return
	}
	var skip int
	for range layers {
		skip += profile*int(b.U(1)) + level*int(b.U(1))
	}
	b.Skip(2*(8-layers) + skip)
}
