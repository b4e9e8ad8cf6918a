package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack"
)

// Sound that waits for the opening key frame: as far as sound may run ahead of its picture, and
// as many frames at most. The oldest go first.
const (
	longestLead = 2 * time.Second
	maxEarly    = 256
)

// await looks for the frame to begin a file with.
func (r *Recorder) await(f hal.Frame) error {
	lead := pack.Lead(f.Stream)
	if lead < 0 {
		f.Release()
		return fmt.Errorf("%w: this stream has nothing that MP4 can hold: %v", hal.ErrUnsupported, f.Stream.Tracks)
	}
	switch {
	case r.again && f.Stamp.Run == r.untilRun && f.Stamp.DTS <= r.untilDTS:
		r.skip(f)
		return nil
	case f.Track == lead && (f.Key || !f.Info().Codec.IsInter()):
		return r.begin(f)
	case f.Track == lead || f.Info().Codec.IsVideo():
		r.skip(f)
		return nil
	}
	r.early = append(r.early, f)
	old := 0
	for len(r.early)-old > maxEarly || f.Stamp.DTS-r.early[old].Stamp.DTS > longestLead {
		r.skip(r.early[old])
		old++
	}
	rest := copy(r.early, r.early[old:])
	clear(r.early[rest:])
	r.early = r.early[:rest]
	return nil
}

// begin opens a segment with the key frame f, and the sound that waited for it.
func (r *Recorder) begin(f hal.Frame) error {
	if on, err := r.resume(f); on || err != nil {
		r.forget()
		return err
	}
	m, err := r.plan(f)
	if err != nil {
		f.Release()
		return err
	}
	if m == nil {
		r.skip(f)
		return nil
	}
	r.seg = r.newSegment(pack.NewPacker(m), f)
	r.seg.from = f.Stamp.DTS
	if !r.whole {
		r.continues(r.seg)
		r.seg.gaps = r.missing(r.seg.info.Start)
	}
	err = r.add(f)
	for i, e := range r.early {
		r.early[i] = hal.Frame{}
		if err != nil || e.Stamp.DTS < r.seg.from {
			r.skip(e)
			continue
		}
		err = r.add(e)
	}
	r.early = r.early[:0]
	return err
}

// plan returns how to store a file that begins with f; nil where that cannot be told before
// another key frame.
func (r *Recorder) plan(f hal.Frame) (*pack.Movie, error) {
	m, err := pack.Plan(f.Stream, f)
	if errors.Is(err, pack.ErrNoParameters) {
		r.say(err)
		return nil, nil //nolint:nilnil // neither a movie nor a failure: a later key frame may do
	}
	if err != nil {
		return nil, err
	}
	for _, o := range m.Omitted() {
		r.say(o.Err)
	}
	return m, nil
}

// say logs a thing once.
func (r *Recorder) say(err error) {
	const most = 64 // a source that changes without end is not told without end
	if text := err.Error(); !r.said[text] && len(r.said) < most {
		r.said[text] = true
		r.log.Warn("not recorded", "err", err)
		r.count(func(c *Stats) { c.Omitted = append(c.Omitted, text) })
	}
}

// store takes a frame into the file under way, or cuts it before the frame.
func (r *Recorder) store(f hal.Frame) error {
	s := r.seg
	if r.beyond(f) {
		r.skip(f)
		return r.end(f)
	}
	if f.Track != s.lead {
		if f.Stamp.DTS < s.from {
			r.skip(f)
			return nil
		}
		return r.add(f)
	}
	key := f.Key || !s.inter
	if s.hole && !key {
		r.skip(f)
		return nil
	}
	s.hole = false
	if r.cfg.full(f.Stamp.DTS-s.start, s.info.Bytes+int64(s.packer.Bytes())) || key && r.stepped() {
		if key {
			return r.cut(f)
		}
		if !s.asked && r.ask != nil {
			s.asked = true
			r.ask()
		}
	}
	return r.add(f)
}

// add packs a frame and writes a fragment where there is one.
func (r *Recorder) add(f hal.Frame) error {
	s := r.seg
	if f.Track == s.lead {
		if f.Stamp.DTS > s.last {
			s.step = f.Stamp.DTS - s.last
		}
		s.last = max(s.last, f.Stamp.DTS)
	}
	if err := s.packer.Add(f); err != nil {
		err = fmt.Errorf("record: %w", err)
		r.abandon(err)
		return err
	}
	if s.packer.Ready(r.fragment()) {
		return r.write(s.packer.Cut())
	}
	return nil
}

// cut ends the file before the key frame f and begins the next one with it.
func (r *Recorder) cut(f hal.Frame) error {
	m, err := r.plan(f)
	if err != nil {
		f.Release()
		return err
	}
	if m == nil { // it could not be played on its own: the file goes on
		return r.add(f)
	}
	next := r.newSegment(pack.NewPacker(m), f)
	r.seg.packer.HandOver(next.packer, f.Stamp.DTS)
	r.seg.step = f.Stamp.DTS - r.seg.last
	why := "it was full"
	if r.stepped() {
		why = "the wall clock was stepped"
	}
	if err := r.finish(why, r.meet(next)); err != nil {
		next.packer.Discard()
		f.Release()
		return err
	}
	r.seg = next
	return r.add(f)
}

// stepped says that the wall clock was stepped since the file began: its labels hold no longer.
func (r *Recorder) stepped() bool {
	return !r.whole && r.clock.Anchor().Number != r.seg.info.Start.Anchor
}

// meet returns where the file under way ends and next begins. Frames tell how long it is, but by
// the camera's clock: it is as long as the time that has passed, where the two agree.
func (r *Recorder) meet(next *segment) Instant {
	s := r.seg
	by := time.Duration(next.info.Start.Mono - s.info.Start.Mono)
	long := next.start - s.start
	if (by - long).Abs() > long/100+100*time.Millisecond {
		return Instant{} // no camera: its frames come as fast as they are taken
	}
	return next.info.Start
}

// beyond says whether f comes after the end of the recording.
func (r *Recorder) beyond(f hal.Frame) bool {
	return r.cfg.Duration > 0 && r.recorded+f.Stamp.DTS-r.seg.start >= r.cfg.Duration-rounding
}

// end ends the recording once every track has come to its end, or the others do not follow.
func (r *Recorder) end(f hal.Frame) error {
	const patience = time.Second
	r.past |= 1 << min(f.Track, 63)
	for i := range f.Stream.Tracks {
		if r.seg.packer.Movie().Stores(i) && r.past&(1<<min(i, 63)) == 0 &&
			r.recorded+f.Stamp.DTS-r.seg.start < r.cfg.Duration+patience {
			return nil
		}
	}
	if err := r.finish("its time is up", Instant{}); err != nil {
		return err
	}
	r.ended = true
	close(r.done)
	return nil
}
