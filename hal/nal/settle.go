package nal

import "github.com/millrace-video/millrace/hal"

// Settle brings an access unit of length-prefixed NAL units into the form that hal.Frame
// promises, in place: without delimiters and without the parameter sets that the track names.
// It returns the length that is left. Where a key frame brings other sets it returns the
// track as it is from here on. bad is where a length passes the end, −1 where none does.
func Settle(t *hal.Track, unit []byte, key bool) (n int, changed *hal.Track, bad int) {
	walk := Prefixed(unit)
	for u, ok := walk.Next(); ok; u, ok = walk.Next() {
		var keep bool
		if keep, changed = keepUnit(t, changed, unit[:n], u, key); keep {
			n += Put(unit[n:], u)
		}
	}
	if len(walk) > 0 {
		return n, changed, len(unit) - len(walk)
	}
	return n, changed, -1
}

// keepUnit says whether a unit stays in its frame, of which before was kept.
func keepUnit(t, changed *hal.Track, before, unit []byte, key bool) (bool, *hal.Track) {
	if changed != nil {
		t = changed
	}
	kind := KindOf(t.Codec, unit[0])
	if !kind.IsSet() {
		return kind != Delimiter, changed
	}
	standing := StandingOf(t, kind, unit)
	if standing == Named || !key {
		return standing != Named, changed
	}
	next := *t
	if standing == New && Adopt(&next, kind, unit) ||
		standing == Beside && kind == PPS && Follow(&next, unit, before) {
		return false, new(next)
	}
	return true, changed
}

// SettleAV1 does the same for a temporal unit: the delimiter goes, a size is given to an OBU
// that has none (only the last may), a changed sequence header makes the track another. unit
// lies in a buffer with OBURoom bytes to spare behind it.
func SettleAV1(t *hal.Track, buf []byte, size int, key bool) (n int, changed *hal.Track, bad int) {
	w, r := 0, 0
	for r < size {
		u, ok := FirstOBU(buf[r:size])
		switch {
		case !ok:
			return w, changed, r
		case u.Kind == TemporalDelimiter:
			r += u.Len
			continue
		case !u.Sized:
			return sizeOBU(buf, w, u), changed, -1
		}
		obu := buf[r : r+u.Len]
		if u.Kind == SequenceHeader && key && StandingOf(t, SPS, obu) == New {
			next := *t
			if Adopt(&next, SPS, obu) {
				changed = &next
				t = changed
			}
		}
		if w != r {
			copy(buf[w:], obu)
		}
		w, r = w+u.Len, r+u.Len
	}
	return w, changed, -1
}

// OBURoom is the longest size field.
const OBURoom = 8

// sizeOBU moves an OBU without a size to w, with one, and returns the new end.
func sizeOBU(buf []byte, w int, u OBU) int {
	var head [2 + OBURoom]byte
	n := copy(head[:], u.Header)
	head[0] |= 2
	n += PutLEB128(head[n:], len(u.Body))
	copy(buf[w+n:], u.Body)
	copy(buf[w:], head[:n])
	return w + n + len(u.Body)
}
