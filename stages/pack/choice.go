package pack

import (
	"errors"
	"time"
)

// ErrNothing says that no frame lies in the range asked for.
var ErrNothing = errors.New("nothing was recorded in that time")

// ErrDiffers says that a file cannot go on in the film that the files before it began.
var ErrDiffers = errors.New("a player could not follow")

// choice finds the frames of a range in files, one after the other: from the key frame before
// it, so that all of it can be decoded.
type choice struct {
	from, to time.Duration
	begun    bool
	zero     time.Duration // when the first picture of the range is shown
}

// stretch is samples lo to hi−1 of a track.
type stretch struct{ lo, hi int }

// of returns what to take of each track of a file; nil where the range has not begun.
func (c *choice) of(x *Index, at time.Duration) []stretch {
	all := make([]stretch, len(x.Tracks))
	lead := x.Lead()
	l, ok := c.lead(&x.Tracks[lead], at)
	if !ok {
		return nil
	}
	for i := range x.Tracks {
		if i != lead {
			all[i] = c.other(&x.Tracks[i], at)
		}
	}
	all[lead] = l
	return all
}

// lead chooses frames of the lead track: all that are shown in the range, and those before, from
// a key frame on, which they need.
func (c *choice) lead(t *IndexTrack, at time.Duration) (stretch, bool) {
	off, from, to := units(at, t.Scale), units(c.from, t.Scale), units(c.to, t.Scale)
	first, hi, zero := -1, 0, int64(0)
	for i := range t.Samples {
		pts := off + t.Samples[i].DTS + int64(t.Samples[i].Shift)
		if pts >= to {
			continue
		}
		hi = i + 1
		if pts < from {
			continue
		}
		if first < 0 || pts < zero {
			zero = pts
		}
		if first < 0 {
			first = i
		}
	}
	if c.begun {
		return stretch{0, hi}, true
	}
	if first < 0 {
		return stretch{}, false
	}
	c.begun, c.zero = true, since(zero, t.Scale)
	lo := t.key(first)
	if t.Samples[lo].DTS+int64(t.Samples[lo].Shift) > zero-off { // pictures shown before their key frame need the one before
		lo = t.key(max(lo-1, 0))
	}
	return stretch{lo, hi}, true
}

// other chooses frames of another track: those of the range, and one before them where there is
// one, which sound decoders want to get going.
func (c *choice) other(t *IndexTrack, at time.Duration) stretch {
	off, zero, to := units(at, t.Scale), units(c.zero, t.Scale), units(c.to, t.Scale)
	s := stretch{len(t.Samples), 0}
	for i := range t.Samples {
		dts := off + t.Samples[i].DTS
		if dts+int64(t.Samples[i].Duration) > zero {
			s.lo = min(s.lo, i)
		}
		if dts < to {
			s.hi = i + 1
		}
	}
	if s.lo >= s.hi {
		return stretch{}
	}
	s.lo = t.key(max(s.lo-1, 0))
	return s
}

// key returns the last key frame up to sample i; the first sample where there is none.
func (t *IndexTrack) key(i int) int {
	for i > 0 && !t.Samples[i].Sync {
		i--
	}
	return i
}
