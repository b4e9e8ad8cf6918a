package pack

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// Play is a range of recordings as one fragmented MP4, for a player that reads it as it comes.
// It begins with the key frame before the range, because there is no edit list in it.
type Play struct {
	sources []Source
	choice  choice
	film    *Film         // its head
	start   time.Duration // of the sources' time line, at the time 0 of what is played
}

// A fragment of what is played is that long, or a little less where a key frame stands.
const (
	playFragment = time.Second
	playLeast    = playFragment / 4
)

// Fragments plays what the sources, in the order of time, show from one time to another of their
// common time line. Where nothing lies in the range the error is ErrNothing.
func Fragments(sources []Source, from, to time.Duration) (*Play, error) {
	for i, s := range sources {
		if s.At >= to {
			break
		}
		x, err := s.index()
		if err != nil {
			return nil, err
		}
		c := choice{from: from, to: to}
		chosen := c.of(x, s.At)
		if chosen == nil {
			continue
		}
		p := &Play{sources: sources[i:], choice: choice{from: from, to: to}, film: NewFilm(x)}
		p.film.fragmented = true
		lead := &x.Tracks[p.film.lead]
		p.start = s.At + lead.Time(lead.Samples[chosen[p.film.lead].lo].DTS)
		return p, nil
	}
	return nil, fmt.Errorf("%w: %s to %s", ErrNothing, from, to)
}

// Start returns which time of the sources' time line the time 0 of what is played is.
func (p *Play) Start() time.Duration { return p.start }

// WriteTo implements io.WriterTo. Where a player could not follow from one file to the next it
// ends with ErrDiffers; what was written until then is whole.
func (p *Play) WriteTo(w io.Writer) (int64, error) {
	ftyp, moov := fileType(), p.film.moov(false, 0)
	out := &player{Play: p, w: w, choice: p.choice, least: math.MinInt64}
	if err := out.write(moov.append(ftyp.append(nil))...); err != nil {
		return out.total, err
	}
	for i := range p.sources {
		if p.sources[i].At >= p.choice.to {
			break
		}
		if err := out.play(i); err != nil {
			return out.total, err
		}
	}
	return out.total, nil
}

// player writes a Play once.
type player struct {
	*Play
	w        io.Writer
	choice   choice
	total    int64
	sequence uint32
	runs     []run
	header   []byte

	// The file that is played.
	from   *os.File
	index  *Index
	chosen []stretch
	off    []int64       // of each track: where its time 0 is
	next   time.Duration // where the next file begins; 0: there is none
	least  time.Duration // of the next file's At
}

func (o *player) write(parts ...[]byte) error {
	for _, b := range parts {
		n, err := o.w.Write(b)
		o.total += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// play writes what is to be played of one file.
func (o *player) play(i int) (err error) {
	s := o.sources[i]
	s.At = max(s.At, o.least)
	if o.index, err = s.index(); err != nil {
		return err
	}
	if o.chosen = o.choice.of(o.index, s.At); o.chosen == nil {
		return nil
	}
	if why := o.film.Differs(o.index); why != "" {
		return fmt.Errorf("%w: %s at %s", ErrDiffers, why, s.Path)
	}
	if o.from = s.File; o.from == nil {
		if o.from, err = os.Open(s.Path); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.from.Close()) }()
	}
	o.next, o.least = 0, o.index.after(s.At)
	if i+1 < len(o.sources) {
		o.next = min(max(o.sources[i+1].At, o.least), o.choice.to) - o.start
	}
	o.off = o.off[:0]
	for k := range o.index.Tracks {
		t, c := &o.index.Tracks[k], &o.chosen[k]
		off := units(s.At-o.start, t.Scale)
		o.off = append(o.off, off)
		for c.lo < c.hi && off+t.Samples[c.lo].DTS < 0 { // before the key frame
			c.lo++
		}
	}
	for o.left() {
		if err := o.fragment(); err != nil {
			return fmt.Errorf("play %s: %w", s.Path, err)
		}
	}
	return nil
}

func (o *player) left() bool {
	for _, c := range o.chosen {
		if c.lo < c.hi {
			return true
		}
	}
	return false
}

// fragment writes the next fragment: a piece of the lead track, and what the others have until
// that ends.
func (o *player) fragment() error {
	o.runs = o.runs[:0]
	begins := make([]int, len(o.chosen))
	lead, until := o.film.lead, time.Duration(0)
	end := o.cut(&o.index.Tracks[lead], o.chosen[lead])
	last := end == o.chosen[lead].hi
	if !last {
		until = o.at(lead, end)
	}
	for i := range o.chosen {
		t, c := &o.index.Tracks[i], &o.chosen[i]
		begins[i] = c.lo
		r := run{id: t.ID}
		for ; c.lo < c.hi && (last || i == lead && c.lo < end || i != lead && o.at(i, c.lo) < until) && len(r.entries) < maxFrames; c.lo++ {
			o.add(&r, i, c.lo)
		}
		o.runs = append(o.runs, r)
	}
	o.sequence++
	o.header = appendHeader(o.header[:0], o.sequence, o.runs)
	if err := o.write(o.header); err != nil {
		return err
	}
	for i := range o.chosen {
		if err := o.payload(o.index.Tracks[i].Samples[begins[i]:o.chosen[i].lo]); err != nil {
			return err
		}
	}
	return nil
}

// at returns when a sample is decoded, in the time of what is played.
func (o *player) at(track, sample int) time.Duration {
	t := &o.index.Tracks[track]
	return t.Time(o.off[track] + t.Samples[sample].DTS)
}

// cut returns where the next fragment of the lead track ends.
func (o *player) cut(t *IndexTrack, c stretch) int {
	for i := c.lo + 1; i < c.hi; i++ {
		d := t.Time(t.Samples[i].DTS - t.Samples[c.lo].DTS)
		if d >= playFragment || t.Video && t.Samples[i].Sync && d >= playLeast || i-c.lo == maxFrames {
			return i
		}
	}
	return c.hi
}

// add makes a sample part of a run. The last one of a file lasts until the next begins.
func (o *player) add(r *run, track, sample int) {
	t := &o.index.Tracks[track]
	a := &t.Samples[sample]
	dts := o.off[track] + a.DTS
	if len(r.entries) == 0 {
		r.base = dts
	}
	e := entryOf{duration: a.Duration, size: a.Size, shift: a.Shift}
	if o.next > 0 && sample == len(t.Samples)-1 {
		e.duration = span(units(o.next, t.Scale) - dts)
	}
	if !a.Sync {
		e.flags = notSync
		r.flags |= trunFlags
	}
	if a.Shift != 0 {
		r.flags |= trunShift
	}
	r.entries = append(r.entries, e)
	r.bytes += int(a.Size)
}

// payload copies samples, of which most lie one after the other.
func (o *player) payload(all []Sample) error {
	for len(all) > 0 {
		p := piece{offset: all[0].Offset, size: int64(all[0].Size)}
		n := 1
		for ; n < len(all) && all[n].Offset == p.offset+p.size; n++ {
			p.size += int64(all[n].Size)
		}
		sent, err := p.send(o.w, o.from)
		o.total += sent
		if err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}
