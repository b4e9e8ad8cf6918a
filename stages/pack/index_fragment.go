package pack

import (
	"errors"
	"io"
	"math"
	"time"
)

// fragments reads the headers of all whole fragments from at on.
func (s *scan) fragments(at int64) error {
	for {
		end, err := s.piece(at)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrDamaged):
			if s.index.Broken == nil {
				s.index.Broken = err
			}
			if end == 0 {
				return nil
			}
		case err != nil:
			return err
		}
		at = end
	}
}

// piece reads a fragment or skips another box, and returns where it ends; 0 where that cannot be
// told. io.EOF: it was not written to its end.
func (s *scan) piece(at int64) (int64, error) {
	b, err := s.closed(at)
	if err != nil {
		return 0, err
	}
	if b.kind != "moof" {
		return b.end, nil
	}
	mdat, err := s.closed(b.end)
	if err != nil {
		return 0, err
	}
	if mdat.kind != "mdat" {
		return b.end, damaged(mdat.at, "box %q after a moof", mdat.kind)
	}
	if err := s.fragment(b, mdat); err != nil {
		return mdat.end, err
	}
	s.index.Whole = mdat.end
	return mdat.end, nil
}

// closed reads the box at at; io.EOF where not all of it is there.
func (s *scan) closed(at int64) (top, error) {
	b, err := s.top(at)
	if err == nil && (b.open || b.end > s.size) {
		err = io.EOF
	}
	return b, err
}

// fragment reads one fragment. Nothing of it is kept where it does not make sense.
func (s *scan) fragment(moof, mdat top) error {
	if moof.end-moof.at > maxMoof {
		return damaged(moof.at, "a moof of %d bytes", moof.end-moof.at)
	}
	p, err := s.bytes(moof.body, moof.end-moof.body)
	if err != nil {
		return err
	}
	before := make([]int, len(s.index.Tracks))
	for i := range s.index.Tracks {
		before[i] = len(s.index.Tracks[i].Samples)
	}
	n := s.total
	err = children(p, func(b inner) error {
		if b.kind != "traf" {
			return nil
		}
		f := traf{scan: s, moof: moof.at, from: mdat.body, to: mdat.end}
		return children(b.body, f.part)
	})
	if err == nil && s.total == n {
		err = damaged(moof.at, "a fragment without frames")
	}
	if err != nil {
		s.total = n
		for i, k := range before {
			s.index.Tracks[i].Samples = s.index.Tracks[i].Samples[:k]
		}
		return err
	}
	f := Fragment{Offset: moof.at, Size: mdat.end - moof.at, First: before[s.lead]}
	f.DTS = s.begins(f.First)
	s.index.Fragments = append(s.index.Fragments, f)
	return nil
}

// begins returns when the lead's sample number i begins, or the last one where that is to come.
func (s *scan) begins(i int) time.Duration {
	t := &s.index.Tracks[s.lead]
	if i = min(i, len(t.Samples)-1); i < 0 {
		return 0
	}
	return t.Time(t.Samples[i].DTS)
}

// traf reads what one track adds to a fragment. Only what Packer writes is known.
type traf struct {
	*scan
	moof, from, to int64
	track          *IndexTrack
	at             int64
	timed          bool
}

func (f *traf) part(b inner) error {
	switch b.kind {
	case "tfhd":
		return f.tfhd(b)
	case "tfdt":
		if err := b.atLeast(12); err != nil {
			return err
		}
		f.at, f.timed = int64(be64(b.body[4:])), b.body[0] == 1
		if f.at < 0 || f.at > math.MaxInt64/4 {
			return damaged(f.moof, "a decode time of %d", f.at)
		}
	case "trun":
		return f.trun(b)
	}
	return nil
}

func (f *traf) tfhd(b inner) error {
	if err := b.atLeast(8); err != nil {
		return err
	}
	if be32(b.body) != tfhdFromMoof {
		return damaged(f.moof, "tfhd with flags %x", be32(b.body))
	}
	for i := range f.index.Tracks {
		if f.index.Tracks[i].ID == be32(b.body[4:]) {
			f.track = &f.index.Tracks[i]
			return nil
		}
	}
	return damaged(f.moof, "frames of a track %d that the head does not name", be32(b.body[4:]))
}

func (f *traf) trun(b inner) error {
	const must, may = trunOffset | trunDuration | trunBytes, trunFlags | trunShift
	if err := b.atLeast(12); err != nil {
		return err
	}
	flags := be32(b.body) & 0xffffff
	if f.track == nil || !f.timed || flags&must != must || flags&^(must|may) != 0 {
		return damaged(f.moof, "trun with flags %x", flags)
	}
	width := (&run{flags: flags}).entrySize()
	n, p := int64(be32(b.body[4:])), b.body[12:]
	if n > int64(len(p)/width) || int64(f.total)+n > maxSamples {
		return damaged(f.moof, "%d frames in a trun of %d bytes", n, len(b.body))
	}
	f.total += int(n)
	offset := f.moof + int64(int32(be32(b.body[8:])))
	for ; n > 0; n, p = n-1, p[width:] {
		a := Sample{Offset: offset, DTS: f.at, Duration: be32(p), Size: be32(p[4:]), Sync: true}
		more := p[8:]
		if flags&trunFlags != 0 {
			a.Sync, more = be32(more)&notSync == 0, more[4:]
		}
		if flags&trunShift != 0 {
			a.Shift = int32(be32(more))
		}
		if a.Offset < f.from || a.Offset > f.to-int64(a.Size) {
			return damaged(f.moof, "a frame outside its fragment")
		}
		f.track.Samples = append(f.track.Samples, a)
		offset += int64(a.Size)
		f.at += int64(a.Duration)
	}
	return nil
}
