package rtsp

import (
	"time"

	"github.com/millrace-video/millrace/hal"
)

// timeline puts the runs of a source one after the other: time goes on between two runs as the
// monotonic clock did, so that players see a gap and no jump back.
type timeline struct {
	begun  bool
	run    uint32
	anchor int64         // Mono of zero
	offset time.Duration // of the run
	last   time.Duration // the latest DTS so far
}

// place returns a frame's PTS and DTS on the line.
func (l *timeline) place(s hal.Stamp) (pts, dts time.Duration) {
	switch {
	case !l.begun:
		l.begun, l.run, l.anchor, l.offset = true, s.Run, s.Mono, -s.DTS
	case s.Run != l.run:
		l.run = s.Run
		l.offset = max(time.Duration(s.Mono-l.anchor), l.last+time.Millisecond) - s.DTS
	}
	dts = s.DTS + l.offset
	l.last = max(l.last, dts)
	return s.PTS + l.offset, dts
}
