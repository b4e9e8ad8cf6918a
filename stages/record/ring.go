package record

import (
	"time"

	"github.com/millrace-video/millrace/pipeline"
)

// Ring is the queue of a recorder's branch (R1): it holds references to frames that lie in the
// arena, and its capacity, counted in bytes, follows the need. It wakes the recorder about once a
// fragment, not once a frame. The zero value works.
type Ring struct {
	// Max is how many bytes may wait for the disk; default 64 MiB. A write that needs more ends
	// the recording: frames are dropped up to the next key frame that finds room.
	Max int
	// Growth is how the capacity follows the need. Its Start is 1 MiB by default, or Max where
	// that is less.
	Growth pipeline.Growth
	// Pace is how often the ring is read (R2).
	Pace pipeline.Pace
	// Fragment is how old the oldest frame gets before the recorder is woken whatever the interval
	// is; default 1 s. Together with a quarter of a fragment it is what a killed program can lose.
	Fragment time.Duration
	// OnDemand: the ring gets nothing until the recorder asks for it (pipeline.Env.Want).
	OnDemand bool
}

const (
	defaultRing  = 64 << 20
	defaultStart = 1 << 20
)

// Limit implements pipeline.Bound.
func (r Ring) Limit() pipeline.Limit {
	if r.Max == 0 {
		r.Max = defaultRing
	}
	if r.Growth.Start == 0 {
		r.Growth.Start = min(defaultStart, r.Max)
	}
	return pipeline.Limit{Bytes: r.Max, Growth: r.Growth, Pace: r.Pace, WakeAge: r.Fragment, OnDemand: r.OnDemand}.Limit()
}

// Validate says what is wrong.
func (r Ring) Validate() error { return r.Limit().Validate() }
