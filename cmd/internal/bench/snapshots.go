package bench

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// Snapshots puts the schedule of snapshots to work for thousands of channels that come and go
// (S1–S3). The schedule is the one that the appliance runs; the channels and the time are
// simulated, so that hours take a moment.
type Snapshots struct {
	Channels  int           // default 5,000, a third of them offline at any time
	Interval  time.Duration // default 60 s
	Intervals int           // that are looked at; default 60
	Seed      uint64        // of the chance by which channels come and go
}

// How long a channel stays, on average: so a third are offline.
const (
	meanOnline  = 10 * time.Minute
	meanOffline = 5 * time.Minute
)

// limitWindow is how much of the mean may come in a window of a second.
const limitWindow = 1.1

// SnapshotsReport is what came out.
type SnapshotsReport struct {
	Simulated string  `json:"simulated"` // what is
	Channels  int     `json:"channels"`
	Interval  float64 `json:"interval_s"`
	Intervals int     `json:"intervals"`
	Online    float64 `json:"online_mean"` // channels
	Changes   int     `json:"changes"`     // of channels that came or went
	Turns     int     `json:"snapshots"`
	Mean      float64 `json:"mean_per_s"`
	Most      int     `json:"most_in_a_second"`  // in any window
	Ratio     float64 `json:"ratio"`             // of most to mean
	Whole     int     `json:"online_throughout"` // channels that were online throughout an interval, over all intervals
	Once      int     `json:"of_them_once"`      // that had exactly one snapshot in it
	Twice     int     `json:"twice"`             // of any channel in one interval
	Offline   int     `json:"of_offline"`        // snapshots of a channel that was not online
	Took      float64 `json:"took_s"`            // real time
	Good      bool    `json:"good"`
}

// actor is a simulated channel.
type actor struct {
	name   string
	online bool
	next   int64 // when it comes or goes
	since  int64 // online since
	turns  int   // in this interval
}

// actors are channels by when they next come or go.
type actors []*actor

func (a *actors) Len() int           { return len(*a) }
func (a *actors) Less(i, j int) bool { return (*a)[i].next < (*a)[j].next }
func (a *actors) Swap(i, j int)      { (*a)[i], (*a)[j] = (*a)[j], (*a)[i] }
func (a *actors) Push(x any)         { *a = append(*a, x.(*actor)) } //nolint:forcetypeassert // only actors
func (a *actors) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// play is a simulation under way.
type play struct {
	cfg      Snapshots
	rnd      *rand.Rand
	schedule *snapshot.Schedule
	all      []*actor
	byName   map[string]*actor
	queue    actors
	report   *SnapshotsReport
	recent   []int64 // turns of the last second
	begin    int64   // of what is looked at
	online   int
	weight   float64 // online channels times ns
	last     int64
}

// Run simulates.
func (b Snapshots) Run() SnapshotsReport {
	if b.Channels == 0 {
		b.Channels = 5000
	}
	if b.Interval == 0 {
		b.Interval = time.Minute
	}
	if b.Intervals == 0 {
		b.Intervals = 60
	}
	clock := hal.NewClock()
	began := clock.Mono()
	p := &play{
		cfg: b, rnd: rand.New(rand.NewPCG(b.Seed, 7)), schedule: snapshot.NewSchedule(b.Interval), byName: map[string]*actor{}, //nolint:gosec // no secret
		report: &SnapshotsReport{
			Simulated: "channels that come and go, and the time; the schedule is the appliance's", Channels: b.Channels, Interval: b.Interval.Seconds(), Intervals: b.Intervals,
		},
	}
	p.populate()
	step := int64(b.Interval)
	first, _ := p.schedule.Next() // the first interval begins when all have come up
	p.until(first)
	p.begin = first
	for i := range int64(b.Intervals) {
		p.interval(first+step*i, first+step*(i+1))
	}
	r := p.report
	r.Mean = float64(r.Turns) / (b.Interval.Seconds() * float64(b.Intervals))
	r.Online = p.weight / float64(step*int64(b.Intervals))
	r.Ratio = float64(r.Most) / r.Mean
	r.Took = time.Duration(clock.Mono() - began).Seconds()
	r.Good = r.Ratio <= limitWindow && r.Once == r.Whole && r.Twice == 0 && r.Offline == 0 && r.Whole > 0
	return *r
}

func (p *play) populate() {
	for i := range p.cfg.Channels {
		a := &actor{name: "channel-" + strconv.Itoa(i), online: p.rnd.IntN(3) > 0}
		a.next = p.stay(a.online)
		p.all = append(p.all, a)
		p.byName[a.name] = a
		p.schedule.Set(0, a.name, a.online)
		if a.online {
			p.online++
		}
	}
	p.queue = append(p.queue, p.all...)
	heap.Init(&p.queue)
}

// stay is how long a channel stays as it is.
func (p *play) stay(online bool) int64 {
	mean := meanOffline
	if online {
		mean = meanOnline
	}
	return int64(p.rnd.ExpFloat64()*float64(mean)) + 1
}

// interval plays one and judges it.
func (p *play) interval(from, to int64) {
	for _, a := range p.all {
		a.turns = 0
	}
	p.until(to)
	for _, a := range p.all {
		if a.online && a.since <= from {
			p.report.Whole++
			if a.turns == 1 {
				p.report.Once++
			}
		}
		if a.turns > 1 {
			p.report.Twice++
		}
	}
}

// until plays what happens before an instant: channels that change, and turns, each when it is due.
func (p *play) until(end int64) {
	for {
		due, ok := p.schedule.Next()
		change := p.queue[0].next
		at := change
		if ok && due < change {
			at = due
		}
		if at >= end {
			return
		}
		if p.begin > 0 {
			p.weight += float64(p.online) * float64(at-max(p.last, p.begin))
		}
		p.last = at
		if at == change {
			p.change(p.queue[0])
			continue
		}
		for name, found := p.schedule.Take(at); found; name, found = p.schedule.Take(at) {
			p.turn(at, p.byName[name])
		}
	}
}

func (p *play) change(a *actor) {
	now := a.next
	a.online, a.since = !a.online, now
	if a.online {
		p.online++
	} else {
		p.online--
	}
	p.schedule.Set(now, a.name, a.online)
	a.next = now + p.stay(a.online)
	heap.Fix(&p.queue, 0)
	if p.begin > 0 {
		p.report.Changes++
	}
}

func (p *play) turn(at int64, a *actor) {
	a.turns++
	if p.begin == 0 {
		return
	}
	if !a.online {
		p.report.Offline++
	}
	p.report.Turns++
	p.recent = append(p.recent, at)
	for at-p.recent[0] >= int64(time.Second) {
		p.recent = p.recent[1:]
	}
	p.report.Most = max(p.report.Most, len(p.recent))
}

// Print writes the report for a person.
func (r SnapshotsReport) Print(w io.Writer) error {
	_, err := fmt.Fprintf(w, `Simulated: %s.
%d channels, of which %.0f are online on average; they come or go %d times in %d intervals of %.0f s (%.1f s here).
%d snapshots, %.2f a second; at most %d in any window of a second: %.3f of the mean (limit %.1f).
Of the channels that were online throughout an interval, %d of %d had exactly one snapshot in it; %d had two, %d were of one offline.
`, r.Simulated, r.Channels, r.Online, r.Changes, r.Intervals, r.Interval, r.Took, r.Turns, r.Mean, r.Most, r.Ratio, limitWindow, r.Once, r.Whole, r.Twice, r.Offline)
	return err
}
