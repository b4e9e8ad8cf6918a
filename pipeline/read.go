package pipeline

import (
	"context"

	"github.com/millrace-video/millrace/hal"
)

// reading is what the acquire loop remembers from frame to frame of a run.
type reading struct {
	stream  *hal.Stream
	video   int // index of the pictures; −1: none
	needKey bool
	gated   bool   // the last frame was let go because the channel is paused
	gap     uint64 // tracks, as bits, whose next frame follows a hole
}

// read passes frames on until the source or ctx ends it. While the channel is paused a live
// source's frames are let go at once; one that can be held back is not read.
func (h *head) read(ctx context.Context, src hal.Source, stream *hal.Stream) error {
	r := reading{}
	r.follow(stream)
	if h.run > 1 {
		r.gap = ^uint64(0)
	}
	live, up := src.Live(), false
	for {
		if !live {
			if err := h.ch.gate.pass(ctx); err != nil {
				return err
			}
		}
		f, err := src.Read(ctx)
		if err != nil {
			return err
		}
		h.lastFrame.Store(h.ch.eng.clock.Mono())
		if f.Stream != r.stream {
			if h.trunk.takes(f.Stream) != h.trunk.takes(r.stream) {
				f.Release()
				return errReformat
			}
			r.follow(f.Stream)
		}
		switch {
		case live && !h.ch.gate.isOpen():
			f.Release()
			h.gated.Add(1)
			if !r.gated {
				r.gated = true
				h.ch.lost.note(h.lastFrame.Load(), LostPaused, "")
			}
			h.pictures.restart()
			r.hole()
			continue
		case !r.admits(f):
			f.Release()
			h.orphaned.Add(1)
			continue
		}
		if !up {
			up = true
			h.ch.lost.flow(h.lastFrame.Load())
			h.ch.machine.setUp(true, "")
		}
		h.passOn(&r, f)
	}
}

func (h *head) passOn(r *reading, f hal.Frame) {
	f.Stamp.Run = h.run
	captured := f.Stamp.Mono
	if f.Gap {
		h.ch.lost.note(captured, LostDropped, "on the way from the source")
		h.ch.lost.flow(captured)
	}
	if bit := trackBit(f.Track); r.gap&bit != 0 {
		r.gap &^= bit
		f.Gap = true
		r.gated = false
		h.ch.lost.flow(h.lastFrame.Load())
	}
	if f.Track == r.video {
		h.pictures.add(captured)
	}
	_ = h.trunk.push(f) //nolint:errcheck // a queue that has closed is on its way out, and counts
	h.frames.Add(1)
	h.took.add(h.lastFrame.Load() - captured)
}

// follow takes note of a new format.
func (r *reading) follow(s *hal.Stream) {
	r.stream, r.video = s, s.Video()
	r.needKey = r.video >= 0 && s.Tracks[r.video].Codec.IsInter()
}

// hole says that frames are missing: an inter-coded stream resumes at its next key frame.
func (r *reading) hole() {
	r.gap = ^uint64(0)
	r.needKey = r.video >= 0 && r.stream.Tracks[r.video].Codec.IsInter()
}

// admits says whether a decoder can do something with f.
func (r *reading) admits(f hal.Frame) bool {
	if !r.needKey {
		return true
	}
	if f.Track == r.video && f.Key {
		r.needKey = false
		return true
	}
	return f.Track != r.video && r.gap == 0
}
