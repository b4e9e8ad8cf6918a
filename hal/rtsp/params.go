package rtsp

import (
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// paramSets are the parameter sets of a track as they are now. The stream learns them with the
// next frame.
type paramSets struct {
	named   hal.Track
	changed bool // since the track was last described
}

// paramSetsOf takes those that the camera's description names, where they make sense.
func paramSetsOf(t hal.Track) paramSets {
	s := paramSets{named: t}
	s.named.VPS, s.named.SPS, s.named.PPS = nil, nil, nil
	s.offer(nal.VPS, t.VPS, nil)
	s.offer(nal.SPS, t.SPS, nil)
	s.offer(nal.PPS, t.PPS, nil)
	return s
}

// offer takes a parameter set from the stream. It returns true where the track names it, so
// that the frame need not repeat it. ok is false where it makes no sense. before is the access
// unit up to it.
func (s *paramSets) offer(kind nal.Kind, unit, before []byte) (named, ok bool) {
	switch nal.StandingOf(&s.named, kind, unit) {
	case nal.Named:
		return true, true
	case nal.Beside:
		named, ok = kind == nal.PPS && nal.Follow(&s.named, unit, before), true
		s.changed = s.changed || named
	case nal.New:
		named, ok = true, nal.Adopt(&s.named, kind, unit)
		s.changed = s.changed || ok
	}
	return named, ok
}

// described is the track as its parameter sets say, and how far its pictures are reordered.
func (s *paramSets) described() (hal.Track, nal.Reorder) {
	s.changed = false
	t := s.named
	if len(t.SPS) == 0 {
		return t, nal.Reorder{}
	}
	t.FrameRate, t.Colour = 0, hal.Colour{} // nobody else says
	r, _ := nal.Describe(&t, t.SPS)
	return t, r
}
