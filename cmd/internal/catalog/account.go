package catalog

import (
	"time"

	"github.com/millrace-video/millrace/stages/record"
)

// Account is where the time of a stretch of the time line went: Elapsed is the sum of all else,
// exactly.
type Account struct {
	Elapsed  time.Duration
	Recorded time.Duration
	Missing  map[record.Cause]time.Duration
	// Unaccounted is time of which nothing was entered. It is 0 but where a journal was damaged.
	Unaccounted time.Duration
	// Unknown is how many gaps there are whose length nobody knows; they are in no sum.
	Unknown int
}

// Account sums up a time line, its segments and gaps as they are, from the beginning of the
// first to the end of the last.
func (c *Catalog) Account(t Timeline) Account {
	a := tally{clocks: c.anchors, Account: Account{Missing: map[record.Cause]time.Duration{}}}
	s, g := t.Segments, t.Gaps
	for len(s)+len(g) > 0 {
		if len(g) == 0 || len(s) > 0 && s[0].place() <= g[0].After {
			a.segment(s[0].Segment)
			s = s[1:]
			continue
		}
		a.gap(g[0])
		g = g[1:]
	}
	a.rest()
	return a.Account
}

// place is where the segment stands among the others.
func (s *Segment) place() uint64 {
	i := item{Segment: s.Segment, Parts: s.Parts}
	return i.place()
}

// tally walks along a time line. All before at is in the sums.
type tally struct {
	Account

	clocks clockwork
	at     record.Instant
	end    record.Instant // of the segment that at is in; at where it is in none
	begun  bool
}

// move comes to an instant. It returns how far that is.
func (a *tally) move(to record.Instant) time.Duration {
	d, ok := a.clocks.between(a.at, to)
	if !ok {
		a.Unknown++
		d = 0
	}
	a.at = to
	a.Elapsed += d
	return d
}

// upTo comes to where something begins: the rest of the segment is recorded, and with it the
// little that two clocks differ by; more than that nobody accounts for.
func (a *tally) upTo(to record.Instant) {
	if !a.begun {
		a.at, a.end, a.begun = to, to, true
		return
	}
	if !a.clocks.sameBoot(a.at, to) {
		a.rest()
	}
	if hole, ok := a.clocks.between(a.end, to); ok && hole > jitter {
		a.rest()
		a.Unaccounted += a.move(to)
	} else {
		a.Recorded += a.move(to)
	}
	a.end = to
}

// rest comes to the end of the segment.
func (a *tally) rest() {
	if a.begun && a.clocks.sameBoot(a.at, a.end) && a.end.Mono > a.at.Mono {
		a.Recorded += a.move(a.end)
	}
}

func (a *tally) segment(s record.Segment) {
	a.upTo(s.Start)
	a.end = s.End()
}

func (a *tally) gap(g Gap) {
	end, within := a.end, a.begun && a.clocks.sameBoot(a.end, g.To) && a.end.Mono > g.To.Mono
	if a.begun && a.clocks.sameBoot(a.at, g.From) && g.From.Mono < a.at.Mono {
		g.From = a.at // it began in what is accounted for
	}
	a.upTo(g.From)
	if a.clocks.sameBoot(g.From, g.To) && g.To.Mono <= g.From.Mono {
		a.end = end
		return
	}
	a.Missing[g.Cause] += a.move(g.To)
	if a.end = g.To; within {
		a.end = end
	}
}
