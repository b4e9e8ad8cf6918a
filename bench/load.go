package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Load is work that is done over and over: a bench times it, a package's Go benchmark too, and a test
// counts what it allocates.
type Load struct {
	Name string
	// Do does it n times. Whatever it sets up for itself is there before the first call.
	Do func(n int) error
}

// parts is how many times a load has its turn in a run. The loads of a bench take turns, and of each the
// median turn counts: what else the machine does hits all of them, and seldom most turns.
const parts = 5

// part is how long a turn lasts.
func part(r *Report) time.Duration {
	return r.lasting(200*time.Millisecond, 40*time.Millisecond)
}

// weighing is a load under way.
type weighing struct {
	Load

	times  int // in a turn
	turns  []float64
	allocs uint64
}

// turn does the load so many times and returns the ns that it took.
func (w *weighing) turn(ctx context.Context, clock *hal.Clock) (int64, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	runtime.GC() // what was before is not in it
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := clock.Mono()
	err := w.Do(w.times)
	took := clock.Mono() - began
	runtime.ReadMemStats(&after)
	w.allocs += after.Mallocs - before.Mallocs
	if err != nil {
		err = fmt.Errorf("%s: %w", w.Name, err)
	}
	return took, err
}

// settle finds out how many times make a turn.
func (w *weighing) settle(ctx context.Context, clock *hal.Clock, span int64) error {
	for w.times = 1; ; {
		took, err := w.turn(ctx, clock)
		if err != nil || took >= span*9/10 || w.times >= 1e9 {
			w.allocs = 0
			return err
		}
		w.times = min(max(int(1.1*float64(w.times)*float64(span)/float64(max(took, 1))), w.times+1), 100*w.times, 1e9)
	}
}

// weighAll adds a result for each load: its median turn, and the allocations of one time, whole ones, so that what
// happens now and then falls below one.
func weighAll(ctx context.Context, r *Report, loads []Load) error {
	clock, span := hal.NewClock(), int64(part(r))
	all := make([]*weighing, len(loads))
	for i, l := range loads {
		r.Tell("%s", l.Name)
		all[i] = &weighing{Load: l}
		if err := all[i].settle(ctx, clock, span); err != nil {
			return err
		}
	}
	for range parts {
		for _, w := range all {
			took, err := w.turn(ctx, clock)
			if err != nil {
				return err
			}
			w.turns = append(w.turns, float64(took)/float64(w.times))
		}
	}
	for _, w := range all {
		slices.Sort(w.turns)
		n := parts * w.times
		r.Add(w.Name, n, Value{w.turns[parts/2], "ns/op"}, Value{float64(w.allocs / uint64(n)), "allocs/op"}) //nolint:gosec // a count
	}
	return nil
}

// promiseNone promises that a load allocates nothing, in any run.
func promiseNone(r *Report, name, what string) {
	if _, ok := r.Median(name, "allocs/op"); ok {
		_, most := r.span(name, "allocs/op")
		r.Promise(most == 0, what, "no allocation", figure(most))
	}
}
