package file

import (
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// settle brings an access unit of length-prefixed NAL units into the form that hal.Frame
// promises, in place: without delimiters and without the parameter sets that the track names.
// It returns the length that is left. Where a key frame brings other sets it returns the
// track as it is from here on. bad is where a length passes the end, −1 where none does.
func settle(t *hal.Track, unit []byte, key bool) (n int, changed *hal.Track, bad int) {
	walk := nal.Prefixed(unit)
	for u, ok := walk.Next(); ok; u, ok = walk.Next() {
		var keep bool
		if keep, changed = keepUnit(t, changed, unit[:n], u, key); keep {
			n += nal.Put(unit[n:], u)
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
	kind := nal.KindOf(t.Codec, unit[0])
	if !kind.IsSet() {
		return kind != nal.Delimiter, changed
	}
	standing := nal.StandingOf(t, kind, unit)
	if standing == nal.Named || !key {
		return standing != nal.Named, changed
	}
	next := *t
	if standing == nal.New && nal.Adopt(&next, kind, unit) ||
		standing == nal.Beside && kind == nal.PPS && nal.Follow(&next, unit, before) {
		return false, new(next)
	}
	return true, changed
}

// settleAV1 does the same for a temporal unit: the delimiter goes, a size is given to an OBU
// that has none (only the last may), a changed sequence header makes the track another. unit
// lies in a buffer with obuRoom bytes to spare behind it.
func settleAV1(t *hal.Track, buf []byte, size int, key bool) (n int, changed *hal.Track, bad int) {
	w, r := 0, 0
	for r < size {
		u, ok := nal.FirstOBU(buf[r:size])
		switch {
		case !ok:
			return w, changed, r
		case u.Kind == nal.TemporalDelimiter:
			r += u.Len
			continue
		case !u.Sized:
			return sizeOBU(buf, w, u), changed, -1
		}
		obu := buf[r : r+u.Len]
		if u.Kind == nal.SequenceHeader && key && nal.StandingOf(t, nal.SPS, obu) == nal.New {
			next := *t
			if nal.Adopt(&next, nal.SPS, obu) {
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

// obuRoom is the longest size field.
const obuRoom = 8

// sizeOBU moves an OBU without a size to w, with one, and returns the new end.
func sizeOBU(buf []byte, w int, u nal.OBU) int {
	var head [2 + obuRoom]byte
	n := copy(head[:], u.Header)
	head[0] |= 2
	n += nal.PutLEB128(head[n:], len(u.Body))
	copy(buf[w+n:], u.Body)
	copy(buf[w:], head[:n])
	return w + n + len(u.Body)
}
