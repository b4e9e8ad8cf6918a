package upload_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/upload"
)

// filmed is a file of numbered test cards, 25 a second, encoded by ffmpeg.
func filmed(t *testing.T, cards int, args ...string) string {
	t.Helper()
	card := synth.Card{Width: 320, Height: 240, Rate: synth.Rate{Num: 25, Den: 1}, Seed: 1}
	layout, err := hal.PackedLayout(hal.I420, 320, 240)
	require.NoError(t, err)
	raw := make([]byte, cards*layout.Size)
	for n := range cards {
		require.NoError(t, card.Paint(raw[n*layout.Size:], layout, n))
	}
	name := filepath.Join(t.TempDir(), "cards.mp4")
	all := append([]string{"-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x240", "-r", "25", "-i", "-"}, args...)
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append(all, "-g", "20", name)...)
	cmd.Stdin = bytes.NewReader(raw)
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	return "file://" + name + "?pace=fast"
}

// U1: each picture of an inter-coded camera goes up, in the order in which it is shown and with its own time.
func TestEveryPictureOfAnInterCodedChannel(t *testing.T) {
	const cards = 45
	for name, url := range map[string]string{
		"our own H.264":           "synth://?codec=h264&frames=45&pace=fast&audio=aac&size=320x240&gop=20",
		"H.264 with B-frames":     filmed(t, cards, "-c:v", "libx264", "-bf", "3"),
		"H.264 that is 4:2:2":     filmed(t, cards, "-c:v", "libx264", "-pix_fmt", "yuv422p"),
		"H.265 with B-frames too": filmed(t, cards, "-c:v", "libx265", "-x265-params", "log-level=error"),
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := directory(t)
			up := uploader(t, d, upload.Config{})
			f, status := channel(t, url, nil, up, upload.FramesConfig{Group: 10})
			require.NoError(t, up.Exit(t.Context(), false))
			require.Equal(t, "ended", status.State, "%+v", status)
			latest := f.Latest()
			require.Len(t, latest, cards)
			for i, one := range latest {
				require.Equal(t, "uploaded", one.State, one.Error)
				require.EqualValues(t, i, burntIn(t, filepath.Join(dir, one.Key)))
			}
			stats, ok := f.Stats().(upload.FramesStats)
			require.True(t, ok)
			require.Zero(t, stats.Undecoded)
		})
	}
}

// A3: without a decoder an inter-coded stream is refused in words; the channel goes on.
func TestWithoutADecoderAnInterCodedStreamIsRefused(t *testing.T) {
	reg := hal.NewRegistry(synth.Driver{})
	d, _ := directory(t)
	eng := pipeline.NewEngine(pipeline.Config{})
	frames := upload.NewFrames(uploader(t, d, upload.Config{}), reg, upload.FramesConfig{})
	ch, err := eng.Add(pipeline.Define("gate", acquire.From(reg, "synth://?codec=h264")).Branch("frames", upload.FramesLimit(), frames))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	require.Eventually(t, func() bool { return ch.Status().State == "degraded" }, time.Minute, 5*time.Millisecond)
	text, err := json.Marshal(ch.Status())
	require.NoError(t, err)
	require.NoError(t, eng.Exit(t.Context()))
	require.Contains(t, string(text), "pictures of h264, and no decoder")
}

// fakeDecoder makes a picture of each unit, fails where told, and counts.
type fakeDecoder struct {
	fail    func(unit int) bool
	decoded int
	drained int
}

func (d *fakeDecoder) OpenDecoder(context.Context, hal.Track, hal.DecoderConfig) (hal.Decoder, error) {
	return d, nil
}

func (d *fakeDecoder) Decode(_ context.Context, f hal.Frame, each func(hal.Frame) error) error {
	d.decoded++
	if d.fail != nil && d.fail(d.decoded) {
		return errors.New("no picture in it")
	}
	out := f.Retain()
	out.Stream = &hal.Stream{Tracks: []hal.Track{{Codec: hal.MJPEG, Width: 2, Height: 2}}}
	return each(out)
}

func (d *fakeDecoder) Drain(context.Context, func(hal.Frame) error) error {
	d.drained++
	return nil
}

func (*fakeDecoder) Close() error { return nil }

// fed runs seconds of an H.264 stream of 10 units and one key frame a second through the stage.
func fed(t *testing.T, d *fakeDecoder, cfg upload.FramesConfig, seconds int) (stats upload.FramesStats, asked int, log string) {
	t.Helper()
	store, _ := directory(t)
	cfg.Decoders = d
	f := upload.NewFrames(uploader(t, store, upload.Config{}), nil, cfg)
	var text strings.Builder
	require.NoError(t, f.Open(t.Context(), pipeline.Env{
		Channel: "gate", RequestKeyFrame: func() { asked++ }, Log: slog.New(slog.NewTextHandler(&text, nil)),
	}))
	arena := pool.NewArena(pool.ArenaConfig{})
	stream := &hal.Stream{Tracks: []hal.Track{{Codec: hal.H264, Width: 2, Height: 2}}}
	for i := range seconds * 10 {
		buf, err := arena.Get(8)
		require.NoError(t, err)
		at := int64(time.Hour + time.Duration(i)*time.Second/10)
		require.NoError(t, f.Work(t.Context(), hal.Frame{Buf: buf, Stream: stream, Key: i%10 == 0, Stamp: hal.Stamp{Mono: at}}))
	}
	require.NoError(t, f.Flush(t.Context()))
	require.NoError(t, f.Close())
	require.Zero(t, arena.Stats().Held, "frames never released")
	stats, ok := f.Stats().(upload.FramesStats)
	require.True(t, ok)
	return stats, asked, text.String()
}

// U1: where pictures are wanted no more often than key frames come, nothing else is decoded.
func TestKeyFramesAloneAreDecodedWhereTheyDo(t *testing.T) {
	for _, tc := range []struct {
		perSecond      float64
		taken, decoded int
	}{
		{perSecond: 1, taken: 20, decoded: 10 + 19},
		{perSecond: 0.5, taken: 10, decoded: 10 + 9},
		{perSecond: 2, taken: 40, decoded: 200},
		{perSecond: 0, taken: 200, decoded: 200},
	} {
		d := &fakeDecoder{}
		stats, asked, _ := fed(t, d, upload.FramesConfig{PerSecond: tc.perSecond}, 20)
		require.EqualValues(t, tc.taken, stats.Taken, "%g a second", tc.perSecond)
		require.Equal(t, tc.decoded, d.decoded, "%g a second", tc.perSecond)
		require.Zero(t, asked)
		require.EqualValues(t, 200-tc.taken, stats.Skipped)
	}
}

// What cannot be decoded is passed over up to the next key frame, which is asked for; that is counted, and said once.
func TestAUnitThatCannotBeDecodedCostsNoMoreThanItsGroup(t *testing.T) {
	d := &fakeDecoder{fail: func(unit int) bool { return unit == 3 || unit == 4 }} // and the next key frame
	stats, asked, log := fed(t, d, upload.FramesConfig{}, 4)
	require.EqualValues(t, 8+10, stats.Undecoded, "units 3 to 10 of the first group, all of the second")
	require.EqualValues(t, 40-18, stats.Taken)
	require.Equal(t, 2, asked)
	require.Equal(t, 1, strings.Count(log, "cannot be decoded"), log)
}

// slowDecoder is out of breath until it is let go, and sees whether what comes after a hole can be decoded.
type slowDecoder struct {
	fakeDecoder

	gate    chan struct{}
	holes   atomic.Int64
	orphans atomic.Int64
}

func (d *slowDecoder) OpenDecoder(context.Context, hal.Track, hal.DecoderConfig) (hal.Decoder, error) {
	return d, nil
}

func (d *slowDecoder) Decode(ctx context.Context, f hal.Frame, each func(hal.Frame) error) error {
	select {
	case <-d.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.Gap && d.decoded > 0 {
		d.holes.Add(1)
		if !f.Key {
			d.orphans.Add(1)
		}
	}
	return d.fakeDecoder.Decode(ctx, f, each)
}

// U1, P6: a branch that falls behind a live camera goes on at a key frame; what it dropped is counted.
func TestABranchThatFallsBehindGoesOnAtAKeyFrame(t *testing.T) {
	reg := hal.NewRegistry(synth.Driver{})
	store, _ := directory(t)
	d := &slowDecoder{gate: make(chan struct{})}
	eng := pipeline.NewEngine(pipeline.Config{})
	frames := upload.NewFrames(uploader(t, store, upload.Config{}), reg, upload.FramesConfig{Decoders: d})
	ch, err := eng.Add(pipeline.Define("gate", acquire.From(reg, "synth://?codec=h264&rate=240&gop=24&size=160x112&audio=none")).
		Branch("frames", upload.FramesLimit(), frames))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	dropped := func() (n uint64) {
		for _, q := range ch.Status().Queues {
			for _, m := range q.Dropped {
				n += m
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return dropped() > 0 }, time.Minute, 5*time.Millisecond)
	close(d.gate)
	require.Eventually(t, func() bool { return d.holes.Load() > 0 }, time.Minute, 5*time.Millisecond)
	require.NoError(t, eng.Exit(t.Context()))
	require.Zero(t, d.orphans.Load())
}
