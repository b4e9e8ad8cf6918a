package catalog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/record"
)

const segmentLength = 10 * time.Minute

// fillYears makes channels with so many days of ten-minute segments, files (empty) and all.
func fillYears(t testing.TB, data string, channels, days int) []catalog.Channel {
	t.Helper()
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	all := make([]catalog.Channel, 0, channels)
	for c := range channels {
		name := fmt.Sprintf("cam%02d", c)
		all = append(all, catalog.Channel{Name: name})
		require.NoError(t, os.MkdirAll(filepath.Join(data, name), 0o755))
		segments := make([]record.Segment, 0, days*144)
		for i := range days * 144 {
			at := first.Add(time.Duration(i) * segmentLength)
			n := uint64(i + 1)
			s := record.Segment{
				Number: n, Recording: 1, File: fmt.Sprintf("%08d-%s.mp4", n, at.Format("20060102T150405Z")), Length: segmentLength, Bytes: 300_000_000,
				Start: record.Instant{Wall: at.UnixNano(), Mono: int64(i) * int64(segmentLength), Anchor: 1}, Tracks: []string{"h264 1920x1080", "aac 48000 Hz"}, EndedBy: "it was full",
			}
			segments = append(segments, s)
			f, err := os.Create(filepath.Join(data, name, s.File))
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		require.NoError(t, catalog.Fill(filepath.Join(data, "catalog.db"), name, "last year", segments))
	}
	return all
}

// A year of sixteen channels (a week of them where MILLRACE_TORTURE is not set): what is asked is
// right, soon there, and little is held.
func TestYear(t *testing.T) { // must-show 8
	days := 7
	if os.Getenv("MILLRACE_TORTURE") != "" {
		days = 365
	}
	data := t.TempDir()
	channels := fillYears(t, data, 16, days)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	h := open(t, catalog.Config{Data: data, Channels: channels})
	start := time.Since(began)
	require.NotContains(t, h.logs.String(), "file", "every file is known and there")

	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var slowest, sum time.Duration
	asked := 0
	for d := range days {
		from := first.AddDate(0, 0, d).Add(5 * time.Minute)
		began := time.Now()
		line, err := h.Timeline(channels[d%16].Name, from, from.AddDate(0, 0, 1))
		took := time.Since(began)
		slowest, sum, asked = max(slowest, took), sum+took, asked+1
		require.NoError(t, err)
		want := 145
		if d == days-1 {
			want = 144
		}
		require.Len(t, line.Segments, want, "day %d", d)
		require.Equal(t, uint64(d*144+1), line.Segments[0].Number)
		require.Equal(t, uint64(d*144+want), line.Segments[want-1].Number)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapInuse) - int64(before.HeapInuse)
	t.Logf("%d segments: start %v, a day %v on average, %v at most, %.1f MB held", 16*days*144, start, sum/time.Duration(asked), slowest, float64(held)/1e6)
	require.Less(t, held, int64(50e6))
	require.Less(t, start, time.Minute, "a bound for broken, not for slow")
	require.Less(t, sum/time.Duration(asked), time.Second)
}
