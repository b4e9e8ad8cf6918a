package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/record"
)

func seeds() []line {
	s := &record.Segment{Number: 7, Recording: 5, File: "00000007-20260101T000000Z.mp4", Start: record.Instant{Wall: -5, Mono: 1 << 40, Anchor: 3}, Length: 9, Tracks: []string{"h264", ""}}
	return []line{
		{Kind: lineClosed, Segment: s},
		{Kind: lineMerged, Segment: s, Parts: []uint64{7, 8}, Kept: true},
		{Kind: lineGap, Gap: &record.Gap{After: 7, Cause: record.Idle, Detail: "\n"}, Seq: 2},
		{Kind: lineRemoved, Removed: []uint64{7}, Why: string(WhyAge)},
	}
}

// A line is read as it was written, and whatever a disk makes of it is an error, not a panic.
func FuzzLine(f *testing.F) {
	for _, l := range seeds() {
		text, err := appendLine(nil, l)
		require.NoError(f, err)
		f.Add(text[:len(text)-1])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLine(text)
		if err != nil {
			return
		}
		again, err := appendLine(nil, l)
		require.NoError(t, err)
		same, err := parseLine(again[:len(again)-1])
		require.NoError(t, err)
		require.Equal(t, l, same)
	})
}

// An item of the database likewise.
func FuzzItem(f *testing.F) {
	for _, l := range seeds() {
		if l.Segment != nil {
			f.Add((&item{Kind: itemClosed, Piece: 4, Segment: *l.Segment, Parts: l.Parts}).encode())
		}
		if l.Gap != nil {
			f.Add((&item{Kind: itemGap, Gap: *l.Gap}).encode())
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		i, err := decodeItem(value)
		if err != nil {
			return
		}
		same, err := decodeItem(i.encode())
		require.NoError(t, err)
		require.Equal(t, i, same)
	})
}
