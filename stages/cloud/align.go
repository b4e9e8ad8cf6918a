package cloud

import (
	"time"

	"github.com/millrace-video/millrace/hal"
)

// aligner hands frames on in the order of their time stamps (C2). A frame waits until every
// other track has one that is not earlier, or until its own track's reorder buffer is full: then
// who is late is not waited for any more, until it comes again.
type aligner struct {
	lanes   []lane
	lead    int
	longest time.Duration // that a lane spans, whatever its bytes are
	out     func(hal.Frame) error
}

// lane is one track's reorder buffer.
type lane struct {
	stored bool
	absent bool // it was waited for in vain
	limit  int
	frames []hal.Frame
	bytes  int
}

// The parts of a package's size that wait for the other track at most (C2).
const (
	videoPart = 2
	audioPart = 10
)

// reset makes the aligner ready for another stream. It is empty.
func (a *aligner) reset(s *hal.Stream, stores func(track int) bool, lead int, size int64, longest time.Duration) {
	a.lead, a.longest = lead, longest
	a.lanes = make([]lane, len(s.Tracks))
	for i := range a.lanes {
		part := int64(audioPart)
		if s.Tracks[i].Codec.IsVideo() {
			part = videoPart
		}
		a.lanes[i] = lane{stored: stores(i), limit: int(size / part)}
	}
}

// add takes a frame and its reference.
func (a *aligner) add(f hal.Frame) error {
	l := &a.lanes[f.Track]
	if !l.stored {
		f.Release()
		return nil
	}
	l.absent = false
	l.frames = append(l.frames, f)
	l.bytes += f.Buf.Len()
	for {
		next, waited := a.next()
		if next < 0 {
			return nil
		}
		if waited {
			if !a.overflows() {
				return nil
			}
			a.giveUp()
		}
		if err := a.emit(next); err != nil {
			return err
		}
	}
}

// next returns the lane with the earliest frame, and whether another one is waited for.
func (a *aligner) next() (first int, waited bool) {
	first = -1
	for i := range a.lanes {
		l := &a.lanes[i]
		switch {
		case len(l.frames) == 0:
			waited = waited || l.stored && !l.absent
		case first < 0 || l.frames[0].Stamp.DTS < a.lanes[first].frames[0].Stamp.DTS,
			i == a.lead && l.frames[0].Stamp.DTS == a.lanes[first].frames[0].Stamp.DTS:
			first = i
		}
	}
	return first, waited
}

func (a *aligner) overflows() bool {
	for i := range a.lanes {
		l := &a.lanes[i]
		if n := len(l.frames); n > 0 && (l.bytes > l.limit || l.frames[n-1].Stamp.DTS-l.frames[0].Stamp.DTS > a.longest) {
			return true
		}
	}
	return false
}

// giveUp waits no longer for who has nothing.
func (a *aligner) giveUp() {
	for i := range a.lanes {
		a.lanes[i].absent = len(a.lanes[i].frames) == 0
	}
}

func (a *aligner) emit(i int) error {
	l := &a.lanes[i]
	f := l.frames[0]
	rest := copy(l.frames, l.frames[1:])
	l.frames[rest] = hal.Frame{}
	l.frames = l.frames[:rest]
	l.bytes -= f.Buf.Len()
	return a.out(f)
}

// drain hands on all there is.
func (a *aligner) drain() error {
	for {
		next, _ := a.next()
		if next < 0 {
			return nil
		}
		if err := a.emit(next); err != nil {
			return err
		}
	}
}

// discard releases all there is.
func (a *aligner) discard() {
	for i := range a.lanes {
		for _, f := range a.lanes[i].frames {
			f.Release()
		}
		a.lanes[i].frames, a.lanes[i].bytes = nil, 0
	}
}
