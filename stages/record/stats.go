package record

import (
	"slices"
	"sync"
	"time"
)

// Stats is what a recorder has done since it was made.
type Stats struct {
	State     string        `json:"state"`     // recording; waiting for a key frame; idle, where it may go on in the same file; stopped by command
	File      string        `json:"file"`      // the latest
	Writing   bool          `json:"writing"`   // it is under way
	Length    time.Duration `json:"length_ns"` // of it, as far as it is written
	Segments  uint64        `json:"segments"`
	Fragments uint64        `json:"fragments"`
	Frames    uint64        `json:"frames"`
	Bytes     uint64        `json:"bytes"`
	Skipped   uint64        `json:"skipped"`            // frames before a key frame, and after the end
	Ended     uint64        `json:"ended"`              // recordings
	EndedBy   string        `json:"ended_by,omitempty"` // the cause of the last
	Omitted   []string      `json:"omitted,omitempty"`  // what was not recorded, and why
}

type counters struct {
	mu  sync.Mutex
	now Stats
}

// Stats implements pipeline.Counting. It may be called from any goroutine.
func (r *Recorder) Stats() any {
	r.stats.mu.Lock()
	defer r.stats.mu.Unlock()
	s := r.stats.now
	s.Omitted = slices.Clone(s.Omitted)
	switch {
	case s.Writing:
		s.State = "recording"
	case !r.control.wanted.Load():
		s.State = "stopped"
	case s.EndedBy == string(Idle):
		s.State = "idle"
	default:
		s.State = "waiting"
	}
	return s
}

func (r *Recorder) count(change func(*Stats)) {
	r.stats.mu.Lock()
	defer r.stats.mu.Unlock()
	change(&r.stats.now)
}
