package haltest

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// reorderLimit is how far presentation may lie from decoding: 16 pictures of the slowest
// stream worth the name.
const reorderLimit = 16 * time.Second

// Order checks that the frames of a source follow each other as hal.Source and hal.Stamp say.
type Order struct {
	stream *hal.Stream
	clock  *hal.Clock
	mono   int64
	tracks map[int]*progress
}

type progress struct {
	begun bool
	dts   time.Duration
	shown map[time.Duration]bool
}

// NewOrder returns a check of a source that was opened at the Mono opened of its clock, with
// this stream.
func NewOrder(stream *hal.Stream, clock *hal.Clock, opened int64) *Order {
	return &Order{stream: stream, clock: clock, mono: opened - int64(burst), tracks: map[int]*progress{}}
}

// Next says what is wrong with the next frame.
func (o *Order) Next(f hal.Frame) error {
	switch {
	case f.Stream == nil:
		return errors.New("a frame without a stream")
	case f.Stream != o.stream && f.Stream.Equal(o.stream):
		return errors.New("another pointer for an equal stream")
	case f.Track < 0 || f.Track >= len(f.Stream.Tracks):
		return fmt.Errorf("track %d of %d", f.Track, len(f.Stream.Tracks))
	case f.Stamp.Run != 0:
		return fmt.Errorf("a source sets run %d: that is the engine's", f.Stamp.Run)
	case f.Buf.IsZero():
		return errors.New("a frame without a buffer")
	}
	if f.Stream != o.stream {
		o.stream, o.tracks = f.Stream, map[int]*progress{}
		for _, t := range f.Stream.Tracks {
			if err := Track(t); err != nil {
				return err
			}
		}
	}
	if err := o.monotonic(f.Stamp.Mono); err != nil {
		return err
	}
	return o.progress(f)
}

func (o *Order) monotonic(mono int64) error {
	now := o.clock.Mono()
	if mono < o.mono {
		return fmt.Errorf("mono %d is before %d", mono, o.mono)
	}
	if mono > now {
		return fmt.Errorf("mono %d is in the future: it is %d", mono, now)
	}
	o.mono = mono
	return nil
}

func (o *Order) progress(f hal.Frame) error {
	t := o.tracks[f.Track]
	if t == nil {
		t = &progress{shown: map[time.Duration]bool{}}
		o.tracks[f.Track] = t
	}
	st := f.Stamp
	switch {
	case !t.begun && !f.Key:
		return errors.New("the first frame of a track is no key frame")
	case !f.Key && !f.Info().Codec.IsInter():
		return fmt.Errorf("a frame of %s is always a key frame", f.Info().Codec)
	case t.begun && st.DTS < t.dts:
		return fmt.Errorf("DTS steps back from %v to %v", t.dts, st.DTS)
	case (st.PTS - st.DTS).Abs() > reorderLimit:
		return fmt.Errorf("PTS %v and DTS %v are too far apart", st.PTS, st.DTS)
	case t.shown[st.PTS]:
		return fmt.Errorf("PTS %v comes twice", st.PTS)
	}
	t.begun, t.dts = true, st.DTS
	t.shown[st.PTS] = true
	return nil
}
