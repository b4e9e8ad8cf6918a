package motion_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/event/motion"
	"github.com/millrace-video/millrace/stages/snapshot"
)

var (
	_ motion.Decoder = soft.Driver{}
	_ motion.Decoder = (*snapshot.FFmpeg)(nil)
)

func keys() *motion.Keys {
	return motion.NewKeys(0, soft.Driver{}, snapshot.NewFFmpeg("", 0, time.Minute))
}

// A channel of H.264 has motion: it is looked at once a group of pictures, and found in the first
// key frame after it began.
func TestMotionInKeyFrames(t *testing.T) {
	k := keys()
	s := look(t, camera(t, "synth://?pace=fast&audio=none&size=320x240&rate=10&gop=20&frames=400&still=until:245"), motion.Config{}, k, nil)
	require.Zero(t, k.Held(), "pictures never released")
	require.NotEmpty(t, s.told)
	require.Equal(t, 260, s.told[0])
	require.Equal(t, uint64(1), s.stats.Motions)
	require.Equal(t, uint64(20), s.stats.Looks, "every key frame, and nothing else")
	require.Equal(t, "h264", s.stats.Sees)
	require.InDelta(t, 2, s.stats.Every, 0.001)
	require.Zero(t, s.stats.Broken)
}

// scene has ffmpeg film a wall whose pictures are full of noise, 34 s of it, five pictures a
// second, a key frame every two seconds; what passes it is seen for the given seconds.
func scene(t testing.TB, encoder, passes string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scene.mp4")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "smptebars=size=320x180:rate=5:duration=34",
		"-f", "lavfi", "-i", "color=white:size=36x60:rate=5:duration=34",
		"-filter_complex", fmt.Sprintf("overlay=x='mod(t*45,280)':y=75:enable='%s',noise=alls=25:allf=t", passes),
		"-pix_fmt", "yuv420p", "-c:v", encoder, "-preset", "ultrafast", "-b:v", "150k", "-maxrate", "150k", "-bufsize", "150k",
		"-g", "10", "-keyint_min", "10", "-sc_threshold", "0", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return "file://" + path + "?pace=fast"
}

// Real encoders at a low bit rate: somebody who passes for three seconds is found, noise is not.
// Time stands still while a picture is decoded, so that a slow machine misses none.
func TestMotionInRealKeyFrames(t *testing.T) {
	for _, encoder := range []string{"libx264", "libx265"} {
		synctest.Test(t, func(t *testing.T) {
			s := look(t, camera(t, scene(t, encoder, "between(t,25.1,28)")), motion.Config{}, keys(), nil)
			require.Equal(t, uint64(17), s.stats.Looks)
			require.Zero(t, s.stats.Broken, s.stats.Why)
			require.Len(t, s.at, 2, "noise before and after is no motion")
			require.InDelta(t, 26, s.at[0].Seconds(), 0.5, "by the next key frame")
			require.InDelta(t, 28, s.at[1].Seconds(), 0.5)
			require.Equal(t, uint64(1), s.stats.Motions)
			require.False(t, s.stats.Moving, "it is over")
		})
	}
}

// Not even for a detector that is set to see little things.
func TestNoiseInRealKeyFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := look(t, camera(t, scene(t, "libx264", "0")), motion.Config{Sensitivity: 80, Area: 0.5}, keys(), nil)
		require.Empty(t, s.told)
		require.Equal(t, uint64(17), s.stats.Looks)
	})
}

// stub is a decoder that does as it is told.
type stub func(ctx context.Context, key hal.Frame) error

// DecodeKey implements motion.Decoder: a grey picture.
func (s stub) DecodeKey(ctx context.Context, key hal.Frame, arena *pool.Arena) (hal.Frame, error) {
	if err := s(ctx, key); err != nil {
		return hal.Frame{}, err
	}
	layout, err := hal.PackedLayout(hal.I420, 64, 36)
	if err != nil {
		return hal.Frame{}, err
	}
	buf, err := arena.Get(layout.Size)
	if err != nil {
		return hal.Frame{}, err
	}
	clear(buf.Bytes())
	return hal.Frame{Buf: buf, Stream: &hal.Stream{Tracks: []hal.Track{{Codec: hal.Raw, Width: 64, Height: 36, Layout: layout}}}}, nil
}

// branch is a stage that stands in a branch, the frames for it, and what it logged.
type branch struct {
	*motion.Stage

	arena *pool.Arena
	log   bytes.Buffer
	now   int64
}

func newBranch(t *testing.T, w *motion.Watch) *branch {
	t.Helper()
	b := &branch{Stage: w.Branch(), arena: pool.NewArena(pool.ArenaConfig{}), now: 1e12}
	require.NoError(t, b.Open(t.Context(), pipeline.Env{Log: slog.New(slog.NewTextHandler(&b.log, nil))}))
	t.Cleanup(func() { require.Zero(t, b.arena.Stats().Held, "frames never released") })
	return b
}

// next is a frame so long after the last.
func (b *branch) next(t *testing.T, stream *hal.Stream, key bool, after time.Duration) hal.Frame {
	t.Helper()
	buf, err := b.arena.Get(100)
	require.NoError(t, err)
	b.now += int64(after)
	return hal.Frame{Buf: buf, Stream: stream, Key: key, Stamp: hal.Stamp{Mono: b.now}}
}

// frame has the stage work on the next frame.
func (b *branch) frame(ctx context.Context, t *testing.T, stream *hal.Stream, key bool, after time.Duration) motion.Stats {
	t.Helper()
	require.NoError(t, b.Work(ctx, b.next(t, stream, key, after)))
	s, _ := b.Stats().(motion.Stats)
	return s
}

func coded(codec hal.Codec) *hal.Stream {
	return &hal.Stream{Tracks: []hal.Track{{Codec: codec, Width: 64, Height: 36}}}
}

// What cannot be decoded here is tried once and said once, with what to do; another stream is
// another matter.
func TestKeyFramesThatNothingDecodes(t *testing.T) {
	tried := 0
	k := motion.NewKeys(0, soft.Driver{OpenH264: []string{"libnothere.so"}}, snapshot.NewFFmpeg("no-ffmpeg-here", 0, 0), stub(func(_ context.Context, key hal.Frame) error {
		if tried++; key.Info().Codec == hal.AV1 {
			return nil
		}
		return hal.ErrUnsupported
	}))
	b := newBranch(t, motion.NewWatch(motion.Config{}, k, func(int64) {}))
	stream := coded(hal.H264)
	for range 5 {
		s := b.frame(t.Context(), t, stream, true, time.Second)
		require.Contains(t, s.Why, "install Debian's libopenh264-7")
		require.Contains(t, s.Why, "install Debian's ffmpeg")
		require.Equal(t, motion.Stats{Why: s.Why}, s)
	}
	require.NoError(t, b.Flush(t.Context()), "the camera comes back, no better")
	b.frame(t.Context(), t, stream, true, time.Second)
	require.Equal(t, 2, tried)
	require.Equal(t, 1, strings.Count(b.log.String(), "no motion will be found"), b.log.String())
	s := b.frame(t.Context(), t, coded(hal.AV1), true, time.Second)
	s.Decode = 0
	require.Equal(t, motion.Stats{Looks: 1, Sees: "av1"}, s)
}

// A key frame that is damaged is counted, and the next one is seen.
func TestDamagedKeyFrames(t *testing.T) {
	var fail error
	b := newBranch(t, motion.NewWatch(motion.Config{}, motion.NewKeys(0, stub(func(context.Context, hal.Frame) error { return fail })), func(int64) {}))
	stream := coded(hal.H265)
	b.frame(t.Context(), t, stream, true, time.Second)
	fail = errors.New("a third of a picture")
	s := b.frame(t.Context(), t, stream, true, 2*time.Second)
	s.Decode = 0
	require.Equal(t, motion.Stats{Looks: 2, Broken: 1, Every: 2, Sees: "h265", Why: "a third of a picture"}, s)
	fail = nil
	s = b.frame(t.Context(), t, stream, true, 2*time.Second)
	s.Decode = 0
	require.Equal(t, motion.Stats{Looks: 3, Broken: 1, Every: 2, Sees: "h265"}, s)
	require.Empty(t, b.log.String())
}

// Decoding takes a channel a tenth of a core at most, whatever comes: here key frames alone, 25 a
// second, of 40 ms each.
func TestDecodingIsThrifty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := motion.NewKeys(0, stub(func(context.Context, hal.Frame) error {
			<-time.NewTimer(40 * time.Millisecond).C
			return nil
		}))
		b := newBranch(t, motion.NewWatch(motion.Config{Rate: 30}, k, func(int64) {}))
		stream := coded(hal.H264)
		var s motion.Stats
		for range 250 {
			s = b.frame(t.Context(), t, stream, true, 40*time.Millisecond)
		}
		require.Equal(t, uint64(25), s.Looks, "in ten seconds")
		require.InDelta(t, 40, s.Decode, 0.001)
		require.InDelta(t, 0.4, s.Every, 0.001)
	})
}

// A key frame that comes a little early is not missed, nor are frames between key frames decoded.
func TestKeyFramesThatComeALittleEarly(t *testing.T) {
	b := newBranch(t, motion.NewWatch(motion.Config{Rate: 0.5}, motion.NewKeys(0, stub(func(_ context.Context, key hal.Frame) error {
		require.True(t, key.Key)
		return nil
	})), func(int64) {}))
	stream := coded(hal.H264)
	var s motion.Stats
	for range 10 {
		b.frame(t.Context(), t, stream, true, 990*time.Millisecond)
		s = b.frame(t.Context(), t, stream, false, time.Second)
	}
	require.Equal(t, uint64(10), s.Looks)
}

// Channels wait for each other's turn, and one that is told to end does not wait on.
func TestChannelsDecodeInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		k := motion.NewKeys(1, stub(func(context.Context, hal.Frame) error { <-free; return nil }))
		first, second := newBranch(t, motion.NewWatch(motion.Config{}, k, func(int64) {})), newBranch(t, motion.NewWatch(motion.Config{}, k, func(int64) {}))
		done, f := make(chan error, 1), first.next(t, coded(hal.H264), true, 0)
		go func() { done <- first.Work(t.Context(), f) }()
		synctest.Wait()
		over, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.Zero(t, second.frame(over, t, coded(hal.H264), true, 0).Looks)
		require.Error(t, over.Err(), "it waited until then")
		close(free)
		require.NoError(t, <-done)
		require.Equal(t, uint64(1), second.frame(t.Context(), t, coded(hal.H264), true, 0).Looks)
	})
}

// A raw camera that is gone and whose fallback sends H.264 (H5): the branch takes over, and gives
// way again when the raw one is back.
func TestMotionAfterAFailOver(t *testing.T) {
	w := motion.NewWatch(motion.Config{}, motion.NewKeys(0, stub(func(context.Context, hal.Frame) error { return nil })), func(int64) {})
	b, trunk := newBranch(t, w), w.Trunk()
	require.NoError(t, trunk.Open(t.Context(), pipeline.Env{Out: func(f hal.Frame) error { f.Release(); return nil }}))
	src := camera(t, "synth://?pace=fast&audio=none&codec=raw&size=320x240&frames=2")
	raw, err := src.Read(t.Context())
	require.NoError(t, err)
	raw.Stamp.Mono = 1e12
	again := raw.Retain()
	require.NoError(t, trunk.Work(t.Context(), raw))
	stream := coded(hal.H264)
	require.Equal(t, motion.Stats{Looks: 1, Sees: "raw"}, b.frame(t.Context(), t, stream, true, time.Second), "what was made of what was seen")
	require.NoError(t, trunk.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
	s := b.frame(t.Context(), t, stream, true, time.Second)
	require.Equal(t, []any{uint64(2), "h264"}, []any{s.Looks, s.Sees})
	require.NoError(t, trunk.Work(t.Context(), again))
	require.NoError(t, b.Flush(t.Context()))
	s = b.frame(t.Context(), t, stream, true, time.Second)
	require.Equal(t, []any{uint64(3), "raw"}, []any{s.Looks, s.Sees})
	require.NoError(t, src.Close())
}

// The cost of a look at a key frame; there is one a group of pictures.
func BenchmarkLookAtKeyFrame(b *testing.B) {
	for _, codec := range []string{"libx264", "libx265"} {
		b.Run(codec+"-320x180", func(b *testing.B) {
			src := camera(b, scene(b, codec, "0"))
			f, err := src.Read(b.Context())
			require.NoError(b, err)
			stage := motion.NewWatch(motion.Config{}, keys(), func(int64) {}).Branch()
			require.NoError(b, stage.Open(b.Context(), pipeline.Env{}))
			b.ReportAllocs()
			for b.Loop() {
				f.Stamp.Mono += int64(time.Minute)
				require.NoError(b, stage.Work(b.Context(), f.Retain()))
			}
			f.Release()
			_, err = src.Read(b.Context())
			require.NotErrorIs(b, err, io.EOF)
			require.NoError(b, src.Close())
		})
	}
}
