package hal

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One processor is taken when it would have done for a while, and left at once when it does not.
// Who needs all again and again is left alone for longer and longer. Much work in C gets one more.
func TestProcessorsAreThoseThatTheWorkNeeds(t *testing.T) {
	const second = time.Second
	quiet := use{took: second / 5, busy: second / 20}
	busy := use{took: second / 5, busy: second / 8}     // more than half of one, less than three quarters
	full := use{took: second / 5, busy: second / 6}     // more than three quarters of one
	foreign := use{took: second / 5, busy: 0, calls: 6} // a picture encoded every 40 ms
	heavy := use{took: second / 5, busy: second / 3, calls: 40}
	lighter := use{took: second / 5, busy: second / 8, calls: 20}
	late := use{took: second / 5, late: 2}
	rare := use{took: second / 5, busy: 0, calls: 2}
	type step struct {
		use   use
		times int
		on    spread // after the last of them
	}
	for name, steps := range map[string][]step{
		"quiet for a second":       {{quiet, 4, onAll}, {quiet, 1, onOne}},
		"busy in between":          {{quiet, 4, onAll}, {busy, 1, onAll}, {quiet, 4, onAll}, {quiet, 1, onOne}},
		"too much for one":         {{busy, 100, onAll}},
		"one bears more":           {{quiet, 5, onOne}, {busy, 100, onOne}},
		"until it is too much":     {{quiet, 5, onOne}, {full, 1, onAll}},
		"longer the second time":   {{quiet, 5, onOne}, {full, 1, onAll}, {quiet, 9, onAll}, {quiet, 1, onOne}, {full, 1, onAll}, {quiet, 19, onAll}, {quiet, 1, onOne}},
		"as before after a minute": {{quiet, 5, onOne}, {full, 1, onAll}, {quiet, 10, onOne}, {quiet, 300, onOne}, {full, 1, onAll}, {quiet, 4, onAll}, {quiet, 1, onOne}},
		"an encoder in C":          {{foreign, 100, onAll}},
		"one that comes later":     {{quiet, 5, onOne}, {foreign, 1, onAll}},
		"a snapshot in C":          {{rare, 5, onOne}, {rare, 100, onOne}},
		"encoders at full speed":   {{heavy, 1, onMore}, {lighter, 100, onMore}, {foreign, 1, onAll}, {foreign, 100, onAll}},
		"they come later and end":  {{quiet, 5, onOne}, {heavy, 1, onAll}, {heavy, 1, onMore}, {quiet, 10, onAll}, {quiet, 1, onOne}},
		"no more for Go's own":     {{heavy, 1, onMore}, {full, 1, onAll}, {full, 100, onAll}},
		"goroutines wait":          {{late, 100, onAll}, {quiet, 5, onOne}, {late, 2, onOne}, {late, 1, onAll}},
		"they wait for a moment":   {{quiet, 5, onOne}, {late, 2, onOne}, {quiet, 1, onOne}, {late, 2, onOne}},
		"no time at all":           {{use{}, 100, onAll}},
	} {
		t.Run(name, func(t *testing.T) {
			p := processors{hold: firstHold}
			for i, s := range steps {
				for range s.times {
					p.look(s.use)
				}
				require.Equal(t, s.on, p.now, "after step %d", i)
			}
			require.LessOrEqual(t, p.hold, longestHold)
		})
	}
}

func TestWhoFlapsForEverIsLeftAloneForLong(t *testing.T) {
	p := processors{hold: firstHold}
	for range 100 {
		for p.look(use{took: time.Second, busy: time.Millisecond}) != onOne {
			continue
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
		t.Skip("this machine has one processor: TestOneProcessorIsLeftAsItIs is what holds there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pacing sync.WaitGroup
	pacing.Go(func() { PaceProcessors(ctx, NewClock(), slog.New(slog.DiscardHandler)) })
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

// With one processor there is nothing to choose from.
func TestOneProcessorIsLeftAsItIs(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	defer runtime.SetDefaultGOMAXPROCS()
	runtime.GOMAXPROCS(1)
	PaceProcessors(t.Context(), NewClock(), slog.New(slog.DiscardHandler)) // returns at once
	require.Equal(t, 1, runtime.GOMAXPROCS(0))
}

func TestASpreadIsOneAllOrOneMore(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	defer runtime.SetDefaultGOMAXPROCS()
	onAll.apply()
	all := runtime.GOMAXPROCS(0)
	for s, want := range map[spread]int{onOne: 1, onMore: all + 1, onAll: all} {
		for _, before := range []spread{onOne, onMore, onAll} {
			before.apply()
			s.apply()
			require.Equal(t, want, runtime.GOMAXPROCS(0), "from %d to %d", before, s)
		}
	}
}

func TestWhoSetsGOMAXPROCSDecides(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	PaceProcessors(t.Context(), NewClock(), slog.New(slog.DiscardHandler)) // returns at once
}
