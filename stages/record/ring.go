package record

import (
	"time"

	"github.com/millrace-video/millrace/pipeline"
)

// Ring is the queue of a recorder's branch. It wakes the recorder about once a second, not once
// a frame.
type Ring struct {
	// Max is how many bytes may wait for the disk; default 64 MiB. Beyond it frames are dropped,
	// up to the next key frame.
	Max int
	// Interval is how long a frame may wait before the recorder looks; default 1 s. Together
	// with a quarter of a fragment it is what a killed program can lose.
	Interval time.Duration
}

const (
	defaultRing = 64 << 20
	ringFrames  = 16384
	ringWake    = 512 << 10
)

// Limit implements pipeline.Bound.
func (r Ring) Limit() pipeline.Limit {
	if r.Max == 0 {
		r.Max = defaultRing
	}
	if r.Interval == 0 {
		r.Interval = time.Second
	}
	wake := ringWake
	if r.Max > 0 {
		wake = min(wake, max(1, r.Max/2))
	}
	return pipeline.Limit{
		Frames: ringFrames, Bytes: r.Max, Full: pipeline.DropUntilKey,
		WakeAge: r.Interval, WakeBytes: wake,
	}
}
