package upload

import (
	"log/slog"
	"slices"
	"sync"
	"time"
)

// FrameResult is one picture of a channel, as the API and the JSON line log have it.
type FrameResult struct {
	Channel  string    `json:"channel"`
	Number   uint64    `json:"number"` // from 1 on, in the order of the camera
	Time     time.Time `json:"time"`   // of the capture
	State    string    `json:"state"`  // pending, uploaded or failed
	Key      string    `json:"key"`
	URL      string    `json:"url,omitempty"`
	Done     time.Time `json:"done,omitzero"` // when the result was there
	Attempts int       `json:"attempts"`
	Error    string    `json:"error,omitempty"`
}

// results keeps the latest groups of a channel, and tells what became of each picture, in the order
// of the pictures.
type results struct {
	keep int
	tell func([]FrameResult) error

	mu       sync.Mutex
	channel  string
	log      *slog.Logger
	groups   []*numbered // the latest, in order
	next     int         // group that is to be logged next, counted from the first ever
	added    int
	complete map[int][]FrameResult // groups that are done before their turn
	lines    []FrameResult         // to be told
	telling  bool
	failing  bool // the results cannot be told, and that was said
	uploaded uint64
	failed   uint64
}

type numbered struct {
	*Group
	first   uint64
	counted bool
}

func newResults(cfg FramesConfig) results {
	return results{keep: cfg.Keep, tell: cfg.Results, complete: map[int][]FrameResult{}}
}

func (r *results) open(channel string, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.channel, r.log = channel, log
}

// add takes a group whose first picture has that number.
func (r *results) add(g *Group, first uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	one, number := &numbered{Group: g, first: first}, r.added
	r.groups = append(r.groups, one)
	r.added++
	g.Then(func(all []Result) { r.done(number, one, all) })
}

// forget drops groups that are done and not needed for the latest results. The caller holds mu.
func (r *results) forget() {
	kept := 0
	for i, g := range slices.Backward(r.groups) {
		if s := g.State(); kept < r.keep || !s.Done() {
			kept += s.Objects
			continue
		}
		r.groups = slices.Delete(r.groups, i, i+1)
	}
}

// done is where a group's results arrive, on a worker of the uploader.
func (r *results) done(number int, g *numbered, all []Result) {
	r.mu.Lock()
	g.counted = true
	s := g.State()
	r.uploaded += uint64(s.Uploaded) //nolint:gosec // few
	r.failed += uint64(s.Failed)     //nolint:gosec // few
	r.complete[number] = r.told(g.first, all)
	for {
		ready, ok := r.complete[r.next]
		if !ok {
			break
		}
		delete(r.complete, r.next)
		r.next++
		if r.tell != nil {
			r.lines = append(r.lines, ready...)
		}
	}
	tell := !r.telling && len(r.lines) > 0
	r.telling = r.telling || tell
	r.mu.Unlock()
	if tell {
		r.tellAll()
	}
}

// tellAll tells the lines that wait; one worker at a time does.
func (r *results) tellAll() {
	for {
		r.mu.Lock()
		lines := r.lines
		r.lines = nil
		if len(lines) == 0 {
			r.telling = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		err := r.tell(lines)
		r.mu.Lock()
		if err != nil && !r.failing {
			r.log.Error("the results of uploaded frames cannot be told", "channel", r.channel, "cause", err.Error())
		}
		r.failing = err != nil
		r.mu.Unlock()
	}
}

// told is a group's results as others see them. The caller holds mu.
func (r *results) told(first uint64, all []Result) []FrameResult {
	out := make([]FrameResult, 0, len(all))
	for i, one := range all {
		t := FrameResult{
			Channel: r.channel, Number: first + uint64(i), Time: one.Time, State: "pending", Key: one.Key, //nolint:gosec // an index
			URL: one.URL, Done: one.Done, Attempts: one.Attempts,
		}
		switch {
		case one.Err != nil:
			t.State, t.Error = "failed", one.Err.Error()
		case !one.Done.IsZero():
			t.State = "uploaded"
		}
		out = append(out, t)
	}
	return out
}

// latest returns the latest pictures in order.
func (r *results) latest() []FrameResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]FrameResult, 0, r.keep)
	for _, g := range r.groups {
		all = append(all, r.told(g.first, g.Results())...)
	}
	return all[max(0, len(all)-r.keep):]
}

// counts returns how many pictures have which result.
func (r *results) counts() (uploaded, failed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	uploaded, failed = r.uploaded, r.failed
	for _, g := range r.groups {
		if !g.counted {
			s := g.State()
			uploaded += uint64(s.Uploaded) //nolint:gosec // few
			failed += uint64(s.Failed)     //nolint:gosec // few
		}
	}
	return uploaded, failed
}
