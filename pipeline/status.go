package pipeline

import (
	"slices"
	"time"
)

// Status is all that a channel has to say of itself.
type Status struct {
	Name    string         `json:"name"`
	State   string         `json:"state"`
	Cause   string         `json:"cause,omitempty"` // why it is in this state
	Since   time.Time      `json:"since"`
	Run     uint32         `json:"run"`              // how often a source was opened
	Source  string         `json:"source,omitempty"` // the one in use, without its password
	Tracks  []string       `json:"tracks,omitempty"`
	FPS     float64        `json:"fps"` // pictures a second that come in; 0 where none come
	Sources []SourceStatus `json:"sources"`
	Stages  []StageStatus  `json:"stages"`
	Queues  []QueueStats   `json:"queues"`
	Gated   uint64         `json:"gated"`    // frames let go while paused
	Orphans uint64         `json:"orphaned"` // frames let go before the first key frame
}

// SourceStatus is one source of a channel's list.
type SourceStatus struct {
	URL     string  `json:"url"` // without its password
	InUse   bool    `json:"in_use"`
	Cause   string  `json:"cause,omitempty"`    // why it failed last
	Failed  int     `json:"failed"`             // times in a row
	NextTry float64 `json:"next_try_s"`         // seconds from now; 0: any time
	Never   bool    `json:"never,omitempty"`    // cannot work as configured
	Stats   any     `json:"counters,omitempty"` // the driver's, while in use
}

// StageStatus is one stage.
type StageStatus struct {
	Name     string       `json:"name"`
	State    string       `json:"state"` // parked, working, restarting, idle
	Frames   uint64       `json:"frames"`
	Restarts int          `json:"restarts"`
	Cause    string       `json:"cause,omitempty"` // of the last failure
	FailedAt time.Time    `json:"failed_at,omitzero"`
	Latency  LatencyStats `json:"latency"` // from capture until the stage is done with a frame
	Stats    any          `json:"stats,omitempty"`
}

// Status returns what there is to know of the channel now.
func (c *Channel) Status() Status {
	_, state, cause, since := c.machine.now()
	s := Status{Name: c.Name(), State: state.String(), Cause: cause, Since: c.eng.clock.Wall(since)}
	a := c.assembly()
	if a == nil {
		for _, o := range c.def.origin.Candidates {
			s.Sources = append(s.Sources, SourceStatus{URL: o.String()})
		}
		return s
	}
	a.head.describe(&s)
	a.head.trunk.describe(&s, state)
	for _, b := range a.branches {
		s.Stages = append(s.Stages, b.status(state))
		s.Queues = append(s.Queues, b.in.Stats())
	}
	return s
}

// stageState is what a stage is doing, in a word.
func stageState(channel State, r *runner, down bool) string {
	switch {
	case channel == Exited:
		return "exited"
	case down:
		return "restarting"
	case r == nil:
		return "idle"
	case r.parked.Load() || channel == Parked:
		return "parked"
	default:
		return "working"
	}
}

func (b *branch) status(channel State) StageStatus {
	b.mu.Lock()
	down, f := b.down, b.fault
	b.mu.Unlock()
	return stageStatus(b.name, stageState(channel, b.run, down), b.stage, b.run, f)
}

func stageStatus(name, state string, stage Stage, r *runner, f fault) StageStatus {
	s := StageStatus{Name: name, State: state, Restarts: f.count, Cause: f.cause, FailedAt: f.at}
	if r != nil {
		s.Frames, s.Latency = r.frames.Load(), r.took.stats()
	}
	if c, ok := stage.(Counting); ok {
		s.Stats = c.Stats()
	}
	return s
}

func (t *trunk) describe(s *Status, channel State) {
	for _, ts := range t.stages {
		t.mu.Lock()
		run, fell := ts.run, ts.fault
		t.mu.Unlock()
		s.Stages = append(s.Stages, stageStatus(ts.stage.Name(), stageState(channel, run, false), ts.stage, run, fell))
		if run != nil {
			s.Queues = append(s.Queues, run.in.Stats())
		}
	}
}

func (h *head) describe(s *Status) {
	h.mu.Lock()
	candidates, current, source, fell := slices.Clone(h.candidates), h.current, h.source, h.fault
	s.Run = h.run
	h.mu.Unlock() // no driver's call holds up an exit or the alarm
	now := h.ch.eng.clock.Mono()
	s.Gated, s.Orphans = h.gated.Load(), h.orphaned.Load()
	for i, c := range candidates {
		src := SourceStatus{URL: c.String(), InUse: i == current, Cause: c.cause, Failed: c.tries, Never: c.never}
		src.NextTry = max(0, time.Duration(c.next-now).Seconds())
		if src.InUse {
			tracks := source.Stream()
			if now-h.lastFrame.Load() < int64(stallLimit(tracks)) && (s.State == Running.String() || s.State == Degraded.String()) {
				s.FPS = h.pictures.value()
			}
			s.Source = src.URL
			src.Stats = sourceStats(source)
			for _, t := range tracks.Tracks {
				s.Tracks = append(s.Tracks, t.String())
			}
		}
		s.Sources = append(s.Sources, src)
	}
	state := "working"
	switch {
	case s.State == Exited.String():
		state = "exited"
	case !h.goOn.isOpen():
		state = "parked"
	}
	s.Stages = append(s.Stages, StageStatus{
		Name: acquireName, State: state, Frames: h.frames.Load(), Restarts: fell.count,
		Cause: fell.cause, FailedAt: fell.at, Latency: h.took.stats(),
	})
}
