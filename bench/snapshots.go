package bench

import (
	"container/heap"
	"context"
	"fmt"
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

// evenness is what came out of a simulation.
type evenness struct {
	online         float64 // channels, on average
	changes        int     // of channels that came or went
	turns          int     // snapshots
	most           int     // of them in any window of a second
	whole, once    int     // channels that were online throughout an interval, over all intervals; that had exactly one snapshot in it
	twice, offline int     // snapshots: a second one of any channel in one interval; of a channel that was not online
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
	report   evenness
	recent   []int64 // turns of the last second
	begin    int64   // of what is looked at
	online   int
	weight   float64 // online channels times ns
	last     int64
}

func (b *Snapshots) defaults() {
	if b.Channels == 0 {
		b.Channels = 5000
	}
	if b.Interval == 0 {
		b.Interval = time.Minute
	}
	if b.Intervals == 0 {
		b.Intervals = 60
	}
}

// About implements Bench.
func (b *Snapshots) About() About {
	b.defaults()
	return About{
		Name: "snapshots", Title: "how evenly snapshots are spread",
		Text: fmt.Sprintf("Simulated: channels that come and go, and the time; the schedule is the appliance's. %d channels, of which a third are offline at any time, for %d intervals of %s.", b.Channels, b.Intervals, b.Interval),
	}
}

func (b *Snapshots) name() string { return fmt.Sprintf("Snapshots/channels=%d", b.Channels) }

// Run implements Bench. Each run is another play of chance.
func (b *Snapshots) Run(ctx context.Context, r *Report) error {
	b.defaults()
	clock := hal.NewClock()
	began := clock.Mono()
	got, err := b.simulate(ctx, b.Seed+uint64(r.Runs)) //nolint:gosec // a number of runs
	if err != nil {
		return err
	}
	mean := float64(got.turns) / (b.Interval.Seconds() * float64(b.Intervals))
	r.Add(
		b.name(), b.Intervals, Value{mean, "mean/s"}, Value{float64(got.most), "most/s"}, Value{float64(got.most) / mean, "most/mean"},
		Value{got.online, "channels-online"}, Value{float64(got.changes), "changes"}, Value{float64(got.turns), "snapshots"},
		Value{float64(got.whole), "whole-intervals"}, Value{float64(got.whole - got.once), "without-exactly-one"}, Value{float64(got.twice), "twice"}, Value{float64(got.offline), "of-offline"},
		Value{time.Duration(clock.Mono() - began).Seconds(), "s/run"},
	)
	return nil
}

// Judge implements Bench.
func (b *Snapshots) Judge(r *Report) {
	if len(r.Results) == 0 {
		return
	}
	_, most := r.span(b.name(), "most/mean")
	r.Promise(most <= limitWindow, "snapshots in any window of a second, to the mean", fmt.Sprintf("at most %.1f", limitWindow), fmt.Sprintf("%.3f", most))
	none := func(unit, what string) {
		_, n := r.span(b.name(), unit)
		r.Promise(n == 0, what, "none", figure(n))
	}
	none("without-exactly-one", "channels that were online throughout an interval and had not exactly one snapshot in it")
	none("twice", "channels that had two in an interval")
	none("of-offline", "snapshots of a channel that was offline")
	least, _ := r.span(b.name(), "whole-intervals")
	r.Promise(least > 0, "there were channels online throughout an interval", "some", figure(least))
}

// simulate plays all intervals.
func (b *Snapshots) simulate(ctx context.Context, seed uint64) (evenness, error) {
	p := &play{
		cfg: *b, rnd: rand.New(rand.NewPCG(seed, 7)), schedule: snapshot.NewSchedule(b.Interval), byName: map[string]*actor{}, //nolint:gosec // no secret
	}
	p.populate()
	step := int64(b.Interval)
	first, _ := p.schedule.Next() // the first interval begins when all have come up
	p.until(first)
	p.begin = first
	for i := range int64(b.Intervals) {
		if ctx.Err() != nil {
			return evenness{}, context.Cause(ctx)
		}
		p.interval(first+step*i, first+step*(i+1))
	}
	p.report.online = p.weight / float64(step*int64(b.Intervals))
	return p.report, nil
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
			p.report.whole++
			if a.turns == 1 {
				p.report.once++
			}
		}
		if a.turns > 1 {
			p.report.twice++
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
		p.report.changes++
	}
}

func (p *play) turn(at int64, a *actor) {
	a.turns++
	if p.begin == 0 {
		return
	}
	if !a.online {
		p.report.offline++
	}
	p.report.turns++
	p.recent = append(p.recent, at)
	for at-p.recent[0] >= int64(time.Second) {
		p.recent = p.recent[1:]
	}
	p.report.most = max(p.report.most, len(p.recent))
}
