package snapshot_test

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/snapshot"
)

var (
	_ pipeline.Stage    = (*snapshot.Camera)(nil)
	_ snapshot.Encoders = (*hal.Registry)(nil)
	_ snapshot.Decoder  = soft.Driver{}
	_ snapshot.Decoder  = (*soft.Keys)(nil)
	_ snapshot.Decoder  = (*snapshot.FFmpeg)(nil)
	_ snapshot.Receiver = (*snapshot.Post)(nil)
	_ snapshot.Taker    = (*snapshot.Service)(nil)
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// service returns one that decodes H.264 by openh264 and all else by ffmpeg, as the appliance's.
func service(t testing.TB, change func(*snapshot.Config)) *snapshot.Service {
	t.Helper()
	keys := soft.NewKeys(soft.Driver{})
	t.Cleanup(keys.Close)
	cfg := snapshot.Config{
		Encoders: hal.NewRegistry(soft.Driver{}), Decoders: []snapshot.Decoder{keys, snapshot.NewFFmpeg("", 1, time.Minute)},
		Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := snapshot.New(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// tee stands in for a channel's: it hands a camera what is in its hand when it joins, from
// another goroutine, and takes its memory back.
type tee struct {
	t      testing.TB
	camera *snapshot.Camera
	arena  *pool.Arena

	mu     sync.Mutex
	hand   []hal.Frame // owned
	joins  int
	joined bool
	asked  int // for a key frame
	work   sync.WaitGroup
}

// attach opens a camera under a tee of its own.
func attach(t testing.TB, s *snapshot.Service, name string, cfg snapshot.CameraConfig) *tee {
	t.Helper()
	e := &tee{t: t, camera: s.Camera(name, cfg), arena: pool.NewArena(pool.ArenaConfig{})}
	require.NoError(t, e.camera.Open(t.Context(), pipeline.Env{
		Channel: name, Clock: hal.NewClock(), Log: slog.New(slog.DiscardHandler), Want: e.want,
		RequestKeyFrame: func() {
			e.mu.Lock()
			e.asked++
			e.mu.Unlock()
		},
	}))
	t.Cleanup(func() {
		require.NoError(t, e.camera.Close())
		e.work.Wait()
		e.hold()
		require.Zero(t, e.arena.Stats().Held, "frames never released")
	})
	return e
}

func (e *tee) want(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if on && !e.joined {
		e.joins++
		for _, f := range e.hand {
			f.Retain()
			e.work.Go(func() { _ = e.camera.Work(context.Background(), f) })
		}
	}
	e.joined = on
}

// hold puts other frames into its hand.
func (e *tee) hold(frames ...hal.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.hand {
		f.Release()
	}
	e.hand = frames
}

// push hands a frame over at once, if the camera has joined.
func (e *tee) push(f hal.Frame) {
	e.mu.Lock()
	joined := e.joined
	e.mu.Unlock()
	if !joined {
		f.Release()
		return
	}
	require.NoError(e.t, e.camera.Work(context.Background(), f))
}

// clip encodes seconds of a test picture with ffmpeg.
func clip(t testing.TB, size string, codec ...string) *packtest.Clip {
	t.Helper()
	return packtest.Encode(t, append([]string{"-f", "lavfi", "-i", "testsrc2=size=" + size + ":rate=5:duration=1"}, codec...)...)
}

// at gives a frame a place in time of its own.
func at(f hal.Frame, n int) hal.Frame {
	f.Stamp = hal.Stamp{Run: 1, DTS: time.Duration(n) * time.Second, PTS: time.Duration(n) * time.Second, Mono: int64(n+1) * int64(time.Second)}
	return f
}

func decode(t testing.TB, s snapshot.Snapshot) image.Image {
	t.Helper()
	require.Equal(t, "image/jpeg", s.ContentType, s.Cause)
	img, err := jpeg.Decode(bytes.NewReader(s.Data))
	require.NoError(t, err)
	require.Equal(t, image.Pt(s.Width, s.Height), img.Bounds().Size())
	return img
}

// number reads the synthetic camera's number from a JPEG.
func number(t testing.TB, s snapshot.Snapshot) uint32 {
	t.Helper()
	img, ok := decode(t, s).(*image.YCbCr)
	require.True(t, ok)
	n, ok := synth.ReadNumber(img.Y, img.YStride, s.Width, s.Height)
	require.True(t, ok, "no number in the picture")
	return n
}

// likeness is how alike ffmpeg finds a snapshot and a frame of a clip: SSIM of the luma.
func likeness(t testing.TB, s snapshot.Snapshot, source ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snapshot")
	require.NoError(t, os.WriteFile(file, s.Data, 0o600))
	args := append([]string{"-i", file}, source...)
	return string(packtest.Tool(t, "ffmpeg", append(args, "-frames:v", "1", "-filter_complex",
		"[0:v]format=yuvj420p,scale=320:240[a];[1:v]scale=320:240:out_range=full,format=yuvj420p[b];[a][b]ssim=stats_file=-", "-f", "null", "-")...))
}
