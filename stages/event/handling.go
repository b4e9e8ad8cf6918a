package event

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Handling is the event handling of all channels: their one timer, and the workers that carry
// out what their machines say.
type Handling struct {
	clock *hal.Clock
	log   *slog.Logger
	wake  chan struct{}
	next  atomic.Int64 // Mono at which the timer comes by itself
	short atomic.Bool  // some channel waits for a worker

	mu       sync.Mutex
	channels []*Channel // initialised ones; replaced, never changed in place
}

// HandlingConfig is what a Handling leans on.
type HandlingConfig struct {
	Clock *hal.Clock   // default: the system's
	Log   *slog.Logger // default: silent
}

// NewHandling returns a Handling without channels. Nothing happens before Run.
func NewHandling(cfg HandlingConfig) *Handling {
	if cfg.Clock == nil {
		cfg.Clock = hal.NewClock()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handling{clock: cfg.Clock, log: cfg.Log, wake: make(chan struct{}, 1)}
	h.next.Store(never)
	return h
}

// Run is the timer. It returns when ctx is done; channels are exited before that. It runs on one
// of the workers; the others, at least one, call the application: what hangs in a callback holds
// one of them, and its own channel.
func (h *Handling) Run(ctx context.Context, workers *pool.Workers) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		h.next.Store(never) // awake: whatever comes now rings
		next := h.round(workers)
		h.next.Store(next)
		wait := time.Hour
		if next != never {
			wait = min(wait, max(0, time.Duration(next-h.clock.Mono())))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		case <-timer.C:
		}
	}
}

// round gives every channel its time, and a worker to those that have something to do. It
// returns when the next one is due.
func (h *Handling) round(workers *pool.Workers) int64 {
	h.mu.Lock()
	channels := h.channels
	h.mu.Unlock()
	next, now := int64(never), h.now()
	h.short.Store(true) // before a worker is asked for, so that one that is done meanwhile rings
	short := false
	for _, c := range channels {
		due, job := c.turn(now)
		next = min(next, due)
		if job == nil {
			continue
		}
		err := pool.ErrShareUsedUp
		if !short {
			err = workers.Go(job.work, func(error) { h.freed() })
		}
		if err == nil {
			continue
		}
		c.noWorker(job)
		if short = true; !errors.Is(err, pool.ErrShareUsedUp) {
			h.log.Error("event handling has no worker", "channel", c.name, "cause", err.Error())
		}
	}
	h.short.Store(short)
	return next
}

// freed says that a worker is done.
func (h *Handling) freed() {
	if h.short.Load() {
		h.ring()
	}
}

func (h *Handling) ring() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// poke has the timer look at a channel that has something to do, or is due before it comes by itself.
func (h *Handling) poke(todo bool, due int64) {
	if todo || due < h.next.Load() {
		h.ring()
	}
}

func (h *Handling) join(c *Channel) {
	h.mu.Lock()
	h.channels = append(slices.Clone(h.channels), c)
	h.mu.Unlock()
}

func (h *Handling) part(c *Channel) {
	h.mu.Lock()
	h.channels = slices.DeleteFunc(slices.Clone(h.channels), func(o *Channel) bool { return o == c })
	h.mu.Unlock()
}

// now is this instant.
func (h *Handling) now() Instant {
	mono := h.clock.Mono()
	return Instant{UTC: h.clock.Wall(mono).UnixMilli(), Mono: mono}
}
