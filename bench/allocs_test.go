package bench_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/record"
)

// P3: what is done for each frame allocates nothing, whether alone or all the way. .ci/allocs names the other
// guards of this kind, that from the socket to the arena among them.
func TestNothingIsAllocatedForAFrame(t *testing.T) {
	handOver, err := bench.HandOver(func(job func()) error { go job(); return nil })
	require.NoError(t, err)
	packing, done, err := bench.Packing()
	require.NoError(t, err)
	whole, end := arenaToFile(t)
	for _, tc := range []struct {
		bench.Load

		setup float64 // allocations before the first of the thousand frames: a goroutine, an arena
	}{{Load: bench.GetRelease()}, {handOver, 50}, {Load: packing}, {Load: whole}} {
		t.Run(tc.Name, func(t *testing.T) {
			const frames = 1000
			require.NoError(t, tc.Do(20*frames), "into the steady state")
			per := testing.AllocsPerRun(5, func() {
				if err := tc.Do(frames); err != nil {
					t.Error(err)
				}
			})
			require.LessOrEqual(t, per, tc.setup, "allocations for a thousand frames")
		})
	}
	require.NoError(t, done())
	end()
}

// arenaToFile is a camera's frames from the arena through the recorder's ring into a file, a fragment at a time.
func arenaToFile(t *testing.T) (load bench.Load, end func()) {
	t.Helper()
	arena := pool.NewArena(pool.ArenaConfig{})
	stream := &hal.Stream{Tracks: []hal.Track{{
		Codec: hal.H264, TimeScale: 90000, FrameRate: 25, Width: 640, Height: 480,
		SPS: []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48}, PPS: []byte{0x68, 0xcb, 0x83, 0xcb, 0x20},
	}}}
	ring, err := pipeline.NewQueue("disk", record.Ring{}.Limit())
	require.NoError(t, err)
	tee := pipeline.NewTee(1 << 20)
	tee.Join(ring)
	r := record.File(t.TempDir()+"/a.mp4", record.Config{SegmentBytes: 1 << 30})
	require.NoError(t, r.Open(t.Context(), pipeline.Env{}))
	var batch [64]hal.Frame
	frame := 0
	push := func() error {
		b, err := arena.Get(1500)
		if err != nil {
			return err
		}
		clear(b.Bytes())
		at := time.Duration(frame) * 40 * time.Millisecond
		f := hal.Frame{Buf: b, Stream: stream, Key: frame%50 == 0, Stamp: hal.Stamp{DTS: at, PTS: at, Mono: int64(at) + 1}}
		frame++
		return tee.Push(f)
	}
	write := func() error {
		n, err := ring.PopBatch(batch[:])
		for _, f := range batch[:n] {
			if err == nil {
				err = r.Work(t.Context(), f)
			}
		}
		return err
	}
	load = bench.Load{Name: "arena-to-file", Do: func(n int) error {
		for range n {
			if err := push(); err != nil {
				return err
			}
			if frame%26 == 0 { // the oldest is a second old
				if err := write(); err != nil {
					return err
				}
			}
		}
		return nil
	}}
	return load, func() {
		tee.Close()
		ring.Cancel()
		require.NoError(t, r.Flush(t.Context()))
		require.NoError(t, r.Close())
		require.Zero(t, arena.Stats().Held)
	}
}
