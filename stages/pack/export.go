package pack

import (
	"fmt"
	"math"
	"time"
)

// Export returns a film of what the sources show from one time to another, of their common time
// line, without coding anything anew: frames before the first picture that are needed to decode
// it are there, and an edit list hides them. It begins with the first picture in the range and
// ends at the end of the range or of what there is. The sources are in the order of time. Where
// nothing lies in the range the error is ErrNothing; where a player could not follow from one to
// the next it is ErrDiffers, and the range is to be exported in several films.
func Export(sources []Source, from, to time.Duration) (*Film, error) {
	c := choice{from: from, to: to}
	var f *Film
	least := time.Duration(math.MinInt64)
	for _, s := range sources {
		s.At = max(s.At, least)
		if s.At >= to {
			break
		}
		x, err := s.index()
		if err != nil {
			return nil, err
		}
		chosen := c.of(x, s.At)
		if chosen == nil {
			continue
		}
		if f == nil {
			f = NewFilm(x)
		}
		if why := f.Differs(x); why != "" {
			return nil, fmt.Errorf("%w: %s at %s", ErrDiffers, why, s.Path)
		}
		if f.frames()+x.frames() > maxSamples {
			return nil, fmt.Errorf("%w: export a shorter time", ErrTooLong)
		}
		f.lay(s, x, chosen)
		least = x.after(s.At)
	}
	if f == nil {
		return nil, fmt.Errorf("%w: %s to %s", ErrNothing, from, to)
	}
	for i := range f.reels {
		f.reels[i].show(c.zero, to)
	}
	return f, nil
}

// after returns when the file that follows one at a time can begin at the earliest: a camera's
// clock may be faster than the one that says when files began.
func (x *Index) after(at time.Duration) time.Duration {
	last := at
	for i := range x.Tracks {
		if t := &x.Tracks[i]; len(t.Samples) > 0 {
			last = max(last, at+t.Time(t.Samples[len(t.Samples)-1].DTS))
		}
	}
	return last + time.Millisecond
}

// lay adds chosen frames of a file, in the order in which they lie there.
func (f *Film) lay(s Source, x *Index, chosen []stretch) {
	offsets := make([]int64, len(x.Tracks))
	for i := range x.Tracks {
		offsets[i] = units(s.At, x.Tracks[i].Scale)
	}
	for i, k := nextIn(x, chosen); i >= 0; i, k = nextIn(x, chosen) {
		a := &x.Tracks[i].Samples[k]
		f.reels[i].add(a, offsets[i]+a.DTS, f.put(&s, a.Offset, int64(a.Size)))
	}
}

// nextIn takes the chosen frame that lies next in the file: its track and its number; −1: none is
// left.
func nextIn(x *Index, chosen []stretch) (track, sample int) {
	track = -1
	for i := range chosen {
		c := chosen[i]
		if c.lo < c.hi && (track < 0 || x.Tracks[i].Samples[c.lo].Offset < x.Tracks[track].Samples[sample].Offset) {
			track, sample = i, c.lo
		}
	}
	if track >= 0 {
		chosen[track].lo++
	}
	return track, sample
}

// put makes a piece of a file part of the payload and returns where it lies there.
func (f *Film) put(s *Source, offset, size int64) int64 {
	at := f.size
	f.size += size
	if n := len(f.pieces); n > 0 {
		if last := &f.pieces[n-1]; last.path == s.Path && last.offset+last.size == offset {
			last.size += size
			return at
		}
	}
	f.pieces = append(f.pieces, piece{path: s.Path, file: s.File, offset: offset, size: size, at: at})
	return at
}

// show makes the edit of a reel: it is shown from one time to another. Where that is nothing it is
// left out.
func (r *reel) show(zero, to time.Duration) {
	from := units(zero, r.Scale)
	end := min(units(to, r.Scale), r.until)
	r.shown = edit{set: true, wait: max(r.first-from, 0), from: max(from-r.first, 0)}
	r.shown.length = max(end-max(from, r.first), 0)
	if r.shown.length == 0 {
		r.count = 0
	}
}
