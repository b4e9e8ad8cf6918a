package record_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/record"
)

// camera makes endless frames as an RTSP source would: H.264 at 4 Mbit/s, and G.711.
type camera struct {
	t      testing.TB
	arena  *pool.Arena
	stream *hal.Stream
	n      int
}

func newCamera(t testing.TB) *camera {
	t.Helper()
	tracks := []hal.Track{pictures(t, false).Stream.Tracks[0], {Codec: hal.G711A, TimeScale: 8000, SampleRate: 8000, Channels: 1}}
	return &camera{t: t, arena: pool.NewArena(pool.ArenaConfig{}), stream: &hal.Stream{Tracks: tracks}}
}

func (c *camera) frame() hal.Frame {
	size, track := 20_000, c.n%3/2 // two pictures, then sound
	if track == 1 {
		size = 640
	}
	b, err := c.arena.Get(size)
	if err != nil {
		c.t.Fatal(err)
	}
	at := time.Duration(c.n) * 40 * time.Millisecond * 2 / 3
	c.n++
	return hal.Frame{
		Buf: b, Stream: c.stream, Track: track, Key: c.n%75 == 1,
		Stamp: hal.Stamp{DTS: at, PTS: at + 40*time.Millisecond},
	}
}

func TestRecordingAllocatesNothing(t *testing.T) { // P3
	c := newCamera(t)
	r := record.File(filepath.Join(t.TempDir(), "a.mp4"), record.Config{})
	require.NoError(t, r.Open(t.Context(), pipeline.Env{}))
	second := func() {
		for range 38 {
			if err := r.Work(context.Background(), c.frame()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20 {
		second()
	}
	require.Zero(t, testing.AllocsPerRun(50, second), "of a second of frames, with their fragment")
	require.NoError(t, r.Flush(t.Context()))
	require.NoError(t, r.Close())
	require.Zero(t, c.arena.Stats().Held)
}

// BenchmarkRecord is one access unit of 20 KB packed and written to a file: WriteOnly is what
// the system's write alone costs for the same bytes, in the same pieces.
func BenchmarkRecord(b *testing.B) {
	c := newCamera(b)
	r := record.File(filepath.Join(b.TempDir(), "a.mp4"), record.Config{SegmentBytes: 64 << 20})
	require.NoError(b, r.Open(b.Context(), pipeline.Env{}))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Work(context.Background(), c.frame()); err != nil {
			b.Fatal(err)
		}
		if c.n%5000 == 0 {
			clean(b, r)
		}
	}
	require.NoError(b, r.Flush(b.Context()))
	require.NoError(b, r.Close())
}

// clean keeps the disk from filling up.
func clean(b *testing.B, r *record.Recorder) {
	b.Helper()
	b.StopTimer()
	s, _ := r.Stats().(record.Stats)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(s.File), "*"))
	require.NoError(b, err)
	for _, f := range files {
		if f != s.File {
			require.NoError(b, os.Remove(f))
		}
	}
	b.StartTimer()
}
