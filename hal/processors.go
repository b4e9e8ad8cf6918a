package hal

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"time"
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

// spread is on how many processors Go code runs.
type spread int

const (
	onAll  spread = iota
	onOne         // for as long as one can do its work
	onMore        // than there are: one that waits for a C library is none for others
)

// processors has Go code run on as many processors as its work is best done by. Cameras watched
// live come in by thousands of small reads a second. Where a second processor is idle, Go wakes a
// thread there for each handful of them, to look for work that is done by then: that was a quarter
// of what watching costs. A call into a C library keeps its processor from others until Go takes it away,
// which a thread of Go's looks for every 20 µs: with none to spare, 6 % of two cores that encode
// (docs/pipeline.md). It is a machine of states alone.
type processors struct {
	now    spread
	lasted time.Duration // how long it has been on one; elsewhere how long one would have done
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

// look takes note of a while and says on how many Go code is to run.
func (p *processors) look(u use) spread {
	share := float64(u.busy) / float64(max(u.took, 1))
	foreign := float64(u.calls) > 1+foreignRate*u.took.Seconds()
	wanted := p.tooLate(u) || foreign
	p.lasted += u.took
	switch {
	case p.now == onOne && (wanted || share > tooMuchForOne):
		if p.hold *= 2; p.lasted > time.Minute {
			p.hold = firstHold
		}
		p.now, p.lasted, p.hold = onAll, 0, min(p.hold, longestHold)
	case p.now == onOne:
	case foreign && share > tooMuchForOne:
		p.now, p.lasted = onMore, 0
	case p.now == onMore && (!foreign || share <= enoughForOne):
		p.now, p.lasted = onAll, 0
	case wanted || share > enoughForOne:
		p.lasted = 0
	case p.lasted >= p.hold:
		p.now, p.lasted = onOne, 0
	}
	return p.now
}

// tooLate says whether goroutines have waited for a processor in each of several ticks.
func (p *processors) tooLate(u use) bool {
	if p.late++; u.late <= fewLate {
		p.late = 0
	}
	return p.late >= lateTicks
}

// apply has Go code run on as many.
func (s spread) apply() {
	if s == onOne {
		runtime.GOMAXPROCS(1)
		return
	}
	runtime.SetDefaultGOMAXPROCS()
	if s == onMore {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// PaceProcessors has Go code run on one processor, on all or on one more than there are, by what the
// whole program does in 200 ms, until ctx is done; then it is on all. It is for the one who owns the
// process, as GOMAXPROCS is the process's. Where that is set in the environment, or the machine has
// one processor, it returns at once. log is told of each change, at level debug.
func PaceProcessors(ctx context.Context, clock *Clock, log *slog.Logger) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 {
		return
	}
	defer onAll.apply()
	p := processors{hold: firstHold}
	m := meter{clock: clock, waits: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
	for m.since(); Wait(ctx, processorsTick) == nil; {
		was, used := p.now, m.since()
		if p.look(used) == was {
			continue
		}
		p.now.apply()
		log.Debug("processors for Go code", "now", runtime.GOMAXPROCS(0), "busy", used.busy, "of", used.took,
			"calls_into_c", used.calls, "late", used.late)
	}
}

// meter measures what this program uses.
type meter struct {
	clock *Clock
	waits []metrics.Sample
	all   use
}

// since returns what was used since the last call.
func (m *meter) since() use {
	all := use{took: time.Duration(m.clock.Mono()), busy: CPUTime(), calls: runtime.NumCgoCall()}
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
