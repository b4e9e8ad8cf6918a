package app

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// What decides on how many processors Go code runs.
const (
	processorsTick = 200 * time.Millisecond
	enoughForOne   = 0.5   // of a processor, used by all: so much one can do, too
	tooMuchForOne  = 0.75  // of it, used by one
	foreignRate    = 10    // calls into C libraries a second: while one lasts, its processor does nothing else
	lateAfter      = 0.005 // seconds
	fewLate        = 1     // goroutines of the eighth that Go measures, in a tick
	lateTicks      = 3     // with more, one after the other: others may take the processor away for a moment
	firstHold      = time.Second
	longestHold    = 5 * time.Minute
)

// processors has Go code run on one processor for as long as one can do its work, and on all else.
// Cameras watched live come in by thousands of small reads a second. Where a second processor is
// idle, Go wakes a thread there for each handful of them, to look for work that is done by then:
// that was a quarter of what watching costs (docs/pipeline.md). It is a machine of states alone.
type processors struct {
	one    bool
	lasted time.Duration // how long it has been as it is; on all: and how long one would have done
	hold   time.Duration // how long one must have been enough
	late   int           // ticks in a row with late goroutines
}

// use is what this program used of its processors in a while.
type use struct {
	took  time.Duration
	busy  time.Duration // of all its threads
	calls int64         // into C libraries
	late  uint64        // goroutines that waited for a processor for longer than lateAfter
}

// look takes note of a while and says whether Go code is to run on one processor.
func (p *processors) look(u use) (one bool) {
	share := float64(u.busy) / float64(max(u.took, 1))
	foreign := float64(u.calls) > 1+foreignRate*u.took.Seconds()
	if p.late++; u.late <= fewLate {
		p.late = 0
	}
	wanted := foreign || p.late >= lateTicks
	p.lasted += u.took
	switch {
	case p.one && (wanted || share > tooMuchForOne):
		if p.hold *= 2; p.lasted > time.Minute {
			p.hold = firstHold
		}
		p.one, p.lasted, p.hold = false, 0, min(p.hold, longestHold)
	case p.one:
	case wanted || share > enoughForOne:
		p.lasted = 0
	case p.lasted >= p.hold:
		p.one, p.lasted = true, 0
	}
	return p.one
}

// paceProcessors runs until ctx is done, and leaves all processors in use. Whoever sets GOMAXPROCS
// decides.
func paceProcessors(ctx context.Context, clock *hal.Clock, log *slog.Logger) error {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 {
		return nil
	}
	defer runtime.SetDefaultGOMAXPROCS()
	p := processors{hold: firstHold}
	m := meter{clock: clock, waits: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
	for m.since(); hal.Wait(ctx, processorsTick) == nil; {
		was, used := p.one, m.since()
		if p.look(used) == was {
			continue
		}
		if p.one {
			runtime.GOMAXPROCS(1)
		} else {
			runtime.SetDefaultGOMAXPROCS()
		}
		log.Debug("processors for Go code", "now", runtime.GOMAXPROCS(0), "busy", used.busy, "of", used.took,
			"calls_into_c", used.calls, "late", used.late)
	}
	return nil
}

// meter measures what this program uses.
type meter struct {
	clock *hal.Clock
	waits []metrics.Sample
	all   use
}

// since returns what was used since the last call.
func (m *meter) since() use {
	all := use{took: time.Duration(m.clock.Mono()), busy: hal.CPUTime(), calls: runtime.NumCgoCall()}
	metrics.Read(m.waits)
	if m.waits[0].Value.Kind() == metrics.KindFloat64Histogram {
		waits := m.waits[0].Value.Float64Histogram()
		for i, n := range waits.Counts {
			if waits.Buckets[i] >= lateAfter {
				all.late += n
			}
		}
	}
	used := use{took: all.took - m.all.took, busy: all.busy - m.all.busy, calls: all.calls - m.all.calls, late: all.late - m.all.late}
	m.all = all
	return used
}
