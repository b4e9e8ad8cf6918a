package upload

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Watched is a store whose troubles are told: each once, until it is another one or the store
// works again.
type Watched struct {
	Store
	clock *hal.Clock
	log   *slog.Logger

	mu     sync.Mutex
	health Health
}

// Health is how a store is.
type Health struct {
	State string    `json:"state"`           // ok, or the kind of the trouble; unknown before the first use
	Cause string    `json:"cause,omitempty"` // in words that say what to do
	Since time.Time `json:"since,omitzero"`
}

// Watch returns the store with somebody who looks at what it answers. A nil clock is the real one.
func Watch(s Store, clock *hal.Clock, log *slog.Logger) *Watched {
	if clock == nil {
		clock = hal.NewClock()
	}
	return &Watched{Store: s, clock: clock, log: log, health: Health{State: "unknown"}}
}

// Health returns how the store is.
func (w *Watched) Health() Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.health
}

// note takes an answer into account and returns it. What concerns one object alone says nothing
// about the store.
func (w *Watched) note(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	state, cause := "ok", ""
	if err != nil {
		k := KindOf(err)
		if k.meaning().decision == refused {
			return err
		}
		state, cause = k.String(), err.Error()
	}
	w.mu.Lock()
	before := w.health
	if before.State == state {
		w.mu.Unlock()
		return err
	}
	w.health = Health{state, cause, w.clock.Now()}
	w.mu.Unlock()
	switch {
	case err != nil:
		w.log.Error("the store cannot be used", "kind", state, "cause", cause)
	case before.State != "unknown":
		w.log.Info("the store works again", "was", before.State, "for", w.clock.Now().Sub(before.Since).Round(time.Second))
	}
	return err
}

// Put implements Store.
func (w *Watched) Put(ctx context.Context, key, contentType string, body *io.SectionReader) error {
	return w.note(ctx, w.Store.Put(ctx, key, contentType, body))
}

// Replace implements Store.
func (w *Watched) Replace(ctx context.Context, key, contentType string, body *io.SectionReader) error {
	return w.note(ctx, w.Store.Replace(ctx, key, contentType, body))
}

// Exists implements Store.
func (w *Watched) Exists(ctx context.Context, key string) (size int64, found bool, err error) {
	size, found, err = w.Store.Exists(ctx, key)
	return size, found, w.note(ctx, err)
}

// Warm implements Warmer.
func (w *Watched) Warm(ctx context.Context) error {
	if warm, ok := w.Store.(Warmer); ok {
		return w.note(ctx, warm.Warm(ctx))
	}
	return nil
}
