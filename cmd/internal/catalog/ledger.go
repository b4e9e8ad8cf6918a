package catalog

import (
	"time"

	"github.com/millrace-video/millrace/stages/record"
)

// ledger is how far a channel's account goes. It grows line by line.
type ledger struct {
	Last  uint64         `json:"last"`  // the highest number seen
	After uint64         `json:"after"` // the segment that the account stands at
	Open  uint64         `json:"open,omitempty"`
	End   record.Instant `json:"end"`     // everything before it is in a segment or a gap
	Gaps  record.Instant `json:"gaps"`    // the end of the latest gap
	Seq   uint32         `json:"seq"`     // of the latest gap after After
	Begun bool           `json:"-"`       // this program has entered something
	Born  bool           `json:"started"` // something was ever entered
}

// jitter is how far a segment's end by its frames' time stamps and the next one's beginning by
// their arrival may be apart without a gap between them.
const jitter = time.Second

// clockwork tells how times of the catalog compare.
type clockwork interface {
	// between returns the time from a to b; false: nobody knows it.
	between(a, b record.Instant) (time.Duration, bool)
	// sameBoot says whether a and b compare by Mono.
	sameBoot(a, b record.Instant) bool
}

// advance takes a line into the ledger.
func (b *ledger) advance(l *line, clocks clockwork) {
	switch l.Kind {
	case lineOpened, lineClosed:
		s := l.Segment
		b.Last = max(b.Last, s.Number)
		if s.Number > b.After {
			b.After, b.Seq = s.Number, 0
		}
		b.Open = 0
		if l.Kind == lineOpened {
			b.Open = s.Number
		}
		if s.Number == b.After {
			b.End = later(b.End, s.End(), clocks)
		}
		b.Born = true
	case lineMerged:
		b.Last = max(b.Last, l.Segment.Number)
		b.After = max(b.After, l.place())
	case lineGap:
		if l.Gap.After > b.After {
			b.After, b.Seq = l.Gap.After, 0
		}
		if l.Gap.After == b.After {
			b.Seq = max(b.Seq, l.Seq)
		}
		b.Last = max(b.Last, l.Gap.After)
		b.Gaps = later(b.Gaps, l.Gap.To, clocks)
		b.End = later(b.End, l.Gap.To, clocks)
		b.Born = true
	case lineRemoved, linePin, lineAnchor, lineStart, lineState:
	}
}

// later returns the later of two instants of one boot, and otherwise the one entered last.
func later(was, now record.Instant, clocks clockwork) record.Instant {
	if clocks.sameBoot(was, now) && was.Mono > now.Mono {
		return was
	}
	return now
}

// accountant makes lines of what a recorder enters, so that nothing is left out and nothing is
// counted twice.
type accountant struct {
	ledger
	clocks  clockwork
	started record.Instant // when this program did
	lines   []line
}

// enter takes an entry whose anchors are the catalog's.
func (a *accountant) enter(e record.Entry) {
	switch e.Kind {
	case record.Opened, record.Closed:
		if e.Segment == nil || e.Segment.Number == 0 {
			return
		}
		if e.Segment.Number > a.After || !a.Born {
			a.fill(e.Segment.Start, record.Starting)
		}
		a.put(line{Kind: lineKind(e.Kind), Segment: e.Segment})
	case record.Missing:
		if e.Gap != nil {
			a.missing(*e.Gap)
		}
	case record.Merged:
		if e.Segment != nil && len(e.Parts) > 0 {
			a.put(line{Kind: lineMerged, Segment: e.Segment, Parts: e.Parts, Kept: e.Kept})
		}
	}
	a.Begun = true
}

func (a *accountant) put(l line) {
	a.advance(&l, a.clocks)
	a.lines = append(a.lines, l)
}

// missing enters a gap as far as it is not accounted for yet.
func (a *accountant) missing(g record.Gap) {
	if g.From == (record.Instant{}) {
		a.fill(g.To, g.Cause, g.Detail)
		return
	}
	if a.clocks.sameBoot(a.Gaps, g.From) && g.From.Mono < a.Gaps.Mono {
		g.From = a.Gaps
	}
	if a.Open == 0 && a.Born {
		if d, ok := a.clocks.between(a.End, g.From); !ok || d > jitter || !a.Begun {
			a.fill(g.From, record.Starting)
		} else if d > 0 {
			g.From = a.End
		}
	}
	a.gap(g.From, g.To, g.Cause, g.Detail)
}

// fill accounts for the time up to an instant of which nobody said anything: up to the program's
// start it was not running, and from then on the cause is the one given, or, where this program
// had begun the channel already, unknown.
func (a *accountant) fill(to record.Instant, cause record.Cause, detail ...string) {
	from, why := a.End, ""
	if len(detail) > 0 {
		why = detail[0]
	}
	if !a.Begun {
		begun := a.started
		if a.clocks.sameBoot(begun, to) && to.Mono < begun.Mono {
			begun = to
		}
		if a.Born && (!a.clocks.sameBoot(from, begun) || from.Mono < begun.Mono) {
			a.gap(from, begun, record.NotRunning, "")
			from = begun
		} else if !a.Born {
			from = begun
		}
		a.gap(from, to, cause, why)
		return
	}
	if d, ok := a.clocks.between(from, to); len(detail) == 0 && ok && d <= jitter {
		return
	}
	if len(detail) == 0 {
		cause, why = record.Failed, "no cause was entered"
	}
	a.gap(from, to, cause, why)
}

// gap enters what lies between two instants, if anything does.
func (a *accountant) gap(from, to record.Instant, cause record.Cause, detail string) {
	if a.clocks.sameBoot(from, to) && from.Mono >= to.Mono {
		return
	}
	g := &record.Gap{After: a.After, From: from, To: to, Cause: cause, Detail: detail}
	a.put(line{Kind: lineGap, Gap: g, Seq: a.Seq + 1})
}
