package pipeline

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// gate lets workers pass or parks them. It starts shut.
type gate struct {
	open atomic.Bool

	mu     sync.Mutex
	change chan struct{} // closed and replaced at every change

	arrived chan struct{} // a worker has come to stand before the gate
}

func newGate() *gate { return &gate{change: make(chan struct{}), arrived: make(chan struct{}, 1)} }

// report says that a worker stands before the gate.
func (g *gate) report() {
	select {
	case g.arrived <- struct{}{}:
	default:
	}
}

// await returns once all says so, which is asked whenever a worker arrives, or at a time-out.
func (g *gate) await(timeout time.Duration, all func() bool) {
	t := time.NewTimer(timeout)
	defer t.Stop()
	for !all() {
		select {
		case <-g.arrived:
		case <-t.C:
			return
		}
	}
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open.Load() == open {
		return
	}
	g.open.Store(open)
	close(g.change)
	g.change = make(chan struct{})
}

// isOpen costs one atomic load.
func (g *gate) isOpen() bool { return g.open.Load() }

// pass returns when the gate is open, or with the context's cause.
func (g *gate) pass(ctx context.Context) error {
	for !g.isOpen() {
		g.mu.Lock()
		change := g.change
		g.mu.Unlock()
		if g.isOpen() {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
