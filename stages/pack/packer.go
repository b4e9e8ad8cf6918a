package pack

import (
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// A fragment is cut at these too, however little time they span: one vectored write takes a
// thousand pieces, and what is held must stay small where time does not advance.
const (
	maxFrames = 1000
	maxBytes  = 16 << 20
)

// Packer collects the frames of one file and yields them in fragments. It owns the references
// of what it holds. The last frame of each track waits for the one that follows it, because
// only that one says how long it lasts. One goroutine uses a Packer.
type Packer struct {
	movie *Movie
	lanes []lane
	arena *pool.Arena // for decoded G.711
	runs  []run

	sequence uint32
	origin   time.Duration // the DTS that is time 0 of the file, once begun
	begun    bool
	newest   time.Duration // DTS
	cut      time.Duration // newest at the last cut
	first    bool          // nothing was added yet
	frames   int
	bytes    int

	header []byte
	parts  [][]byte
}

// lane is what a Packer holds of one track.
type lane struct {
	samples []sample
	leaving int           // how many of them the fragment under way has
	at      int64         // the least time of the next sample, in the track's units
	lasted  int64         // duration of the sample before, in the track's units
	end     time.Duration // DTS of what follows in the next file, where ended
	ended   bool
}

type sample struct {
	buf      pool.Buffer
	dts, pts time.Duration
	key      bool
}

// NewPacker returns a Packer for one file, which begins with m.Head().
func NewPacker(m *Movie) *Packer {
	return &Packer{
		movie: m,
		lanes: make([]lane, len(m.tracks)),
		runs:  make([]run, len(m.tracks)),
		arena: pool.NewArena(pool.ArenaConfig{Chunk: 16 << 10}),
		first: true,
	}
}

// Movie returns what the file was planned as.
func (p *Packer) Movie() *Movie { return p.movie }

// Add takes a frame and its reference, whatever it returns. A frame of a track that the movie
// leaves out, or without a byte, is released and not stored. The frame's stream is the movie's.
func (p *Packer) Add(f hal.Frame) error {
	if !p.movie.Stores(f.Track) || f.Buf.IsZero() || f.Buf.Len() == 0 {
		f.Release()
		return nil
	}
	i := p.movie.slot[f.Track]
	t := &p.movie.tracks[i]
	s := sample{buf: f.Buf, dts: f.Stamp.DTS, pts: f.Stamp.PTS, key: f.Key || !t.info.Codec.IsInter()}
	if t.law != nil {
		b, err := p.arena.Get(2 * f.Buf.Len())
		if err != nil {
			f.Release()
			return fmt.Errorf("decode %s: %w", t.info.Codec, err)
		}
		expand(b.Bytes(), f.Buf.Bytes(), t.law)
		f.Release()
		s.buf = b
	}
	p.insert(i, s)
	return nil
}

func (p *Packer) insert(i int, s sample) {
	if p.first {
		p.newest, p.cut, p.first = s.dts, s.dts, false
	}
	p.newest = max(p.newest, s.dts)
	p.frames++
	p.bytes += s.buf.Len()
	p.lanes[i].samples = append(p.lanes[i].samples, s)
}

// Span returns how much time has come in since the last cut.
func (p *Packer) Span() time.Duration { return p.newest - p.cut }

// Bytes returns the size of the frames held.
func (p *Packer) Bytes() int { return p.bytes }

// Frames returns how many frames are held.
func (p *Packer) Frames() int { return p.frames }

// Ready says whether a fragment is to be cut: d has come in, or more than a fragment should
// hold, and there is something to write.
func (p *Packer) Ready(d time.Duration) bool {
	if p.Span() < d && p.frames < maxFrames && p.bytes < maxBytes {
		return false
	}
	for i := range p.lanes {
		if len(p.lanes[i].samples) > 1 {
			return true
		}
	}
	return false
}

// Cut returns the next fragment in pieces, to be written one after the other: its header, then
// the frames as they lie in their buffers. The last frame of each track stays for the fragment
// that follows. Nil means that there is nothing to write. The pieces are valid until Release or
// Discard, one of which comes before anything else.
func (p *Packer) Cut() [][]byte { return p.fragment(false) }

// Finish is Cut for the last fragment of the file, which holds everything. How long the last
// frame of a track lasts is told by what follows (HandOver), by the frame itself (sound), or
// taken from the frame before it and the track's frame rate.
func (p *Packer) Finish() [][]byte { return p.fragment(true) }

func (p *Packer) fragment(all bool) [][]byte {
	p.begin()
	p.parts = append(p.parts[:0], nil)
	for i := range p.lanes {
		p.collect(i, all)
	}
	if len(p.parts) == 1 {
		return nil
	}
	p.sequence++
	p.header = appendHeader(p.header[:0], p.sequence, p.runs)
	p.parts[0] = p.header
	p.cut = p.newest
	return p.parts
}

// begin fixes the file's time 0, at the first fragment: the earliest DTS in it. Tracks thereby
// start as far apart as they were.
func (p *Packer) begin() {
	if p.begun {
		return
	}
	for i := range p.lanes {
		if s := p.lanes[i].samples; len(s) > 0 && (!p.begun || s[0].dts < p.origin) {
			p.origin, p.begun = s[0].dts, true
		}
	}
}

// collect makes the run of one track and appends its frames to the pieces.
func (p *Packer) collect(i int, all bool) {
	l, t, r := &p.lanes[i], &p.movie.tracks[i], &p.runs[i]
	*r = run{id: t.id, entries: r.entries[:0]}
	l.leaving = len(l.samples)
	if !all {
		l.leaving = max(0, l.leaving-1)
	}
	if l.leaving == 0 {
		return
	}
	at := p.timeOf(i, l.samples[0].dts)
	r.base = at
	for k := range l.leaving {
		s := &l.samples[k]
		next := p.follows(i, k, at)
		e := entryOf{duration: span(next - at), size: uint32(s.buf.Len())}
		e.shift = shift(units(s.pts-p.origin, t.scale) - units(s.dts-p.origin, t.scale))
		if !s.key {
			e.flags = notSync
			r.flags |= trunFlags
		}
		if e.shift != 0 {
			r.flags |= trunShift
		}
		r.entries = append(r.entries, e)
		r.bytes += s.buf.Len()
		p.parts = append(p.parts, s.buf.Bytes())
		l.lasted = next - at
		at = next
		l.at = at
	}
}

// timeOf returns a DTS in the file's time; it never steps back within a track.
func (p *Packer) timeOf(i int, dts time.Duration) int64 {
	return max(units(dts-p.origin, p.movie.tracks[i].scale), p.lanes[i].at)
}

// follows returns when the sample after number k is due, which begins at at.
func (p *Packer) follows(i, k int, at int64) int64 {
	l, t := &p.lanes[i], &p.movie.tracks[i]
	switch {
	case k+1 < len(l.samples):
		return max(p.timeOf(i, l.samples[k+1].dts), at)
	case l.ended:
		return max(p.timeOf(i, l.end), at)
	}
	says := nominal(t.info, t.scale, l.samples[k].buf.Bytes())
	if says > 0 && !t.info.Codec.IsVideo() {
		return at + says
	}
	for _, d := range []int64{l.lasted, says} {
		if d > 0 {
			return at + d
		}
	}
	return at + int64(t.scale)/25
}

// Length returns how far the lead track goes in the fragments that were cut, in the file's time.
func (p *Packer) Length() time.Duration {
	t := &p.movie.tracks[p.movie.lead]
	return since(p.lanes[p.movie.lead].at, t.scale)
}

// Resume goes on behind what Finish cut, or begins a file whose time goes on from another's: a
// frame of DTS dts will stand at time at of the file.
func (p *Packer) Resume(dts, at time.Duration) {
	p.origin, p.begun, p.first = dts-at, true, true
	for i := range p.lanes {
		p.lanes[i].ended = false
	}
}

// Release gives back the frames of the last fragment, once it is written.
func (p *Packer) Release() {
	for i := range p.lanes {
		l := &p.lanes[i]
		for k := range l.leaving {
			p.frames--
			p.bytes -= l.samples[k].buf.Len()
			l.samples[k].buf.Release()
		}
		rest := copy(l.samples, l.samples[l.leaving:])
		clear(l.samples[rest:])
		l.samples, l.leaving = l.samples[:rest], 0
	}
	clear(p.parts)
	p.parts = p.parts[:0]
}

// Discard gives back everything.
func (p *Packer) Discard() {
	for i := range p.lanes {
		p.lanes[i].leaving = len(p.lanes[i].samples)
	}
	p.Release()
}

// HandOver ends p before a frame of the lead track at DTS from, which will be the first of
// next: what the other tracks have from then on goes over to next, and both files meet without
// a seam.
func (p *Packer) HandOver(next *Packer, from time.Duration) {
	for i := range p.lanes {
		l := &p.lanes[i]
		if i == p.movie.lead {
			l.end, l.ended = from, true
			continue
		}
		k := len(l.samples)
		for k > 0 && l.samples[k-1].dts >= from {
			k--
		}
		if k == len(l.samples) {
			continue
		}
		l.end, l.ended = l.samples[k].dts, true
		to := next.movie.slot[p.movie.tracks[i].index]
		for _, s := range l.samples[k:] {
			p.frames--
			p.bytes -= s.buf.Len()
			if to < 0 {
				s.buf.Release()
				continue
			}
			next.insert(to, s)
		}
		clear(l.samples[k:])
		l.samples = l.samples[:k]
	}
}
