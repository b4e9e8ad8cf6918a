package pack

import "math"

// table reads a track's samples from its tables (ISO/IEC 14496-12, 8.6 and 8.7).
func (s *scan) table(t *trak) error {
	n, fixed, err := t.sizes()
	if err != nil {
		return err
	}
	if n > maxSamples-s.total || fixed != 0 && int64(n) > s.size/int64(fixed) {
		return damaged(0, "%d frames", n)
	}
	s.total += n
	t.Samples = make([]Sample, n)
	sync := t.tables["stss"].raw == nil
	for i := range t.Samples {
		t.Samples[i].Sync, t.Samples[i].Size = sync, fixed
		if fixed == 0 {
			t.Samples[i].Size = be32(t.tables["stsz"].body[12+4*i:])
		}
	}
	for _, fill := range []func() error{t.times, t.shifts, t.syncs, t.places} {
		if err := fill(); err != nil {
			return err
		}
	}
	return nil
}

// sizes returns how many samples there are, and their size where all have the same.
func (t *trak) sizes() (int, uint32, error) {
	b := t.tables["stsz"]
	if err := b.atLeast(12); err != nil {
		return 0, 0, err
	}
	n := int64(be32(b.body[8:]))
	if fixed := be32(b.body[4:]); fixed != 0 {
		return int(min(n, maxSamples+1)), fixed, nil
	}
	if room := int64(len(b.body)-12) / 4; n > room {
		return 0, 0, damaged(0, "sizes of %d frames, there is room for %d", n, room)
	}
	return int(n), 0, nil
}

// runs gives each sample the value of a run-length coded table.
func (t *trak) runs(kind string, give func(i int, v uint32)) (int, error) {
	b := t.tables[kind]
	n, err := b.count(8)
	if err != nil {
		return 0, err
	}
	i := 0
	for p := b.body[8:]; n > 0; n, p = n-1, p[8:] {
		k := int64(be32(p))
		if k > int64(len(t.Samples)-i) {
			return 0, damaged(0, "%s is for more than the %d frames of its track", kind, len(t.Samples))
		}
		for v := be32(p[4:]); k > 0; k, i = k-1, i+1 {
			give(i, v)
		}
	}
	return i, nil
}

func (t *trak) times() error {
	at := -t.skips
	if t.movie > 0 && t.begins < math.MaxInt64/4 {
		at += units(since(t.begins, t.movie), t.Scale)
	}
	n, err := t.runs("stts", func(i int, v uint32) {
		t.Samples[i].DTS, t.Samples[i].Duration = at, v
		at += int64(v)
	})
	if err == nil && n < len(t.Samples) {
		return damaged(0, "times of %d of %d frames", n, len(t.Samples))
	}
	return err
}

func (t *trak) shifts() error {
	if t.tables["ctts"].raw == nil {
		return nil
	}
	_, err := t.runs("ctts", func(i int, v uint32) { t.Samples[i].Shift = int32(v) })
	return err
}

func (t *trak) syncs() error {
	b := t.tables["stss"]
	if b.raw == nil {
		return nil
	}
	n, err := b.count(4)
	if err != nil {
		return err
	}
	for i := range n {
		k := int64(be32(b.body[8+4*i:]))
		if k < 1 || k > int64(len(t.Samples)) {
			return damaged(0, "frame %d of %d is a key frame", k, len(t.Samples))
		}
		t.Samples[k-1].Sync = true
	}
	return nil
}

// places gives each sample its offset.
func (t *trak) places() error {
	stco, width := t.tables["stco"], 4
	if stco.raw == nil {
		stco, width = t.tables["co64"], 8
	}
	chunks, err := stco.count(width)
	if err != nil {
		return err
	}
	stsc := t.tables["stsc"]
	groups, err := stsc.count(12)
	if err != nil {
		return err
	}
	i, per, group := 0, uint32(0), 0
	for c := 0; c < chunks && i < len(t.Samples); c++ {
		if group < groups && be32(stsc.body[8+12*group:]) <= uint32(c)+1 {
			per = be32(stsc.body[12+12*group:])
			group++
		}
		at := chunk(stco.body[8:], c, width)
		for k := uint32(0); k < per && i < len(t.Samples); k, i = k+1, i+1 {
			if at < 0 || at > math.MaxInt64/2 {
				return damaged(0, "a chunk at byte %d", at)
			}
			t.Samples[i].Offset = at
			at += int64(t.Samples[i].Size)
		}
	}
	if i < len(t.Samples) {
		return damaged(0, "places of %d of %d frames", i, len(t.Samples))
	}
	return nil
}

// chunk returns where chunk number c begins.
func chunk(p []byte, c, width int) int64 {
	if width == 8 {
		return int64(be64(p[8*c:]))
	}
	return int64(be32(p[4*c:]))
}
