package pack

import (
	"math"
	"slices"
)

// moov reads the tracks, and their samples where they are in tables.
func (s *scan) moov(p []byte) error {
	fragmented, scale := false, uint32(0)
	var traks []inner
	err := children(p, func(b inner) (err error) {
		switch b.kind {
		case "mvex":
			fragmented = true
		case "mvhd":
			scale, err = b.scale()
		case "trak":
			traks = append(traks, b)
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(traks) == 0 || len(traks) > maxTracks {
		return damaged(0, "%d tracks", len(traks))
	}
	s.index.Progressive = !fragmented
	for _, b := range traks {
		t := trak{movie: scale}
		if err := children(b.body, t.part); err != nil {
			return err
		}
		if err := t.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(s.index.Tracks, func(o IndexTrack) bool { return o.ID == t.ID }) {
			return damaged(0, "two tracks have the number %d", t.ID)
		}
		if !fragmented {
			if err := s.table(&t); err != nil {
				return err
			}
		}
		s.index.Tracks = append(s.index.Tracks, t.IndexTrack)
	}
	s.lead = s.index.Lead()
	return nil
}

// trak is a track as its boxes describe it.
type trak struct {
	IndexTrack
	movie   uint32 // time scale of the film
	handler string
	begins  int64 // of the film's, before the track begins: its empty edit
	skips   int64 // of its own, that are hidden
	tables  map[string]inner
}

// part takes one box of the track, and those in it.
func (t *trak) part(b inner) error {
	switch b.kind {
	case "mdia", "minf", "edts":
		return children(b.body, t.part)
	case "stbl":
		t.tables = map[string]inner{}
		return children(b.body, t.part)
	case "tkhd":
		return t.tkhd(b)
	case "mdhd":
		var err error
		t.Scale, err = b.scale()
		return err
	case "elst":
		return t.elst(b)
	case "hdlr":
		if err := b.atLeast(12); err != nil {
			return err
		}
		t.handler = string(b.body[8:12])
		t.Video = t.handler == "vide"
	case "stsd":
		return t.stsd(b)
	case "stts", "ctts", "stss", "stsz", "stsc", "stco", "co64":
		if t.tables != nil {
			t.tables[b.kind] = b
		}
	}
	return nil
}

func (t *trak) tkhd(b inner) error {
	if err := b.atLeast(84); err != nil {
		return err
	}
	at := 12
	if b.body[0] == 1 {
		at = 20
	}
	t.ID = be32(b.body[at:])
	size := b.body[len(b.body)-8:]
	t.Width, t.Height = int(be16(size)), int(be16(size[4:]))
	return nil
}

// scale returns the time scale in mvhd or mdhd.
func (b inner) scale() (uint32, error) {
	if err := b.atLeast(24); err != nil {
		return 0, err
	}
	if b.body[0] == 1 {
		return be32(b.body[20:]), nil
	}
	return be32(b.body[12:]), nil
}

// elst reads the edits that this program makes: the track begins late, and its first frames are
// there to be decoded only.
func (t *trak) elst(b inner) error {
	width := 12
	if len(b.body) > 0 && b.body[0] == 1 {
		width = 20
	}
	n, err := b.count(width)
	if err != nil {
		return err
	}
	for p := b.body[8:]; n > 0; n, p = n-1, p[width:] {
		length, from := int64(be32(p)), int64(int32(be32(p[4:])))
		if width == 20 {
			length, from = int64(be64(p)&math.MaxInt64), int64(be64(p[8:]))
		}
		if from >= 0 {
			t.skips = from
			return nil
		}
		t.begins += length
	}
	return nil
}

func (t *trak) stsd(b inner) error {
	if err := b.atLeast(16); err != nil {
		return err
	}
	if n := be32(b.body[4:]); n != 1 {
		return damaged(0, "%d sample descriptions in a track", n)
	}
	return children(b.body[8:], func(e inner) error {
		if t.Entry != nil || len(e.raw) > maxEntry || len(e.raw) < 36 {
			return damaged(0, "a sample description of %d bytes", len(e.raw))
		}
		t.Entry = append([]byte{}, e.raw...)
		return nil
	})
}

func (t *trak) check() error {
	switch {
	case t.ID == 0 || t.Scale == 0 || t.Entry == nil:
		return damaged(0, "a track without a number, a time scale or a sample description")
	case t.handler != "vide" && t.handler != "soun":
		return damaged(0, "a track of %q", t.handler)
	}
	return nil
}
