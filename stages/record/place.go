package record

import (
	"path/filepath"
	"time"

	"github.com/millrace-video/millrace/stages/pack"
)

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

// Place puts the files of a channel on one time line, which begins with the first of them, for
// pack.Export and pack.Fragments: their distances are those at which they were recorded, and
// files that meet have no seam.
func Place(dir string, segments []Segment) []pack.Source {
	all := make([]pack.Source, 0, len(segments))
	at := time.Duration(0)
	for i, s := range segments {
		if i > 0 {
			gap, _ := gapBetween(segments[i-1], s)
			at += segments[i-1].Length + gap
		}
		all = append(all, pack.Source{Path: filepath.Join(dir, s.File), At: at})
	}
	return all
}
