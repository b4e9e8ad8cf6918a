package motion_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/event/motion"
)

var (
	_ pipeline.Stage    = (*motion.Stage)(nil)
	_ pipeline.Passer   = (*motion.Stage)(nil)
	_ pipeline.Counting = (*motion.Stage)(nil)
)

// seen is what a watch said of a synthetic camera.
type seen struct {
	told   []int // by the number of the picture
	at     []time.Duration
	stats  motion.Stats
	passed int
}

// watch has a stage look at a synthetic camera, each picture as encode makes it.
func watch(t testing.TB, query string, cfg motion.Config, encode func(hal.Source, hal.Frame) hal.Frame) *seen {
	t.Helper()
	return look(t, camera(t, "synth://?pace=fast&audio=none&codec=raw&"+query), cfg, nil, encode)
}

func camera(t testing.TB, address string) hal.Source {
	t.Helper()
	src, err := hal.NewRegistry(synth.Driver{}, file.Driver{}).Open(t.Context(), address, hal.Options{})
	require.NoError(t, err)
	return src
}

// look has a stage look at a source: raw pictures in the trunk, others in a branch.
func look(t testing.TB, src hal.Source, cfg motion.Config, keys *motion.Keys, encode func(hal.Source, hal.Frame) hal.Frame) *seen {
	t.Helper()
	s := &seen{}
	number := 0
	w := motion.NewWatch(cfg, keys, func(mono int64) {
		s.told, s.at = append(s.told, number), append(s.at, time.Duration(mono-1e12))
	})
	stage := w.Trunk()
	if encode != nil || keys != nil {
		stage = w.Branch()
	}
	require.NoError(t, stage.Open(t.Context(), pipeline.Env{Out: func(f hal.Frame) error { s.passed++; f.Release(); return nil }}))
	for ; ; number++ {
		f, err := src.Read(t.Context())
		if err != nil {
			break
		}
		f.Stamp.Mono = 1e12 + int64(f.Stamp.PTS)
		if encode != nil {
			f = encode(src, f)
		}
		require.NoError(t, stage.Work(t.Context(), f))
	}
	require.NoError(t, stage.Close())
	require.NoError(t, src.Close())
	s.stats, _ = stage.Stats().(motion.Stats)
	return s
}

func TestMotionOfACardThatBeginsToMove(t *testing.T) {
	for _, pixels := range []string{"i420", "nv12", "yuyv", "uyvy"} {
		s := watch(t, "size=320x240&rate=25&frames=300&still=until:150&pixel="+pixels, motion.Config{}, nil)
		require.NotEmpty(t, s.told, pixels)
		require.InDelta(t, 160, s.told[0], 10, "within two looks")
		require.Equal(t, uint64(1), s.stats.Motions)
		require.GreaterOrEqual(t, len(s.told), 5, "once a second while it goes on")
		require.LessOrEqual(t, len(s.told), 7)
		require.Equal(t, 300, s.passed, "every picture goes on to the encoder")
		require.InDelta(t, 60, s.stats.Looks, 2, "five a second")
	}
}

func TestNoMotionOfACardThatStandsStill(t *testing.T) {
	s := watch(t, "size=320x240&rate=25&frames=300&still=always", motion.Config{Sensitivity: 100, Area: 0.1}, nil)
	require.Empty(t, s.told)
	require.Zero(t, s.stats.Area)
}

// The settings: how large a change must be, and how much of the picture.
func TestSensitivityAndArea(t *testing.T) {
	told := func(cfg motion.Config, contrast int, percent float64) bool {
		d := motion.New(cfg)
		began := false
		for n := range 40 {
			l := flat(100)
			if n >= 20 {
				side := int(math.Sqrt(percent / 100 * 640 * 360))
				for y := range side {
					for x := range side {
						l.Pixels[(y+90)*l.Stride+x+n] = byte(100 + contrast)
					}
				}
			}
			began = d.Look(l, int64(n)*2e8).Began || began
		}
		return began
	}
	require.True(t, told(motion.Config{}, 40, 4))
	require.False(t, told(motion.Config{}, 12, 4), "too faint")
	require.True(t, told(motion.Config{Sensitivity: 90}, 12, 4))
	require.False(t, told(motion.Config{Area: 8}, 40, 4), "too small")
	require.True(t, told(motion.Config{Area: 3}, 40, 4))
	for text, cfg := range map[string]motion.Config{
		"sensitivity 101: 1 to 100": {Sensitivity: 101}, "area -1: 0.1 to 100": {Area: -1}, "area NaN": {Area: math.NaN()},
		"rate 31: 0.5 to 30": {Rate: 31}, "hold 1ms: 100ms to 1m": {Hold: time.Millisecond},
	} {
		require.ErrorContains(t, cfg.Validate(), text)
	}
}

func flat(level byte) motion.Luma {
	return motion.Luma{Pixels: bytes.Repeat([]byte{level}, 640*360), Width: 640, Height: 360, Stride: 640, Step: 1}
}

// Noise, and light that changes slowly or at once, are no motion: five pictures a second, or one
// in two seconds, of which each counts by itself.
func TestWhatIsNoMotion(t *testing.T) {
	for _, apart := range []int64{2e8, 2e9} {
		noMotion(t, apart)
	}
}

func noMotion(t *testing.T, apart int64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for name, level := range map[string]func(n int) float64{
		"noise": func(int) float64 { return 100 },
		"dusk":  func(n int) float64 { return 200 - float64(n)/4 },
		"a lamp is lit": func(n int) float64 {
			if n < 200 {
				return 60
			}
			return 160
		},
	} {
		d := motion.New(motion.Config{Sensitivity: 80})
		for n := range 400 {
			l := motion.Luma{Pixels: make([]byte, 128*72), Width: 128, Height: 72, Stride: 128, Step: 1}
			for i := range l.Pixels {
				l.Pixels[i] = byte(level(n) + r.NormFloat64()*3)
			}
			require.False(t, d.Look(l, int64(n)*apart).Moving, "%s, picture %d, %d ns apart", name, n, apart)
		}
	}
}

// The sun that comes out over a third of the scene is no motion, however far the pictures are apart.
func TestTheSunIsNoMotion(t *testing.T) {
	for _, apart := range []float64{0.2, 2} {
		d := motion.New(motion.Config{Sensitivity: 80})
		for n := range 300 {
			l, now := flat(60), float64(n)*apart
			for i := range l.Pixels {
				if i%640 < 200 {
					l.Pixels[i] = byte(min(240, 60+0.8*now))
				}
			}
			require.False(t, d.Look(l, int64(now*1e9)).Moving, "after %g s, a look each %g s", now, apart)
		}
	}
}

// Motion ends when nothing has moved for the holding time; what stays becomes background, at five
// looks a second within a minute, and within two where pictures come every two seconds.
func TestMotionEnds(t *testing.T) {
	for apart, most := range map[time.Duration]time.Duration{200 * time.Millisecond: time.Minute, 2 * time.Second: 2 * time.Minute} {
		d := motion.New(motion.Config{Hold: time.Second})
		var began, moving time.Duration
		for n := range 600 {
			l, now := flat(100), time.Duration(n)*apart
			if n >= 20 {
				for i := range 60 * 640 {
					l.Pixels[i] = 200
				}
			}
			v := d.Look(l, int64(now))
			if v.Began {
				began = now
			}
			if v.Moving {
				moving = now
			}
		}
		require.NotZero(t, began)
		require.Greater(t, moving, began+time.Second)
		require.Less(t, moving, began+most, "%s apart", apart)
	}
}

// JPEGs are decoded; where raw pictures are seen already they are left alone.
func TestMotionInJPEGs(t *testing.T) {
	arena := pool.NewArena(pool.ArenaConfig{})
	stream := &hal.Stream{Tracks: []hal.Track{{Codec: hal.MJPEG, Width: 640, Height: 360}}}
	encode := func(_ hal.Source, f hal.Frame) hal.Frame {
		var b bytes.Buffer
		require.NoError(t, jpeg.Encode(&b, planar(f.Buf.Bytes(), 320, 240), nil))
		f.Release()
		buf, err := arena.Get(b.Len())
		require.NoError(t, err)
		copy(buf.Bytes(), b.Bytes())
		f.Buf, f.Stream = buf, stream
		return f
	}
	s := watch(t, "size=320x240&rate=10&frames=60&still=until:30", motion.Config{}, encode)
	require.Equal(t, "mjpeg", s.stats.Sees)
	require.NotEmpty(t, s.told)
	require.InDelta(t, 35, s.told[0], 5)
	require.Zero(t, arena.Stats().Held, "frames never released")
	s = watch(t, "rate=10&frames=20", motion.Config{}, func(_ hal.Source, f hal.Frame) hal.Frame {
		f.Release()
		buf, err := arena.Get(100)
		require.NoError(t, err)
		f.Buf, f.Stream = buf, stream
		return f
	})
	require.Equal(t, s.stats.Looks, s.stats.Broken)
	require.Zero(t, arena.Stats().Held)
}

// What is not decoded is said, and its frames are let go.
func TestH264IsNotSeen(t *testing.T) {
	arena := pool.NewArena(pool.ArenaConfig{})
	stream := &hal.Stream{Tracks: []hal.Track{{Codec: hal.H264, Width: 640, Height: 360}}}
	s := watch(t, "frames=20", motion.Config{}, func(_ hal.Source, f hal.Frame) hal.Frame {
		f.Release()
		buf, err := arena.Get(100)
		require.NoError(t, err)
		f.Buf, f.Stream = buf, stream
		return f
	})
	require.Equal(t, "h264 is not decoded here: motion is found in raw pictures and JPEGs", s.stats.Why)
	require.Zero(t, s.stats.Looks)
	require.Zero(t, arena.Stats().Held)
}

// Whatever lies in a JPEG costs no more than its picture.
func FuzzJPEG(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 16)), nil))
	f.Add(b.Bytes())
	f.Add([]byte{0xFF, 0xD8})
	stream := &hal.Stream{Tracks: []hal.Track{{Codec: hal.MJPEG, Width: 16, Height: 16}}}
	f.Fuzz(func(t *testing.T, file []byte) {
		if head, err := jpeg.DecodeConfig(bytes.NewReader(file)); err == nil && head.Width*head.Height > 1<<20 {
			t.Skip("large, and slow to decode")
		}
		arena := pool.NewArena(pool.ArenaConfig{})
		stage := motion.NewWatch(motion.Config{}, nil, func(int64) {}).Branch()
		require.NoError(t, stage.Open(t.Context(), pipeline.Env{}))
		buf, err := arena.Get(len(file))
		require.NoError(t, err)
		copy(buf.Bytes(), file)
		require.NoError(t, stage.Work(t.Context(), hal.Frame{Buf: buf, Stream: stream, Stamp: hal.Stamp{Mono: 1}}))
		require.Zero(t, arena.Stats().Held)
	})
}

// The cost of one look; there are Rate of them a second.
func BenchmarkLook(b *testing.B) {
	for _, size := range [][2]int{{640, 360}, {1920, 1080}} {
		b.Run(fmt.Sprintf("raw-%dx%d", size[0], size[1]), func(b *testing.B) {
			d := motion.New(motion.Config{})
			l := motion.Luma{Pixels: make([]byte, size[0]*size[1]), Width: size[0], Height: size[1], Stride: size[0], Step: 1}
			b.ReportAllocs()
			for b.Loop() {
				d.Look(l, 0)
			}
		})
		b.Run(fmt.Sprintf("jpeg-%dx%d", size[0], size[1]), func(b *testing.B) {
			file := synthJPEG(b, size[0], size[1])
			arena := pool.NewArena(pool.ArenaConfig{})
			stream := &hal.Stream{Tracks: []hal.Track{{Codec: hal.MJPEG, Width: size[0], Height: size[1]}}}
			stage := motion.NewWatch(motion.Config{}, nil, func(int64) {}).Branch()
			require.NoError(b, stage.Open(context.Background(), pipeline.Env{}))
			mono := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				buf, err := arena.Get(len(file))
				require.NoError(b, err)
				copy(buf.Bytes(), file)
				mono += int64(time.Second)
				require.NoError(b, stage.Work(context.Background(), hal.Frame{Buf: buf, Stream: stream, Stamp: hal.Stamp{Mono: mono}}))
			}
		})
	}
}

func synthJPEG(b *testing.B, width, height int) []byte {
	b.Helper()
	card := synth.Card{Width: width, Height: height, Rate: synth.Rate{Num: 25, Den: 1}}
	layout, err := hal.PackedLayout(hal.I420, width, height)
	require.NoError(b, err)
	p := make([]byte, layout.Size)
	require.NoError(b, card.Paint(p, layout, 30))
	var out bytes.Buffer
	require.NoError(b, jpeg.Encode(&out, planar(p, width, height), nil))
	return out.Bytes()
}

// planar is a picture in I420 as Go's library has it.
func planar(p []byte, width, height int) *image.YCbCr {
	n := width * height
	return &image.YCbCr{
		Y: p[:n], Cb: p[n:], Cr: p[n*5/4:], YStride: width, CStride: width / 2,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, width, height),
	}
}
