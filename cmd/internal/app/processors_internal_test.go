package app

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// One processor is taken when it would have done for a while, and left at once when it does not.
// Who needs all again and again is left alone for longer and longer.
func TestOneProcessorIsUsedForAsLongAsItDoes(t *testing.T) {
	const second = time.Second
	quiet := use{took: second / 5, busy: second / 20}
	busy := use{took: second / 5, busy: second / 8}     // more than half of one, less than three quarters
	full := use{took: second / 5, busy: second / 6}     // more than three quarters of one
	foreign := use{took: second / 5, busy: 0, calls: 6} // a picture encoded every 40 ms
	late := use{took: second / 5, late: 2}
	rare := use{took: second / 5, busy: 0, calls: 2}
	type step struct {
		use   use
		times int
		one   bool // after the last of them
	}
	for name, steps := range map[string][]step{
		"quiet for a second":       {{quiet, 4, false}, {quiet, 1, true}},
		"busy in between":          {{quiet, 4, false}, {busy, 1, false}, {quiet, 4, false}, {quiet, 1, true}},
		"too much for one":         {{busy, 100, false}},
		"one bears more":           {{quiet, 5, true}, {busy, 100, true}},
		"until it is too much":     {{quiet, 5, true}, {full, 1, false}},
		"longer the second time":   {{quiet, 5, true}, {full, 1, false}, {quiet, 9, false}, {quiet, 1, true}, {full, 1, false}, {quiet, 19, false}, {quiet, 1, true}},
		"as before after a minute": {{quiet, 5, true}, {full, 1, false}, {quiet, 10, true}, {quiet, 300, true}, {full, 1, false}, {quiet, 4, false}, {quiet, 1, true}},
		"an encoder in C":          {{foreign, 100, false}},
		"one that comes later":     {{quiet, 5, true}, {foreign, 1, false}},
		"a snapshot in C":          {{rare, 5, true}, {rare, 100, true}},
		"goroutines wait":          {{late, 100, false}, {quiet, 5, true}, {late, 2, true}, {late, 1, false}},
		"they wait for a moment":   {{quiet, 5, true}, {late, 2, true}, {quiet, 1, true}, {late, 2, true}},
		"no time at all":           {{use{}, 100, false}},
	} {
		t.Run(name, func(t *testing.T) {
			p := processors{hold: firstHold}
			for i, s := range steps {
				for range s.times {
					p.look(s.use)
				}
				require.Equal(t, s.one, p.one, "after step %d", i)
			}
			require.LessOrEqual(t, p.hold, longestHold)
		})
	}
}

func TestWhoFlapsForEverIsLeftAloneForLong(t *testing.T) {
	p := processors{hold: firstHold}
	for range 100 {
		one := false
		for !one {
			one = p.look(use{took: time.Second, busy: time.Millisecond})
		}
		p.look(use{took: time.Second, busy: time.Second})
	}
	require.Equal(t, longestHold, p.hold)
}

// A program that does little runs on one processor, and on all when there is much to do; it ends as
// it began.
func TestProcessorsFollowTheWork(t *testing.T) {
	t.Setenv("GOMAXPROCS", "") // whoever runs the tests may have set it
	runtime.SetDefaultGOMAXPROCS()
	all := runtime.GOMAXPROCS(0)
	if all == 1 {
		t.Skip("this machine has one processor")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pacing sync.WaitGroup
	pacing.Go(func() { _ = paceProcessors(ctx, hal.NewClock(), slog.New(slog.DiscardHandler)) }) //nolint:errcheck // it returns none
	becomes := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return runtime.GOMAXPROCS(0) == n }, time.Minute, 10*time.Millisecond, "Go code is to run on %d", n)
	}
	becomes(1)
	var busy sync.WaitGroup
	var stop atomic.Bool
	for range 8 { // a machine that gives this program little makes them wait for each other
		busy.Go(func() {
			for n := 0; !stop.Load(); {
				n++
			}
		})
	}
	becomes(all)
	stop.Store(true)
	busy.Wait()
	cancel()
	pacing.Wait()
	require.Equal(t, all, runtime.GOMAXPROCS(0))
}

func TestWhoSetsGOMAXPROCSDecides(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	require.NoError(t, paceProcessors(t.Context(), hal.NewClock(), slog.New(slog.DiscardHandler)), "it returns at once")
}
