package clip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/event"
)

// Clip is a branch's stage that has a ring of the latest frames, and hands those of each window
// to another stage, a recorder: from the last key frame not after the window's beginning, each
// frame once and none left out, up to the window's end, to the frame. Windows that touch or
// overlap are one stretch; behind a stretch the other stage is flushed.
type Clip struct {
	cfg  Config
	sink pipeline.Stage

	// The worker's own.
	ring    *Ring
	next    uint64 // the frame to be handed over next
	start   uint64 // the first frame of the stretch under way
	rolling bool   // there is one
	ended   bool   // no frame follows for now: the run is over, or none has begun
	broken  bool   // frames of the stretch are missing before the next

	mu      sync.Mutex
	open    bool
	mark    func()
	windows []window // not finished, in the order in which they opened
	stats   Stats
}

// window is one that is wanted.
type window struct {
	event.Window

	stored func(error) // where it is over
}

// Config is a clip's settings.
type Config struct {
	Name  string        // of the stage; default "event"
	Pre   time.Duration // how long before a trigger a window can begin
	Bytes int           // of the ring; default 16 MiB
}

// Stats is what a clip has done.
type Stats struct {
	Ring    RingStats `json:"ring"`
	Windows int       `json:"windows"` // under way
	Clips   uint64    `json:"clips"`   // stretches that were begun
	Frames  uint64    `json:"frames"`  // handed over
	Missing uint64    `json:"missing"` // times that frames of a stretch were gone before they were handed over
	Sink    any       `json:"sink,omitempty"`
}

// errNotRunning is what becomes of a window in a channel that does not run.
var errNotRunning = errors.New("the channel's event recorder is not running")

// slack is how much longer than Pre the ring keeps: a trigger comes later than what it is about.
const slack = time.Second

// To returns the stage that records into sink.
func To(sink pipeline.Stage, cfg Config) *Clip {
	if cfg.Name == "" {
		cfg.Name = "event"
	}
	return &Clip{cfg: cfg, sink: sink}
}

// Name implements pipeline.Stage.
func (c *Clip) Name() string { return c.cfg.Name }

// Limit is the bound of a clip's branch: it is woken twice a second.
func Limit() pipeline.Limit {
	return pipeline.Limit{Frames: 4096, Bytes: 16 << 20, Full: pipeline.DropUntilKey, WakeBytes: 512 << 10, WakeAge: 500 * time.Millisecond}
}

// Open implements pipeline.Stage.
func (c *Clip) Open(ctx context.Context, env pipeline.Env) error {
	if err := c.sink.Open(ctx, env); err != nil {
		return fmt.Errorf("what records events: %w", err)
	}
	if c.ring == nil {
		c.ring = NewRing(RingConfig{Keep: c.cfg.Pre + slack, Bytes: c.cfg.Bytes})
	}
	c.rolling, c.ended, c.broken = false, true, false
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.mark = true, env.Mark
	return nil
}

// Record implements event.Recorder.
func (c *Clip) Record(w event.Window, stored func(error)) {
	c.mu.Lock()
	if !c.open && w.Over {
		c.windows = slices.DeleteFunc(c.windows, func(o window) bool { return o.Event == w.Event && o.Part == w.Part })
		c.mu.Unlock()
		stored(errNotRunning)
		return
	}
	i := slices.IndexFunc(c.windows, func(o window) bool { return o.Event == w.Event && o.Part == w.Part })
	if i < 0 {
		c.windows = append(c.windows, window{})
		i = len(c.windows) - 1
	}
	c.windows[i] = window{w, stored}
	mark := c.mark
	c.mu.Unlock()
	if mark != nil {
		mark()
	}
}

// Work implements pipeline.Stage.
func (c *Clip) Work(ctx context.Context, f hal.Frame) error {
	c.ended = false
	c.ring.pinned = c.rolling && c.next < c.ring.Next()
	if !c.ring.Put(f) && c.rolling {
		c.miss()
	}
	f.Release()
	return c.advance(ctx)
}

// EndBatch implements pipeline.EndBatch.
func (c *Clip) EndBatch(ctx context.Context) error {
	c.mu.Lock()
	c.stats.Ring = c.ring.Stats()
	c.mu.Unlock()
	if e, ok := c.sink.(pipeline.EndBatch); ok && c.rolling {
		return e.EndBatch(ctx)
	}
	return nil
}

// Mark implements pipeline.Marked.
func (c *Clip) Mark(ctx context.Context, m pipeline.Mark) error {
	if m == pipeline.RunEnded {
		c.ended = true
	}
	if err := c.advance(ctx); err != nil {
		return err
	}
	if m != pipeline.RunEnded {
		return nil
	}
	if s, ok := c.sink.(pipeline.Marked); ok {
		return s.Mark(ctx, m)
	}
	return c.sink.Flush(ctx)
}

// Flush implements pipeline.Stage.
func (c *Clip) Flush(ctx context.Context) error {
	c.ended = true
	return errors.Join(c.advance(ctx), c.sink.Flush(ctx))
}

// Close implements pipeline.Stage.
func (c *Clip) Close() error {
	c.mu.Lock()
	c.open, c.mark = false, nil
	var lost []window
	c.windows = slices.DeleteFunc(c.windows, func(w window) bool {
		if w.Over {
			lost = append(lost, w)
		}
		return w.Over
	})
	c.mu.Unlock()
	err := c.sink.Close()
	if c.ring != nil {
		c.ring.Clear()
	}
	for _, w := range lost {
		w.stored(errNotRunning)
	}
	return err
}

// Stats implements pipeline.Counting.
func (c *Clip) Stats() any {
	c.mu.Lock()
	s := c.stats
	s.Windows = len(c.windows)
	c.mu.Unlock()
	if counting, ok := c.sink.(pipeline.Counting); ok {
		s.Sink = counting.Stats()
	}
	return s
}

// advance hands over what the windows want, as far as it has come.
func (c *Clip) advance(ctx context.Context) error {
	for {
		from, to, ok := c.wanted()
		if !ok {
			return c.rest(ctx)
		}
		if c.rolling && c.ring.Start(from) < c.start { // a late trigger's: its video begins anew, whole
			if err := c.rest(ctx); err != nil {
				return err
			}
		}
		if !c.rolling {
			c.begin(from)
		}
		reached, err := c.hand(ctx, to)
		if err != nil {
			return err
		}
		again, err := c.finish(ctx, reached)
		if err != nil || !again {
			return err
		}
	}
}

// wanted returns the earliest beginning and the end of the stretch that the windows make: those
// that begin later than it ends wait for their turn.
func (c *Clip) wanted() (from, to int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.windows) == 0 {
		return 0, 0, false
	}
	first := slices.MinFunc(c.windows, func(a, b window) int { return cmp.Compare(a.From.Mono, b.From.Mono) })
	from, to = first.From.Mono, first.To.Mono
	for grown := true; grown; {
		grown = false
		for _, w := range c.windows {
			if w.From.Mono <= to && w.To.Mono > to {
				to, grown = w.To.Mono, true
			}
		}
	}
	return from, to, true
}

// begin finds where a stretch begins.
func (c *Clip) begin(from int64) {
	c.start = c.ring.Start(from)
	c.next = c.start
	c.rolling, c.broken = true, false
	c.mu.Lock()
	c.stats.Clips++
	c.mu.Unlock()
}

// hand hands over the frames before to. It returns how far the stream has come: the time of the
// first picture that is not wanted any more, or that there is none yet.
func (c *Clip) hand(ctx context.Context, to int64) (reached int64, err error) {
	if c.next < c.ring.Oldest() {
		c.next = c.ring.Oldest()
		c.miss()
	}
	for {
		f, ok := c.ring.Frame(c.next)
		switch {
		case !ok && c.ended:
			return to, nil
		case !ok:
			return to - 1, nil
		case leads(&f) && f.Stamp.Mono >= to:
			return f.Stamp.Mono, nil
		}
		c.next++
		f.Gap = f.Gap || c.broken && leads(&f)
		c.broken = c.broken && !leads(&f)
		c.mu.Lock()
		c.stats.Frames++
		c.mu.Unlock()
		if err := c.sink.Work(ctx, f.Retain()); err != nil {
			return 0, err
		}
	}
}

// miss notes that frames of the stretch are gone.
func (c *Clip) miss() {
	if !c.broken {
		c.mu.Lock()
		c.stats.Missing++
		c.mu.Unlock()
	}
	c.broken = true
}

// finish takes out the windows that are over and complete. Where none is left in the stretch it
// flushes the sink, and says whether there may be another stretch.
func (c *Clip) finish(ctx context.Context, reached int64) (again bool, err error) {
	c.mu.Lock()
	var complete []window
	c.windows = slices.DeleteFunc(c.windows, func(w window) bool {
		ready := w.Over && w.To.Mono <= reached
		if ready {
			complete = append(complete, w)
		}
		return ready
	})
	under := slices.ContainsFunc(c.windows, func(w window) bool { return w.From.Mono <= reached })
	c.mu.Unlock()
	if len(complete) == 0 {
		return false, nil
	}
	if !under {
		err = c.rest(ctx)
	}
	for _, w := range complete {
		w.stored(err)
	}
	return true, err
}

// rest ends the stretch under way.
func (c *Clip) rest(ctx context.Context) error {
	if !c.rolling {
		return nil
	}
	c.rolling = false
	return c.sink.Flush(ctx)
}
