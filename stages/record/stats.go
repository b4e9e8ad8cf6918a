package record

import (
	"slices"
	"sync"
	"time"
)

// Stats is what a recorder has done since it was made.
type Stats struct {
	File      string        `json:"file"`      // the latest
	Length    time.Duration `json:"length_ns"` // of it, as far as it is written
	Segments  uint64        `json:"segments"`
	Fragments uint64        `json:"fragments"`
	Frames    uint64        `json:"frames"`
	Bytes     uint64        `json:"bytes"`
	Skipped   uint64        `json:"skipped"`           // frames before a key frame, and after the end
	Omitted   []string      `json:"omitted,omitempty"` // what was not recorded, and why
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
	return s
}

func (r *Recorder) count(change func(*Stats)) {
	r.stats.mu.Lock()
	defer r.stats.mu.Unlock()
	change(&r.stats.now)
}
