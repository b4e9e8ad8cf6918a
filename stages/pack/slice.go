package pack

import "io"

// Init returns the head of what WriteSlice writes. A player that has read it can go on with any
// slice.
func (x *Index) Init() []byte {
	f := NewFilm(x)
	f.fragmented = true
	moov := f.moov(false, 0)
	var head []byte
	for _, b := range moov.append(ftypParts()) {
		head = append(head, b...)
	}
	return head
}

func ftypParts() [][]byte {
	ftyp := fileType()
	return ftyp.append(nil)
}

// WriteSlice writes the lead track's frames lo to hi−1 of a file, and what the other tracks have
// meanwhile, as fragments without a head. Their times are the file's own. So a progressive file
// can be played in pieces, as the fragments of another lie there by themselves.
func (s *Source) WriteSlice(w io.Writer, x *Index, lo, hi int) (int64, error) {
	lead := x.Lead()
	n := len(x.Tracks[lead].Samples)
	lo = min(max(lo, 0), n)
	hi = min(max(hi, lo), n)
	f := NewFilm(x)
	o := &player{Play: &Play{film: f}, w: w, from: s.File, index: x, off: make([]int64, len(x.Tracks)), sequence: uint32(lo)}
	for i := range x.Tracks {
		c := stretch{lo, hi}
		if i != lead {
			c = x.meanwhile(i, lo, hi)
		}
		for c.lo < c.hi && x.Tracks[i].Samples[c.lo].DTS < 0 { // hidden
			c.lo++
		}
		o.chosen = append(o.chosen, c)
	}
	for o.left() {
		if err := o.fragment(); err != nil {
			return o.total, err
		}
	}
	return o.total, nil
}

// meanwhile returns the samples of a track that are decoded while the lead's lo to hi−1 are.
func (x *Index) meanwhile(track, lo, hi int) stretch {
	lead, t := &x.Tracks[x.Lead()], &x.Tracks[track]
	s := stretch{0, len(t.Samples)}
	for i := range t.Samples {
		at := t.Time(t.Samples[i].DTS)
		if lo > 0 && at < lead.Time(lead.Samples[min(lo, len(lead.Samples)-1)].DTS) {
			s.lo = i + 1
		}
		if hi < len(lead.Samples) && at >= lead.Time(lead.Samples[hi].DTS) {
			s.hi = i
			break
		}
	}
	s.lo = min(s.lo, s.hi)
	return s
}
