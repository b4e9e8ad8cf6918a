package nal

import "github.com/millrace-video/millrace/hal"

// SliceHead is how much of a slice, from its header on, is enough for First, Intra and Start.
const SliceHead = 16

// Start tells, unit by unit, whether a decoder can start at an access unit: at an IDR picture (of
// H.265 any IRAP picture), or with H.264 at a picture of intra slices alone behind a recovery
// point. The zero value is that of an access unit of which nothing was seen.
type Start struct {
	key, recovery, intra, inter bool
}

// Add takes the next unit, of which k is the kind. Of a slice its beginning is enough.
func (s *Start) Add(codec hal.Codec, k Kind, unit []byte) {
	switch {
	case k == Key:
		s.key = true
	case codec != hal.H264:
	case k == SEI:
		s.recovery = s.recovery || RecoveryPoint(unit)
	case k == Slice && s.recovery:
		intra := Intra(unit)
		s.intra, s.inter = s.intra || intra, s.inter || !intra
	}
}

// Key says whether a decoder can start at what was added so far.
func (s *Start) Key() bool { return s.key || s.intra && !s.inter }

// Picture looks through an access unit of units with length prefixes: whether there is a slice
// in it, and whether a decoder can start there.
func Picture(codec hal.Codec, unit []byte) (there, key bool) {
	var s Start
	for walk := Prefixed(unit); ; {
		u, ok := walk.Next()
		if !ok {
			return there, s.Key()
		}
		k := KindOf(codec, u[0])
		there = there || k.IsSlice()
		s.Add(codec, k, u)
	}
}

// RecoveryPoint says whether an H.264 SEI unit promises that decoding which starts at its picture
// is right from this picture on (recovery_frame_cnt 0): cameras that never send another IDR
// picture have these (H.264 D.1.8).
func RecoveryPoint(sei []byte) bool {
	const recoveryPoint = 6
	b := BitsOf(sei[min(1, len(sei)):])
	for {
		kind, size := b.messageNumber(), b.messageNumber()
		if b.Short {
			return false
		}
		if kind == recoveryPoint {
			now := size > 0 && b.U(1) == 1 // an Exp-Golomb 0
			b.Skip(8*size - 1)
			return now && !b.Short
		}
		b.Skip(8 * size)
	}
}

// messageNumber reads a number as SEI messages have them: 255 for every byte of ones (7.3.2.3.1).
func (b *Bits) messageNumber() int {
	const most = 1 << 24 // beyond any unit
	for n := 0; n < most; n += 255 {
		v := int(b.U(8))
		if v != 255 || b.Short {
			return n + v
		}
	}
	b.Short = true
	return 0
}

// Intra says whether an H.264 slice has macroblocks of type I alone.
func Intra(slice []byte) bool {
	b := BitsOf(slice[min(1, len(slice)):])
	b.UE() // first_mb_in_slice
	kind := b.UE()
	return !b.Short && (kind == 2 || kind == 7)
}
