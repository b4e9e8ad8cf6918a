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
	told   bool      // its trouble
	fine   time.Time // of the latest success
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

// patience is how long what may pass by itself must last before it is told.
const patience = 10 * time.Second

// note takes an answer into account and returns it. What concerns one object alone says nothing
// about the store.
func (w *Watched) note(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		w.tell(w.judge(err), err)
	}
	return err
}

// verdict is what an answer says about the store.
type verdict uint8

const (
	nothing verdict = iota
	recovered
	troubled
)

// judge decides whether there is something to tell.
func (w *Watched) judge(err error) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	k := KindOf(err)
	d := k.meaning().decision
	switch {
	case err == nil:
		w.fine = now
		was := w.told
		w.told = false
		if w.health.State != "ok" {
			w.health = Health{State: "ok", Since: now}
		}
		if was {
			return recovered
		}
		return nothing
	case d == refused, w.told && (w.health.State == k.String() || d == again):
		return nothing
	}
	if w.fine.IsZero() {
		w.fine = now
	}
	if w.health.State != k.String() {
		w.health = Health{k.String(), err.Error(), now}
	}
	if d == again && now.Sub(w.fine) < patience {
		return nothing
	}
	w.told = true
	return troubled
}

func (w *Watched) tell(v verdict, err error) {
	switch v {
	case nothing:
	case recovered:
		w.log.Info("the store works again")
	case troubled:
		w.log.Error("the store cannot be used", "kind", KindOf(err).String(), "cause", err.Error())
	}
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

// Warm implements Warmer. What it finds is not told: it asks too little.
func (w *Watched) Warm(ctx context.Context) error {
	if warm, ok := w.Store.(Warmer); ok {
		return warm.Warm(ctx)
	}
	return nil
}
