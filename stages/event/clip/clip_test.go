package clip_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/event"
	"github.com/millrace-video/millrace/stages/event/clip"
)

var (
	_ pipeline.Stage    = (*clip.Clip)(nil)
	_ pipeline.Marked   = (*clip.Clip)(nil)
	_ pipeline.EndBatch = (*clip.Clip)(nil)
	_ pipeline.Counting = (*clip.Clip)(nil)
	_ event.Recorder    = (*clip.Clip)(nil)
)

// camera makes pictures, 10 a second, a key frame each GOP; a picture's bytes are its number.
type camera struct {
	arena  *pool.Arena
	stream *hal.Stream
	gop    int
	size   int
	number int
	run    uint32
}

func newCamera(gop, size int) *camera {
	return &camera{
		arena: pool.NewArena(pool.ArenaConfig{}), gop: gop, size: size,
		stream: &hal.Stream{Tracks: []hal.Track{{Codec: hal.H264, TimeScale: 90000, Width: 64, Height: 64}, {Codec: hal.AAC, SampleRate: 8000, Channels: 1}}},
	}
}

const step = int64(100 * time.Millisecond)

// at is the time of a picture.
func at(number int) event.Instant { return event.Instant{Mono: 1e12 + int64(number)*step} }

func (c *camera) picture(t testing.TB) hal.Frame {
	b, err := c.arena.Get(c.size)
	require.NoError(t, err)
	binary.BigEndian.PutUint64(b.Bytes(), uint64(c.number))
	dts := time.Duration(int64(c.number) * step)
	f := hal.Frame{Buf: b, Stream: c.stream, Stamp: hal.Stamp{Run: c.run, DTS: dts, PTS: dts, Mono: at(c.number).Mono}, Key: c.number%c.gop == 0}
	c.number++
	return f
}

// sink notes what it gets, one list a stretch.
type sink struct {
	stretches [][]int
	flushed   bool
	keys      []bool // whether each stretch begins with a key frame
	gaps      []int  // frames that say that something before them is missing
	fail      error
}

func (s *sink) Name() string                             { return "sink" }
func (s *sink) Open(context.Context, pipeline.Env) error { s.flushed = true; return nil }
func (s *sink) Flush(context.Context) error              { s.flushed = true; return nil }
func (s *sink) Close() error                             { return nil }

func (s *sink) Work(_ context.Context, f hal.Frame) error {
	defer f.Release()
	if s.fail != nil {
		return s.fail
	}
	if s.flushed {
		s.stretches, s.keys, s.flushed = append(s.stretches, nil), append(s.keys, f.Key), false
	}
	last, number := &s.stretches[len(s.stretches)-1], int(binary.BigEndian.Uint64(f.Buf.Bytes()))
	*last = append(*last, number)
	if f.Gap {
		s.gaps = append(s.gaps, number)
	}
	return nil
}

// rig is a clip that is fed.
type rig struct {
	*testing.T

	clip   *clip.Clip
	camera *camera
	sink   *sink
	stored map[uint64]int
	marks  int
}

func newRig(t *testing.T, cfg clip.Config) *rig {
	r := &rig{T: t, camera: newCamera(10, 1000), sink: &sink{}, stored: map[uint64]int{}}
	r.clip = clip.To(r.sink, cfg)
	require.NoError(t, r.clip.Open(t.Context(), pipeline.Env{Mark: func() { r.marks++ }}))
	t.Cleanup(func() {
		require.NoError(t, r.clip.Close())
		require.Zero(t, r.camera.arena.Stats().Held, "frames never released")
	})
	return r
}

func (r *rig) feed(upTo int) {
	r.Helper()
	for r.camera.number < upTo {
		require.NoError(r, r.clip.Work(r.Context(), r.camera.picture(r)))
	}
}

func (r *rig) record(number uint64, from, to int, over bool) {
	r.Helper()
	w := event.Window{Event: number, Part: 1, From: at(from), To: at(to), Over: over}
	var stored func(error)
	if over {
		stored = func(err error) {
			require.NoError(r, err)
			r.stored[number]++
		}
	}
	before := r.marks
	r.clip.Record(w, stored)
	require.Equal(r, before+1, r.marks, "its worker is told")
	require.NoError(r, r.clip.Mark(r.Context(), pipeline.Asked))
}

func from(a, b int) []int {
	var all []int
	for n := a; n <= b; n++ {
		all = append(all, n)
	}
	return all
}

// C7: "footage from before the trigger": a video begins at the last key frame before its window,
// and ends with it, to the frame, with neither a hole nor a repetition at the seam.
func TestVideoBeginsBeforeTheTriggerAtAKeyFrame(t *testing.T) {
	r := newRig(t, clip.Config{Pre: 5 * time.Second})
	r.feed(100)
	require.Empty(t, r.sink.stretches, "no event, no video")
	r.record(1, 47, 130, false)
	require.Equal(t, [][]int{from(40, 99)}, r.sink.stretches)
	r.feed(140)
	require.Equal(t, [][]int{from(40, 129)}, r.sink.stretches)
	require.Zero(t, r.stored[1], "it may be prolonged")
	r.record(1, 47, 150, false)
	r.feed(145)
	r.record(1, 47, 150, true)
	require.Zero(t, r.stored[1], "not all of it has come")
	r.feed(151)
	require.Equal(t, [][]int{from(40, 149)}, r.sink.stretches)
	require.Equal(t, []bool{true}, r.sink.keys)
	require.Equal(t, 1, r.stored[1])
	require.True(t, r.sink.flushed)
}

func TestFootageFromBeforeCanBeOff(t *testing.T) { // C7: "0 turns it off"
	r := newRig(t, clip.Config{})
	r.feed(100)
	r.record(1, 99, 105, true)
	r.feed(120)
	require.Equal(t, [][]int{from(90, 104)}, r.sink.stretches, "only the key frame that its decoder needs")
}

func TestOverlappingWindowsAreOneVideo(t *testing.T) {
	r := newRig(t, clip.Config{Pre: 5 * time.Second})
	r.feed(60)
	r.record(1, 20, 80, true)
	r.record(2, 70, 100, true)
	r.feed(110)
	require.Equal(t, [][]int{from(20, 99)}, r.sink.stretches)
	require.Equal(t, map[uint64]int{1: 1, 2: 1}, r.stored)
}

// A later video is whole by itself: it may begin with pictures that the one before ended with.
func TestALaterVideoBeginsAtAKeyFrameToo(t *testing.T) {
	r := newRig(t, clip.Config{Pre: 5 * time.Second})
	r.feed(60)
	r.record(1, 50, 65, true)
	r.feed(70)
	r.record(2, 67, 75, true)
	r.feed(80)
	require.Equal(t, [][]int{from(50, 64), from(60, 74)}, r.sink.stretches)
	require.Equal(t, []bool{true, true}, r.sink.keys)
}

// What came behind a window's end stays in the ring until the window is over, or longer, however
// long that takes.
func TestAWindowThatIsProlongedLate(t *testing.T) {
	r := newRig(t, clip.Config{})
	r.feed(40)
	r.record(1, 39, 50, false)
	r.feed(150)
	require.Equal(t, [][]int{from(30, 49)}, r.sink.stretches)
	r.record(1, 39, 145, true)
	require.Equal(t, [][]int{from(30, 144)}, r.sink.stretches)
}

// Frames that the ring has no room for are missing, and the next one says so.
func TestFramesWithoutRoomAreAGap(t *testing.T) {
	r := newRig(t, clip.Config{Pre: time.Second, Bytes: 5_500}) // of each group only half fits
	r.feed(10)
	r.record(1, 9, 100, false)
	r.feed(40)
	require.Equal(t, [][]int{{10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 30, 31, 32, 33, 34}}, r.sink.stretches)
	require.Equal(t, []int{20, 30}, r.sink.gaps)
	stats, ok := r.clip.Stats().(clip.Stats)
	require.True(t, ok)
	require.NotZero(t, stats.Missing)
}

// A late trigger's window may begin before the video under way: it gets one of its own, whole.
func TestAWindowThatReachesBackGetsAVideoOfItsOwn(t *testing.T) {
	r := newRig(t, clip.Config{Pre: 5 * time.Second})
	r.feed(60)
	r.record(1, 50, 65, false)
	r.record(2, 25, 75, false)
	r.record(1, 50, 65, true)
	r.record(2, 25, 75, true)
	r.feed(80)
	require.Equal(t, [][]int{from(50, 59), from(20, 74)}, r.sink.stretches)
}

func TestAnEndedRunEndsItsWindows(t *testing.T) {
	r := newRig(t, clip.Config{Pre: 5 * time.Second})
	r.feed(60)
	r.record(1, 50, 100, false)
	require.NoError(t, r.clip.Mark(t.Context(), pipeline.RunEnded))
	require.True(t, r.sink.flushed, "the file is finished")
	require.Zero(t, r.stored[1])
	r.record(1, 50, 100, true)
	require.Equal(t, 1, r.stored[1], "no frame follows")
	r.camera.run, r.camera.number = 1, 200
	r.feed(260)
	require.Equal(t, [][]int{from(50, 59)}, r.sink.stretches)
}

func TestAWindowOfAChannelThatDoesNotRunIsToldSo(t *testing.T) {
	c := clip.To(&sink{}, clip.Config{})
	var told error
	c.Record(event.Window{Event: 1, Over: true}, func(err error) { told = err })
	require.ErrorContains(t, told, "is not running")
	require.NoError(t, c.Open(t.Context(), pipeline.Env{}))
	told = nil
	c.Record(event.Window{Event: 2, From: at(0), To: at(100), Over: true}, func(err error) { told = err })
	require.NoError(t, c.Close())
	require.ErrorContains(t, told, "is not running")
}

func TestASinkThatFailsFailsTheBranch(t *testing.T) {
	r := newRig(t, clip.Config{Pre: time.Second})
	r.feed(10)
	r.sink.fail = errors.New("no room")
	r.clip.Record(event.Window{Event: 1, Part: 1, From: at(5), To: at(50)}, nil)
	require.ErrorContains(t, r.clip.Mark(t.Context(), pipeline.Asked), "no room")
}

// Whatever windows come, in whatever order with the frames: each stretch begins with a key frame
// and is without a hole, and every frame of every window is in one.
func TestNoFrameIsMissingOrTwiceInAVideo(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := newRig(t, clip.Config{Pre: 5 * time.Second})
		g.camera.gop = 1 + r.IntN(20)
		covered := map[int]bool{}
		number := uint64(0)
		type open struct {
			number   uint64
			from, to int
		}
		var running []open
		for g.camera.number < 400 {
			g.feed(g.camera.number + 1 + r.IntN(30))
			now := g.camera.number
			for i := range running {
				if w := &running[i]; w.to <= now && w.to > 0 {
					over := r.IntN(2) == 0
					if !over {
						w.to = now + r.IntN(40)
					}
					g.record(w.number, w.from, w.to, over)
					if over {
						for n := w.from; n < w.to; n++ {
							covered[n] = true
						}
						w.to = -1
					}
				}
			}
			if r.IntN(3) == 0 {
				number++
				w := open{number, max(0, now-r.IntN(50)), now + 1 + r.IntN(60)}
				running = append(running, w)
				g.record(w.number, w.from, w.to, false)
			}
		}
		require.NoError(t, g.clip.Flush(t.Context()))
		seen := map[int]bool{}
		for i, s := range g.sink.stretches {
			require.True(t, g.sink.keys[i], "seed %d", seed)
			require.Equal(t, from(s[0], s[len(s)-1]), s, "seed %d: a hole or a repetition", seed)
			for _, n := range s {
				seen[n] = true
			}
		}
		for n := range covered {
			require.True(t, seen[n], "seed %d: picture %d is in no video", seed, n)
		}
	}
}

// The ring keeps what it is to keep, whole groups of it, within its bytes, and allocates nothing
// once it is warm.
func TestRingKeepsSecondsWithinBytes(t *testing.T) {
	c := newCamera(7, 1000)
	ring := clip.NewRing(clip.RingConfig{Keep: 5 * time.Second})
	put := func() {
		f := c.picture(t)
		require.True(t, ring.Put(f))
		f.Release()
	}
	for range 1000 {
		put()
		if c.number > 60 {
			require.GreaterOrEqual(t, ring.Stats().Span, 5*time.Second-time.Duration(step))
			require.LessOrEqual(t, ring.Stats().Span, 6200*time.Millisecond)
		}
		oldest, ok := ring.Frame(ring.Oldest())
		require.True(t, ok)
		require.True(t, oldest.Key)
	}
	require.Zero(t, testing.AllocsPerRun(1000, put), "allocations a frame")
	small := clip.NewRing(clip.RingConfig{Keep: time.Hour, Bytes: 25_000})
	for range 1000 {
		f := c.picture(t)
		small.Put(f)
		f.Release()
		require.LessOrEqual(t, small.Stats().Bytes, 25_000)
	}
	require.NotZero(t, small.Stats().Short)
	require.NotZero(t, small.Stats().Frames)
	ring.Clear()
	small.Clear()
	require.Zero(t, ring.Stats())
	require.Zero(t, c.arena.Stats().Held, "frames never released")
}

// A group that is too large for the ring is left out, and the next one kept.
func TestAGroupLargerThanTheRing(t *testing.T) {
	c := newCamera(10, 1000)
	ring := clip.NewRing(clip.RingConfig{Keep: time.Second, Bytes: 5_500})
	kept := 0
	for range 30 {
		f := c.picture(t)
		if ring.Put(f) {
			kept++
		}
		f.Release()
	}
	require.Equal(t, 15, kept, "five pictures of each group")
	require.LessOrEqual(t, ring.Stats().Bytes, 5_500)
}

func BenchmarkRing(b *testing.B) {
	c := newCamera(50, 20_000) // 4 Mbit/s at 25 pictures a second
	ring := clip.NewRing(clip.RingConfig{Keep: 6 * time.Second})
	b.ReportAllocs()
	for b.Loop() {
		f := c.picture(b)
		ring.Put(f)
		f.Release()
	}
}
