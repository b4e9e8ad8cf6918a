package record

import "time"

// What two files say of the time between them is taken for the truth where it is shorter than
// some; stamps come with the jitter of a network.
const (
	seamless  = 250 * time.Millisecond // no gap: the one goes on where the other ends
	disagree  = 2 * time.Second        // two clocks that were never stepped differ by less,
	driftPart = 1000                   // and by a thousandth of the time
)

// gapBetween returns how much time lies between a segment's end and the start of the next, 0
// where they meet, and false where nobody can tell: the wall clock was stepped, and the
// monotonic clock began anew.
func gapBetween(before, next Segment) (time.Duration, bool) {
	from, to := before.End(), next.Start
	mono, wall := time.Duration(to.Mono-from.Mono), time.Duration(to.Wall-from.Wall)
	gap, known := wall, true
	switch {
	case from.Anchor != to.Anchor: // one boot, as far as a recording goes
		gap, known = mono, mono > -disagree
	case (mono - wall).Abs() <= disagree+before.Length/driftPart+wall.Abs()/driftPart:
		gap = mono
	}
	if gap < seamless {
		known = known && gap > -disagree
		gap = 0
	}
	return gap, known
}
