package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Config is an Uploader's settings. The zero value holds every default.
type Config struct {
	Parallel   int         // uploads at once at most; default 64
	Retries    int         // after the first attempt; default 30 (U2); −1: none
	Backoff    hal.Backoff // between attempts; default 500 ms to 30 s, half of it chance (U2)
	MaxBytes   int64       // of bodies in memory that have no result yet; default 64 MiB
	MaxObjects int         // without a result; default 65,536

	Uplink *Uplink      // whose hours are asked before an attempt; nil: none
	Clock  *hal.Clock   // default: the real one
	Logger *slog.Logger // default: silent
}

// spare is how many more uploads of an important class may begin while less important ones fill
// the window.
const spare = 8

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Parallel, 64)
	def(&c.Retries, 30)
	def(&c.MaxObjects, 1<<16)
	c.Backoff = c.Backoff.Or(hal.Backoff{First: 500 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.5})
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 20
	}
	if c.Clock == nil {
		c.Clock = hal.NewClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate says what is wrong with a configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Parallel < 1 || c.Parallel > 1024:
		return fmt.Errorf("%d uploads at once: 1 to 1024", c.Parallel)
	case c.Retries < -1:
		return fmt.Errorf("%d retries: −1 for none, or how many", c.Retries)
	case c.Backoff.First < 0 || c.Backoff.Max < c.Backoff.First:
		return fmt.Errorf("retries after %s and at most %s: the first wait is the shorter one", c.Backoff.First, c.Backoff.Max)
	case c.MaxBytes < 0 || c.MaxObjects < 1:
		return errors.New("room for at least one object")
	}
	return nil
}

// Uploader uploads objects in parallel on a fixed share of workers. What waits, for its turn or
// for another attempt, holds no worker.
type Uploader struct {
	store   Store
	cfg     Config
	workers *pool.Workers
	begin   func(o Object) attempt

	mu       sync.Mutex
	seq      uint64
	ready    [classes]order
	late     order // what waits for another attempt
	flying   [classes]int
	flights  map[*item]struct{}
	follow   []func() // follow-ups that wait for a worker
	chained  int      // that run
	window   window
	bytes    int64 // in memory
	open     int   // objects without a result
	timer    *time.Timer
	leaving  bool
	forced   bool          // no attempt begins any more
	left     []string      // keys of what an exit gave up
	emptied  chan struct{} // closed when nothing is left while leaving
	counters Stats
}

// NewUploader returns an uploader to the store, with a share of the pool's workers of its own.
func NewUploader(store Store, p *pool.Pool, cfg Config) (*Uploader, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("uploader: %w", err)
	}
	cfg = cfg.withDefaults()
	workers, err := p.Reserve(cfg.Parallel + spare)
	if err != nil {
		return nil, fmt.Errorf("uploader: %w", err)
	}
	u := &Uploader{store: store, cfg: cfg, workers: workers, window: newWindow(cfg.Parallel), flights: map[*item]struct{}{}, emptied: make(chan struct{}), begin: attempts(store)}
	u.late.byDue = true
	if cfg.Uplink != nil {
		cfg.Uplink.watch(u.wake)
	}
	return u, nil
}

// Warmer is a store whose connections can be made before they are needed.
type Warmer interface {
	Warm(ctx context.Context) error
}

// Warm makes up to n connections, where the store is one that has any: the first frames then
// need not wait for them. What is wrong with the store is told by the first attempt.
func (u *Uploader) Warm(ctx context.Context, n int) {
	w, ok := u.store.(Warmer)
	if !ok {
		return
	}
	ctx = context.WithoutCancel(ctx)
	for range min(n, u.cfg.Parallel) {
		err := u.workers.Go(func() error {
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return w.Warm(limited)
		}, func(error) { u.wake() })
		if err != nil {
			return // all are busy: they are warm
		}
	}
}

// admit says why an object is not taken. The caller holds mu.
func (u *Uploader) admit(it *item) error {
	switch {
	case u.leaving:
		return ErrExited
	case it.Body == nil:
		return fmt.Errorf("%w: an object without a body", ErrRefused)
	case it.Class >= classes:
		return fmt.Errorf("%w: an object of %s", ErrRefused, it.Class)
	case CheckKey(it.Key) != nil:
		return fmt.Errorf("%w: %w", ErrRefused, CheckKey(it.Key))
	case u.open+1 > u.cfg.MaxObjects:
		return fmt.Errorf("%w: %d objects", ErrFull, u.open)
	case it.memory() > 0 && u.bytes+it.memory() > u.cfg.MaxBytes:
		return fmt.Errorf("%w: %d bytes in memory, limit %d", ErrFull, u.bytes, u.cfg.MaxBytes)
	}
	return nil
}

// push lets an admitted item wait for its first attempt. The caller holds mu.
func (u *Uploader) push(it *item) {
	u.open++
	it.admitted = true
	u.bytes += it.memory()
	it.stage = waiting
	u.ready[it.Class].add(it)
}

// Stats is what an uploader does.
type Stats struct {
	Parallel int    `json:"parallel"`        // uploads at once that the link takes, as found out
	Running  int    `json:"running"`         // uploads under way
	Waiting  int    `json:"waiting"`         // objects that wait for their first attempt
	Retrying int    `json:"retrying"`        // objects that wait for another
	Bytes    int64  `json:"bytes"`           // in memory without a result
	Uploaded uint64 `json:"uploaded"`        // objects in the store
	Failed   uint64 `json:"failed"`          // objects given up
	Full     uint64 `json:"full"`            // of them, because too much waited
	Retries  uint64 `json:"retries"`         // attempts that were not the first
	Cuts     uint64 `json:"cuts"`            // how often fewer at once were allowed
	Sent     uint64 `json:"sent_bytes"`      // of objects in the store
	Cause    string `json:"cause,omitempty"` // of the latest attempt that failed, until one succeeds
}

// Stats returns what the uploader does now.
func (u *Uploader) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.counters
	s.Parallel, s.Running, s.Retrying, s.Bytes, s.Cuts = u.window.now(), len(u.flights), u.late.Len(), u.bytes, u.window.cuts
	for c := range classes {
		s.Waiting += u.ready[c].Len()
	}
	return s
}
