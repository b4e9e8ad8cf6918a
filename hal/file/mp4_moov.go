package file

import (
	"fmt"
	"time"
)

// mp4Track is a track of an MP4 file.
type mp4Track struct {
	id      uint32
	scale   uint32
	handler fourCC
	entries []entry // its sample descriptions; those that cannot be played have no codec
	index   int     // in the stream
	desc    uint32  // the sample description in force, from 1

	tables tables
	trex   defaults
	runs   runs

	delay int64         // an empty edit at the start, in ticks of the movie
	media int64         // where the first edit that is not empty begins, in ticks
	edits int           // further ones, which are left aside
	shift time.Duration // from the media's time to the file's
	back  int32         // the lowest offset seen, where negative

	head   unit // the next sample
	have   bool
	dts    time.Duration // of head
	gap    bool          // the next frame follows something that was left out
	last   time.Duration // DTS of the frame before
	played bool
}

const (
	maxTracks  = 32
	maxEntries = 16
	maxEdits   = 1 << 10
	tableLimit = 1 << 20 // bytes of a box that is read as a whole
)

// movie reads the moov box.
func (m *mp4) movie(b box) error {
	var movieScale uint32
	l := inside(m.win, b, 0, "moov")
	for {
		c, ok, err := l.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		switch c.kind {
		case cc("mvhd"):
			movieScale, err = headerScale(m.win, c, "moov/mvhd")
		case cc("trak"):
			if len(m.tracks) < maxTracks {
				err = m.track(c)
			}
		case cc("mvex"):
			m.fragmented = true
		}
		if err != nil {
			return err
		}
	}
	if m.fragmented {
		if err := m.extends(b); err != nil {
			return err
		}
	}
	for _, t := range m.tracks {
		if err := t.edit(movieScale); err != nil {
			return damaged(b.start, "moov", adviceRemux, "track %d: %v", t.id, err)
		}
	}
	return nil
}

// edit reckons the shift of a track from its edit list.
func (t *mp4Track) edit(movieScale uint32) error {
	media, ok := toTime(t.media, t.scale)
	if !ok {
		return fmt.Errorf("its edit list begins at tick %d", t.media)
	}
	t.shift = -media
	if t.delay == 0 {
		return nil
	}
	delay, ok := toTime(t.delay, movieScale)
	if !ok {
		return fmt.Errorf("its edit list delays it by %d ticks of %d a second", t.delay, movieScale)
	}
	t.shift += delay
	return nil
}

// headerScale returns the time scale of mvhd and mdhd, which stands in the same place.
func headerScale(w *window, b box, where string) (uint32, error) {
	p, err := field(w, b, where, 0, 1)
	if err != nil {
		return 0, err
	}
	off := int64(12)
	if p[0] == 1 {
		off = 20
	}
	if p, err = field(w, b, where, off, 4); err != nil {
		return 0, err
	}
	return be32(p), nil
}

// track reads a trak box.
func (m *mp4) track(b box) error {
	t := &mp4Track{}
	l := inside(m.win, b, 0, "moov/trak")
	for {
		c, ok, err := l.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		switch c.kind {
		case cc("tkhd"):
			err = t.header(m.win, c)
		case cc("edts"):
			err = t.editList(m.win, c)
		case cc("mdia"):
			err = m.media(t, c)
		}
		if err != nil {
			return err
		}
	}
	if t.handler != cc("vide") && t.handler != cc("soun") {
		return nil
	}
	m.tracks = append(m.tracks, t)
	return nil
}

func (t *mp4Track) header(w *window, b box) error {
	const where = "moov/trak/tkhd"
	p, err := field(w, b, where, 0, 1)
	if err != nil {
		return err
	}
	off := int64(12)
	if p[0] == 1 {
		off = 20
	}
	if p, err = field(w, b, where, off, 4); err != nil {
		return err
	}
	t.id = be32(p)
	return nil
}

// editList takes the delay and the start of the media. What comes after the first edit that
// is not empty is left aside: nothing is cut out or repeated.
func (t *mp4Track) editList(w *window, edts box) error {
	const where = "moov/trak/edts/elst"
	l := inside(w, edts, 0, "moov/trak/edts")
	for {
		b, ok, err := l.next()
		if err != nil || !ok {
			return err
		}
		if b.kind != cc("elst") {
			continue
		}
		p, err := field(w, b, where, 0, 8)
		if err != nil {
			return err
		}
		wide, count := p[0] == 1, be32(p[4:])
		width := int64(12)
		if wide {
			width = 20
		}
		started := false
		for i := range int64(min(count, maxEdits)) {
			p, err := field(w, b, where, 8+i*width, width)
			if err != nil {
				return err
			}
			length, start := int64(be32(p)), int64(int32(be32(p[4:])))
			if wide {
				length, start = int64(be64(p)), int64(be64(p[8:]))
			}
			switch {
			case started:
				t.edits++
			case start < 0:
				t.delay += length
			default:
				t.media, started = start, true
			}
		}
	}
}

// media reads an mdia box.
func (m *mp4) media(t *mp4Track, b box) error {
	l := inside(m.win, b, 0, "moov/trak/mdia")
	for {
		c, ok, err := l.next()
		if err != nil || !ok {
			return err
		}
		switch c.kind {
		case cc("mdhd"):
			t.scale, err = headerScale(m.win, c, "moov/trak/mdia/mdhd")
			if err == nil && t.scale == 0 {
				err = damaged(c.start, "moov/trak/mdia/mdhd", adviceRemux, "a time scale of 0")
			}
		case cc("hdlr"):
			var p []byte
			if p, err = field(m.win, c, "moov/trak/mdia/hdlr", 8, 4); err == nil {
				t.handler = fourCC(p)
			}
		case cc("minf"):
			err = m.mediaInfo(t, c)
		}
		if err != nil {
			return err
		}
	}
}

func (m *mp4) mediaInfo(t *mp4Track, b box) error {
	l := inside(m.win, b, 0, "moov/trak/mdia/minf")
	for {
		c, ok, err := l.next()
		if err != nil || !ok {
			return err
		}
		if c.kind != cc("stbl") || t.handler != cc("vide") && t.handler != cc("soun") {
			continue
		}
		if err := m.sampleTable(t, c); err != nil {
			return err
		}
	}
}

// sampleTable reads an stbl box: where the tables are, not what is in them.
func (m *mp4) sampleTable(t *mp4Track, b box) error {
	const path = "moov/trak/mdia/minf/stbl/"
	s := &t.tables
	l := inside(m.win, b, 0, "moov/trak/mdia/minf/stbl")
	for {
		c, ok, err := l.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		switch c.kind {
		case cc("stsd"):
			err = m.descriptions(t, c)
		case cc("stts"):
			s.stts, err = openColumn(m.win, c, path+"stts", 4, 8)
		case cc("ctts"):
			s.ctts, err = openColumn(m.win, c, path+"ctts", 4, 8)
		case cc("stsc"):
			s.stsc, err = openColumn(m.win, c, path+"stsc", 4, 12)
		case cc("stsz"):
			err = s.sizes(m.win, c, path+"stsz")
		case cc("stz2"):
			err = damaged(c.start, path+"stz2", adviceRemux, "compact sample sizes are not supported")
		case cc("stco"):
			s.stco, err = openColumn(m.win, c, path+"stco", 4, 4)
			s.wide = false
		case cc("co64"):
			s.stco, err = openColumn(m.win, c, path+"co64", 4, 8)
			s.wide = true
		case cc("stss"):
			s.stss, err = openColumn(m.win, c, path+"stss", 4, 4)
			s.sparse = true
		}
		if err != nil {
			return err
		}
	}
	if name := s.missing(); name != "" {
		return damaged(b.start, "moov/trak/mdia/minf/stbl", adviceRemux, "%s is missing, there are %d samples", name, s.count)
	}
	return nil
}

func (t *tables) sizes(w *window, b box, where string) error {
	p, err := field(w, b, where, 4, 8)
	if err != nil {
		return err
	}
	t.fixed, t.count = be32(p), be32(p[4:])
	if t.fixed != 0 {
		return nil
	}
	t.stsz, err = openColumn(w, b, where, 8, 4)
	return err
}

// extends reads the defaults of fragments.
func (m *mp4) extends(moov box) error {
	const where = "moov/mvex/trex"
	l := inside(m.win, moov, 0, "moov")
	for {
		b, ok, err := l.next()
		if err != nil || !ok {
			return err
		}
		if b.kind != cc("mvex") {
			continue
		}
		x := inside(m.win, b, 0, "moov/mvex")
		for {
			c, ok, err := x.next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if c.kind != cc("trex") {
				continue
			}
			p, err := field(m.win, c, where, 4, 20)
			if err != nil {
				return err
			}
			if t := m.byID(be32(p)); t != nil {
				t.trex = defaults{desc: be32(p[4:]), dur: be32(p[8:]), size: be32(p[12:]), flags: be32(p[16:])}
			}
		}
	}
}

func (m *mp4) byID(id uint32) *mp4Track {
	for _, t := range m.tracks {
		if t.id == id {
			return t
		}
	}
	return nil
}
