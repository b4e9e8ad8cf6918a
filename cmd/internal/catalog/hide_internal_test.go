package catalog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/record"
)

// R6, R7: what was given up on a full disk, before the database could be told, leaves no hole in the
// time line: nothing is shown from before it, but a gap where an older segment stays.
func TestWhatIsGivenUpLeavesNoHole(t *testing.T) {
	at := func(s int64) record.Instant {
		return record.Instant{Mono: s * 1e9, Wall: s * 1e9}
	}
	segment := func(n uint64) Segment {
		return Segment{Segment: record.Segment{Number: n, Start: at(int64(10 * n)), Length: 8 * time.Second}}
	}
	gap := func(after uint64) Gap {
		return Gap{Gap: record.Gap{After: after, From: at(int64(10*after + 8)), To: at(int64(10*after + 10)), Cause: record.Paused}}
	}
	for _, tc := range []struct {
		name   string
		stay   []uint64
		given  []uint64
		after  []uint64
		causes []record.Cause
	}{
		{"the oldest", []uint64{3, 4}, []uint64{1, 2}, []uint64{2, 3}, []record.Cause{record.Paused, record.Paused}},
		{"behind one that is pinned", []uint64{1, 3}, []uint64{2}, []uint64{1, 2, 2}, []record.Cause{record.Paused, record.Paused, record.Removed}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := query{from: 0, to: 1e18, anchors: newAnchors()}
			var line Timeline
			for _, n := range tc.stay {
				line.Segments = append(line.Segments, segment(n))
			}
			for after := range tc.stay[len(tc.stay)-1] {
				if after > 0 {
					line.Gaps = append(line.Gaps, gap(after))
				}
			}
			for _, n := range tc.given {
				q.given = append(q.given, item{Kind: itemClosed, Segment: segment(n).Segment})
			}
			q.hide(&line)
			var after []uint64
			var causes []record.Cause
			for _, g := range line.Gaps {
				after, causes = append(after, g.After), append(causes, g.Cause)
			}
			require.Equal(t, tc.after, after)
			require.Equal(t, tc.causes, causes)
		})
	}
}
