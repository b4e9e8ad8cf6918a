//go:build linux

package v4l2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/hal/v4l2"
	"github.com/millrace-video/millrace/pool"
)

// The driver in these tests is a made-up one behind the ioctl seam (FakeEncoder): they show what
// this package does with what a driver says. Real drivers are tested in bench/hil.

var (
	_ hal.EncoderDriver = v4l2.Driver{}
	_ interface {
		EncoderStats() v4l2.EncoderStats
	} = v4l2.EncoderUnderTest(nil)
)

const fakeName = "v4l2:codec@platform:codec"

func fakeEncoder(multi bool, coded string, raw ...string) *v4l2.FakeEncoder {
	return &v4l2.FakeEncoder{
		Path: "/dev/video11", Card: "codec", Bus: "platform:codec", Multi: multi, Coded: []string{coded}, Raw: raw,
	}
}

// rig is an encoder and pictures for it.
type rig struct {
	t       *testing.T
	dev     *v4l2.FakeEncoder
	enc     hal.Encoder
	arena   *pool.Arena
	buffers *pool.Buffers
	stream  *hal.Stream
	log     bytes.Buffer
	n       int
}

func inputTrack(t *testing.T, p hal.PixelFormat, w, h int) hal.Track {
	t.Helper()
	l, err := hal.PackedLayout(p, w, h)
	require.NoError(t, err)
	return hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: w, Height: h, FrameRate: 25, Layout: l}
}

func openRig(t *testing.T, dev *v4l2.FakeEncoder, codec hal.Codec, change ...func(*hal.EncoderConfig)) *rig {
	t.Helper()
	r := &rig{t: t, dev: dev, arena: pool.NewArena(pool.ArenaConfig{})}
	cfg := hal.EncoderConfig{
		Input: inputTrack(t, hal.NV12, 64, 48), Codec: codec, Arena: r.arena,
		Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	enc, err := v4l2.OpenFake(t.Context(), fakeName, cfg, dev)
	require.NoError(t, err)
	r.use(enc, cfg.Input)
	return r
}

func (r *rig) use(enc hal.Encoder, in hal.Track) {
	r.enc, r.stream = enc, &hal.Stream{Tracks: []hal.Track{in}}
	var err error
	r.buffers, err = pool.NewBuffers(8, in.Layout.Size)
	require.NoError(r.t, err)
	r.t.Cleanup(func() {
		require.NoError(r.t, enc.Close())
		open, mapped := r.dev.Left()
		require.Zero(r.t, open, "nodes left open")
		require.Zero(r.t, mapped, "pieces of memory left mapped")
		require.Zero(r.t, r.buffers.Held(), "pictures held")
		require.Zero(r.t, r.arena.Stats().Held, "frames held")
	})
}

// picture returns a picture that is like no other, and its checksum.
func (r *rig) picture() (hal.Frame, uint32) {
	buf, ok := r.buffers.TryTake()
	require.True(r.t, ok, "no buffer is free")
	b := buf.Bytes()
	for i := range b {
		b[i] = byte(i*7 + i>>8 + r.n*13)
	}
	at := time.Duration(r.n) * 40 * time.Millisecond
	f := hal.Frame{
		Buf: buf, Stream: r.stream, Key: true, Gap: r.n == 3,
		Stamp: hal.Stamp{Run: 7, DTS: at + 1, PTS: at + 3, Mono: int64(1000 + r.n)}, // PTS is no whole µs
	}
	r.n++
	p, err := pixel.View(f.Info(), buf)
	require.NoError(r.t, err)
	return f, v4l2.PictureSum(p)
}

func (r *rig) write(n int) {
	for range n {
		f, _ := r.picture()
		require.NoError(r.t, r.enc.Write(r.t.Context(), f))
	}
}

func (r *rig) read() hal.Frame {
	f, err := r.enc.Read(r.t.Context())
	require.NoError(r.t, err)
	return f
}

func (r *rig) stats() v4l2.EncoderStats {
	return r.enc.(interface{ EncoderStats() v4l2.EncoderStats }).EncoderStats() //nolint:forcetypeassert // guarded above
}

// bothAPIs runs a test with the single- and the multi-planar API.
func bothAPIs(t *testing.T, test func(t *testing.T, multi bool)) {
	t.Helper()
	for _, multi := range []bool{false, true} {
		t.Run(map[bool]string{false: "single-planar", true: "multi-planar"}[multi], func(t *testing.T) { test(t, multi) })
	}
}

func TestEncodersAreFoundAndKnownByCardAndPlace(t *testing.T) {
	infos, err := v4l2.FindFakes(t.Context(),
		&v4l2.FakeEncoder{Path: "/dev/video3", Card: "decoder", Bus: "platform:codec", Coded: []string{"NV12"}, Raw: []string{"FWHT"}},
		&v4l2.FakeEncoder{Path: "/dev/video11", Card: "my codec", Bus: "platform:codec", Multi: true, Coded: []string{"H264", "HEVC"}, Raw: []string{"NM12", "NV12"}},
		&v4l2.FakeEncoder{Path: "/dev/video12", Card: "my codec", Bus: "platform:codec", Coded: []string{"MJPG", "JPEG"}, Raw: []string{"YUYV"}},
		&v4l2.FakeEncoder{Path: "/dev/video13", Card: "old", Bus: "old", NotStreaming: true, Coded: []string{"H264"}, Raw: []string{"NV12"}},
		&v4l2.FakeEncoder{Path: "/dev/video14", Card: "rgb", Bus: "rgb", Coded: []string{"H264"}, Raw: []string{"RGB3"}},
	)
	require.NoError(t, err)
	all := []hal.PixelFormat{hal.NV12, hal.I420, hal.NM12, hal.YM12, hal.YUYV, hal.UYVY, hal.NV21}
	require.Equal(t, []hal.EncoderInfo{
		{Name: "v4l2:my-codec@platform:codec", Codec: hal.H264, Inputs: all, Rank: 100, Hardware: true, Detail: "/dev/video11 (my codec)"},
		{Name: "v4l2:my-codec@platform:codec", Codec: hal.H265, Inputs: all, Rank: 100, Hardware: true, Detail: "/dev/video11 (my codec)"},
		{Name: "v4l2:my-codec@platform:codec#2", Codec: hal.MJPEG, Inputs: []hal.PixelFormat{hal.YUYV}, Rank: 100, Hardware: true, Detail: "/dev/video12 (my codec)"},
	}, infos)
}

func TestANodeThatCannotBeOpenedHidesNoOther(t *testing.T) {
	locked := fakeEncoder(false, "H264", "NV12")
	locked.Path, locked.Fail = "/dev/video2", map[string]unix.Errno{"open": unix.EACCES}
	infos, err := v4l2.FindFakes(t.Context(), locked, fakeEncoder(false, "H264", "NV12"))
	require.Len(t, infos, 1)
	require.ErrorContains(t, err, "/dev/video2: ")
	require.ErrorContains(t, err, "group video")
}

func TestAnEncoderOpensByItsNodeToo(t *testing.T) {
	dev := fakeEncoder(false, "FWHT", "NV12")
	enc, err := v4l2.OpenFake(t.Context(), "v4l2:video11", hal.EncoderConfig{Input: inputTrack(t, hal.NV12, 64, 48), Codec: hal.FWHT}, dev)
	require.NoError(t, err)
	require.NoError(t, enc.Close())
}

func TestEveryPictureBecomesAFrameWithItsStamp(t *testing.T) {
	for fourcc, codec := range map[string]hal.Codec{"H264": hal.H264, "JPEG": hal.MJPEG, "FWHT": hal.FWHT} {
		t.Run(fourcc, func(t *testing.T) {
			bothAPIs(t, func(t *testing.T, multi bool) {
				r := openRig(t, fakeEncoder(multi, fourcc, "NV12"), codec, func(c *hal.EncoderConfig) { c.GOP = 4 })
				for i := range 10 {
					f, sum := r.picture()
					want := f.Stamp
					require.NoError(t, r.enc.Write(t.Context(), f))
					g := r.read()
					require.Equal(t, want, g.Stamp)
					require.Equal(t, i == 3, g.Gap)
					require.Equal(t, codec == hal.MJPEG || i%4 == 0, g.Key)
					require.Equal(t, codec, g.Info().Codec)
					require.Positive(t, g.EncodeBegin)
					require.GreaterOrEqual(t, g.EncodeEnd, g.EncodeBegin)
					require.Contains(t, string(g.Buf.Bytes()), fmt.Sprintf("%08x", sum))
					if codec == hal.H264 {
						require.Equal(t, []byte("\x67SPS"), g.Info().SPS)
						require.Equal(t, []byte("\x68PPS"), g.Info().PPS)
						require.Equal(t, []byte{0, 0, 0, 9}, g.Buf.Bytes()[:4], "the slice alone, with its length")
						require.Equal(t, 13, g.Buf.Len())
					}
					g.Release()
				}
				r.enc.CloseInput()
				_, err := r.enc.Read(t.Context())
				require.ErrorIs(t, err, io.EOF)
				require.EqualValues(t, 10, r.stats().Copied)
			})
		})
	}
}

func TestTheStreamStaysTheSameWhileItsParameterSetsDo(t *testing.T) {
	r := openRig(t, fakeEncoder(false, "H264", "NV12"), hal.H264, func(c *hal.EncoderConfig) { c.GOP = 2 })
	var stream *hal.Stream
	for range 6 {
		r.write(1)
		f := r.read()
		require.True(t, stream == nil || stream == f.Stream)
		stream = f.Stream
		f.Release()
	}
}

func TestParameterSetsInABufferOfTheirOwnAreNoFrame(t *testing.T) {
	dev := fakeEncoder(false, "H264", "NV12")
	r := openRig(t, dev, hal.H264)
	dev.Content = func(n int) []byte {
		return []byte([]string{"\x00\x00\x01\x67one\x00\x00\x01\x68two", "\x00\x00\x01\x65picture"}[n])
	}
	r.write(2) // the fake makes the first of no picture
	f := r.read()
	require.Equal(t, "\x67one", string(f.Info().SPS))
	require.Equal(t, "\x00\x00\x00\x08\x65picture", string(f.Buf.Bytes()))
	f.Release()
}

func TestAKeyFrameComesWhenAskedFor(t *testing.T) {
	for name, cannot := range map[string]bool{"by a control": false, "by beginning anew": true} {
		t.Run(name, func(t *testing.T) {
			bothAPIs(t, func(t *testing.T, multi bool) {
				dev := fakeEncoder(multi, "FWHT", "NV12")
				dev.NoForce = cannot
				r := openRig(t, dev, hal.FWHT, func(c *hal.EncoderConfig) { c.GOP = 16 })
				for i := range 10 {
					if i == 5 {
						r.enc.RequestKeyFrame()
					}
					r.write(1)
					f := r.read()
					require.Equal(t, i == 0 || i == 5, f.Key, "frame %d", i)
					f.Release()
				}
			})
		})
	}
}

func TestLinesOfAnotherLengthAndOtherFormatsAreCopiedOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  string
		in   hal.PixelFormat
	}{
		{"longer lines", "NV12", hal.NV12},
		{"another order of planes", "YU12", hal.NV12},
		{"packed", "NV12", hal.YUYV},
		{"packed, as it is", "YUYV", hal.YUYV},
		{"planar", "YU12", hal.I420},
		{"planar to semi-planar", "NV12", hal.I420},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := fakeEncoder(false, "FWHT", c.raw)
			dev.Align = 48
			r := openRig(t, dev, hal.FWHT, func(cfg *hal.EncoderConfig) { cfg.Input = inputTrack(t, c.in, 64, 48) })
			f, sum := r.picture()
			if to := map[string]hal.PixelFormat{"NV12": hal.NV12, "YU12": hal.I420, "YUYV": hal.YUYV}[c.raw]; to != c.in {
				src, err := pixel.View(f.Info(), f.Buf)
				require.NoError(t, err)
				dst, err := pixel.New(to, 64, 48)
				require.NoError(t, err)
				require.NoError(t, (&pixel.Converter{}).Convert(dst, src))
				sum = v4l2.PictureSum(dst)
			}
			require.NoError(t, r.enc.Write(t.Context(), f))
			require.Zero(t, r.buffers.Held(), "a picture that was copied is given back at once")
			g := r.read()
			require.Contains(t, string(g.Buf.Bytes()), fmt.Sprintf("%08x", sum))
			g.Release()
			require.EqualValues(t, 1, r.stats().Copied)
			require.Positive(t, r.stats().CopiedBytes)
		})
	}
}

func TestSeparatePlanesAreFilled(t *testing.T) {
	for raw, in := range map[string]hal.PixelFormat{"NM12": hal.NV12, "YM12": hal.I420} {
		t.Run(raw, func(t *testing.T) {
			r := openRig(t, fakeEncoder(true, "FWHT", raw), hal.FWHT, func(cfg *hal.EncoderConfig) { cfg.Input = inputTrack(t, in, 64, 48) })
			f, sum := r.picture()
			require.NoError(t, r.enc.Write(t.Context(), f))
			g := r.read()
			require.Contains(t, string(g.Buf.Bytes()), fmt.Sprintf("%08x", sum))
			g.Release()
		})
	}
}

func TestAPictureThatTheDriverMakesTallerIsCropped(t *testing.T) {
	dev := fakeEncoder(false, "FWHT", "NV12")
	dev.Tall = 32 // 48 lines become 64, of which the fake looks at 48
	dev.Crop = true
	r := openRig(t, dev, hal.FWHT)
	f, sum := r.picture()
	require.NoError(t, r.enc.Write(t.Context(), f))
	g := r.read()
	require.Contains(t, string(g.Buf.Bytes()), fmt.Sprintf("%08x", sum))
	g.Release()
}

// cameraRig returns a rig whose pictures come from a made-up camera.
func cameraRig(t *testing.T, dev *v4l2.FakeEncoder, fourcc string, multi bool, change ...func(*v4l2.FakeEncoder)) (*rig, *v4l2.FakeCamera) {
	t.Helper()
	side := &v4l2.FakeEncoder{Path: "/dev/video0", Multi: multi, Align: dev.Align}
	for _, c := range change {
		c(side)
	}
	cam, err := v4l2.OpenFakeCamera(side, fourcc, 64, 48, 6)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Zero(t, cam.Close(), "pictures on loan")
		open, mapped := side.Left()
		require.Zero(t, open+mapped)
	})
	return openRig(t, dev, hal.FWHT, func(c *hal.EncoderConfig) { c.Input = cam.Track }), cam
}

func TestACamerasPictureIsReadWhereItLies(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to bool // multi-planar
		fourcc   string
		align    int
	}{
		{"single-planar", false, false, "NV12", 0},
		{"multi-planar", true, true, "NM12", 0},
		{"three planes", true, true, "YM12", 0},
		{"from one API to the other", false, true, "YU12", 0},
		{"and back", true, false, "NV12", 0},
		{"with longer lines", false, false, "NV12", 128},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := fakeEncoder(c.to, "FWHT", c.fourcc)
			dev.Align = c.align
			r, cam := cameraRig(t, dev, c.fourcc, c.from)
			for i := range 20 {
				f, err := cam.Next(i)
				require.NoError(t, err)
				p, err := pixel.View(f.Info(), f.Buf)
				require.NoError(t, err)
				sum, stamp := v4l2.PictureSum(p), f.Stamp
				require.NoError(t, r.enc.Write(t.Context(), f))
				require.Equal(t, 1, cam.Lent(), "held while the encoder has it")
				g := r.read()
				require.Zero(t, cam.Lent(), "and no longer")
				require.Equal(t, stamp, g.Stamp)
				require.Contains(t, string(g.Buf.Bytes()), fmt.Sprintf("%08x", sum))
				g.Release()
			}
			require.Equal(t, 20, dev.Shared())
			require.EqualValues(t, 20, r.stats().Shared)
			require.Zero(t, r.stats().Copied)
		})
	}
}

func TestWhereMemoryCannotBeSharedPicturesAreCopied(t *testing.T) {
	for name, refuse := range map[string]func(enc, cam *v4l2.FakeEncoder){
		"the encoder refuses it": func(enc, _ *v4l2.FakeEncoder) { enc.NoDMABUF = true },
		"the camera refuses it":  func(_, cam *v4l2.FakeEncoder) { cam.Set("EXPBUF", unix.ENOTTY) },
		"lines differ":           func(enc, _ *v4l2.FakeEncoder) { enc.Align = 128 },
	} {
		t.Run(name, func(t *testing.T) {
			dev := fakeEncoder(false, "FWHT", "NV12")
			r, cam := cameraRig(t, dev, "NV12", false, func(side *v4l2.FakeEncoder) { refuse(dev, side); side.Align = 0 })
			for i := range 5 {
				f, err := cam.Next(i)
				require.NoError(t, err)
				require.NoError(t, r.enc.Write(t.Context(), f))
				require.Zero(t, cam.Lent())
				r.read().Release()
			}
			require.Zero(t, r.stats().Shared)
			require.EqualValues(t, 5, r.stats().Copied)
		})
	}
}

func TestAPictureOfOtherMemoryAmongTheCamerasIsCopied(t *testing.T) {
	dev := fakeEncoder(false, "FWHT", "NV12")
	r, cam := cameraRig(t, dev, "NV12", false)
	for i := range 3 {
		f, err := cam.Next(i)
		require.NoError(t, err)
		require.NoError(t, r.enc.Write(t.Context(), f))
		r.read().Release()
	}
	f, sum := r.picture()
	require.NoError(t, r.enc.Write(t.Context(), f))
	g := r.read()
	require.Contains(t, string(g.Buf.Bytes()), fmt.Sprintf("%08x", sum))
	g.Release()
	require.Equal(t, v4l2.EncoderStats{Shared: 3, Copied: 1}, v4l2.EncoderStats{Shared: r.stats().Shared, Copied: r.stats().Copied})
}

func TestAnEncoderHoldsFewPicturesOfACamera(t *testing.T) {
	dev := fakeEncoder(false, "FWHT", "NV12")
	dev.Delay = 1
	r, cam := cameraRig(t, dev, "NV12", false)
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range 50 {
			f, err := cam.Next(i)
			if err != nil || r.enc.Write(t.Context(), f) != nil || cam.Lent() > 5 {
				t.Error("a camera with 6 buffers ran out of them:", err)
				break
			}
		}
		r.enc.CloseInput()
	})
	got := 0
	for {
		f, err := r.enc.Read(t.Context())
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		got++
		f.Release()
	}
	writing.Wait()
	require.Equal(t, 50, got)
}

func TestTheTailIsDrained(t *testing.T) {
	for name, change := range map[string]func(*v4l2.FakeEncoder){
		"by the command":                   func(*v4l2.FakeEncoder) {},
		"by the event alone":               func(d *v4l2.FakeEncoder) { d.NoLast = true },
		"by counting, without the command": func(d *v4l2.FakeEncoder) { d.NoStop = true; d.Delay = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			bothAPIs(t, func(t *testing.T, multi bool) {
				dev := fakeEncoder(multi, "H264", "NV12")
				dev.Delay = 3
				change(dev)
				r := openRig(t, dev, hal.H264)
				var writing sync.WaitGroup
				writing.Go(func() {
					r.write(17)
					r.enc.CloseInput()
				})
				for i := range 17 {
					f := r.read()
					require.Equal(t, int64(1000+i), f.Stamp.Mono)
					f.Release()
				}
				for range 3 {
					_, err := r.enc.Read(t.Context())
					require.ErrorIs(t, err, io.EOF)
				}
				writing.Wait()
				f, _ := r.picture()
				require.ErrorIs(t, r.enc.Write(t.Context(), f), fs.ErrClosed)
			})
		})
	}
}

func TestAnEncoderThatWasGivenNothingEndsWithNothing(t *testing.T) {
	r := openRig(t, fakeEncoder(false, "H264", "NV12"), hal.H264)
	r.enc.CloseInput()
	r.enc.CloseInput()
	_, err := r.enc.Read(t.Context())
	require.ErrorIs(t, err, io.EOF)
}

func TestAPictureThatIsLostShowsAsAGap(t *testing.T) {
	only := func(which int) func(int) bool { return func(n int) bool { return n == which } }
	for name, change := range map[string]func(*v4l2.FakeEncoder){
		"swallowed": func(d *v4l2.FakeEncoder) { d.Drop = only(5) },
		"damaged":   func(d *v4l2.FakeEncoder) { d.Damage = only(5) },
		"nonsense": func(d *v4l2.FakeEncoder) {
			d.Content = func(n int) []byte {
				if n == 5 {
					return []byte("nonsense")
				}
				return []byte("\xff\xd8\xff\xe0picture")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dev := fakeEncoder(false, "JPEG", "NV12")
			change(dev)
			r := openRig(t, dev, hal.MJPEG)
			for i := range 10 {
				r.write(1)
				if i == 5 {
					continue
				}
				f := r.read()
				require.Equal(t, int64(1000+i), f.Stamp.Mono)
				require.Equal(t, i == 3 || i == 6, f.Gap, "frame %d", i)
				f.Release()
			}
			require.EqualValues(t, 1, r.stats().Lost)
		})
	}
}

func TestADamagedFrameIsFollowedByAKeyFrame(t *testing.T) {
	dev := fakeEncoder(false, "FWHT", "NV12")
	dev.Damage = func(n int) bool { return n == 2 }
	r := openRig(t, dev, hal.FWHT, func(c *hal.EncoderConfig) { c.GOP = 16 })
	var keys []bool
	for i := range 6 {
		r.write(1)
		if i == 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := r.enc.Read(ctx) // takes note of the damage
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
			continue
		}
		f := r.read()
		keys = append(keys, f.Key)
		f.Release()
	}
	require.Equal(t, []bool{true, false, true, false, false}, keys)
}

func TestAFullArenaCostsOneFrame(t *testing.T) {
	r := openRig(t, fakeEncoder(false, "JPEG", "NV12"), hal.MJPEG, func(c *hal.EncoderConfig) {
		c.Arena = pool.NewArena(pool.ArenaConfig{Chunk: 16, Max: 16})
	})
	r.write(3)
	first := r.read()
	_, err := r.enc.Read(t.Context())
	require.ErrorIs(t, err, pool.ErrArenaFull)
	first.Release()
	f := r.read()
	require.True(t, f.Gap)
	require.Equal(t, int64(1002), f.Stamp.Mono)
	f.Release()
}

func TestADriverThatCopiesNoTimeStampsIsTakenInOrder(t *testing.T) {
	dev := fakeEncoder(false, "JPEG", "NV12")
	dev.NoStamps = true
	r := openRig(t, dev, hal.MJPEG)
	for i := range 4 {
		r.write(1)
		f := r.read()
		require.Equal(t, int64(1000+i), f.Stamp.Mono)
		f.Release()
	}
	require.Equal(t, 1, strings.Count(r.log.String(), "does not copy time stamps"))
}

func TestPicturesOfOneInstantAreToldApart(t *testing.T) {
	r := openRig(t, fakeEncoder(false, "JPEG", "NV12"), hal.MJPEG)
	for i := range 4 {
		f, _ := r.picture()
		f.Stamp.PTS = -time.Second
		require.NoError(t, r.enc.Write(t.Context(), f))
		g := r.read()
		require.Equal(t, -time.Second, g.Stamp.PTS)
		require.Equal(t, int64(1000+i), g.Stamp.Mono)
		g.Release()
	}
}

func TestControlsAreSetAndThoseThatAreMissingAreToldOnce(t *testing.T) {
	dev := fakeEncoder(true, "H264", "NV12")
	r := openRig(t, dev, hal.H264, func(c *hal.EncoderConfig) { c.Bitrate, c.GOP, c.Profile = 2_000_000, 50, "high" })
	for id, want := range map[uint32]int32{
		v4l2.FakeBitrate: 2_000_000, v4l2.FakeGOP: 16, v4l2.FakeProfile: 4, v4l2.FakeHeader: 1,
		v4l2.FakeLevel: 5, // 2.0: 2 Mbit/s are too much for the levels below
	} {
		got, ok := dev.Control(id)
		require.True(t, ok, "%#x", id)
		require.Equal(t, want, got, "%#x", id)
	}
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	require.Len(t, lines, 1)
	require.Contains(t, lines[0], "GOP 50 (16 is its limit)")
	require.Contains(t, lines[0], "no B-frames (not there)")
}

func TestWhatAnEncoderRefusesIsSaid(t *testing.T) {
	in := inputTrack(t, hal.NV12, 64, 48)
	for _, c := range []struct {
		name   string
		device func(*v4l2.FakeEncoder)
		config func(*hal.EncoderConfig)
		is     error
		says   string
	}{
		{"no such encoder", func(d *v4l2.FakeEncoder) { d.Card = "other" }, nil, hal.ErrNoDevice, "there is v4l2:other@platform:codec"},
		{"another codec", nil, func(c *hal.EncoderConfig) { c.Codec = hal.H265 }, hal.ErrUnsupported, "does not encode h265"},
		{"a profile", nil, func(c *hal.EncoderConfig) { c.Profile = "best" }, hal.ErrUnsupported, `"high"`},
		{"a pixel format", func(d *v4l2.FakeEncoder) { d.Raw = []string{"YUYV"} }, nil, hal.ErrUnsupported, "one of [yuyv]"},
		{"a size", func(d *v4l2.FakeEncoder) { d.MaxWidth = 32 }, nil, hal.ErrUnsupported, "32x48 at most"},
		{"a height that cannot be cropped", func(d *v4l2.FakeEncoder) { d.Tall = 32 }, nil, hal.ErrUnsupported, "64x64"},
		{"a format", func(d *v4l2.FakeEncoder) { d.Set("S_FMT", unix.EINVAL) }, nil, hal.ErrUnsupported, "refuses the format H264"},
		{"no room", func(d *v4l2.FakeEncoder) { d.Set("REQBUFS", unix.ENOMEM) }, nil, hal.ErrNoSignal, "no room for one more stream"},
		{"in use", func(d *v4l2.FakeEncoder) { d.Set("S_FMT", unix.EBUSY) }, nil, hal.ErrNoSignal, "no room for one more stream"},
		{"no memory to map", func(d *v4l2.FakeEncoder) { d.Set("mmap", unix.ENOMEM) }, nil, hal.ErrNoSignal, "no room for one more stream"},
		{"gone", func(d *v4l2.FakeEncoder) { d.Set("S_FMT", unix.ENODEV) }, nil, hal.ErrNoDevice, "the encoder is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := fakeEncoder(false, "H264", "NV12")
			cfg := hal.EncoderConfig{Input: in, Codec: hal.H264}
			if c.device != nil {
				c.device(dev)
			}
			if c.config != nil {
				c.config(&cfg)
			}
			_, err := v4l2.OpenFake(t.Context(), fakeName, cfg, dev)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
			open, mapped := dev.Left()
			require.Zero(t, open+mapped)
		})
	}
}

func TestAFailureOfTheDriverEndsBothSides(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(*v4l2.FakeEncoder)
		is   error
	}{
		{"unplugged", (*v4l2.FakeEncoder).Unplug, hal.ErrNoDevice},
		{"a failure", func(d *v4l2.FakeEncoder) { d.Set("DQBUF", unix.EIO) }, hal.ErrNoSignal},
		{"an error without a cause", func(d *v4l2.FakeEncoder) { d.Set("DQBUF", unix.EAGAIN) }, hal.ErrNoSignal},
		{"a failing poll", func(d *v4l2.FakeEncoder) { d.Set("poll", unix.ENOMEM) }, hal.ErrNoSignal},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := fakeEncoder(true, "FWHT", "NV12")
			dev.Delay = 1
			r := openRig(t, dev, hal.FWHT)
			r.write(2)
			r.read().Release()
			var writing sync.WaitGroup
			writing.Go(func() {
				_, err := r.enc.Read(t.Context())
				if !errors.Is(err, c.is) {
					t.Errorf("Read: %v", err)
				}
			})
			c.fail(dev)
			writing.Wait()
			_, err := r.enc.Read(t.Context())
			require.ErrorIs(t, err, c.is)
			for { // until the credits are used up
				f, _ := r.picture()
				if err := r.enc.Write(t.Context(), f); err != nil {
					require.ErrorIs(t, err, c.is)
					break
				}
			}
		})
	}
}

func TestARefusedPictureIsGivenBack(t *testing.T) {
	dev := fakeEncoder(false, "FWHT", "NV12")
	r := openRig(t, dev, hal.FWHT)
	r.write(1)
	r.read().Release()
	dev.Set("QBUF", unix.EIO)
	f, _ := r.picture()
	require.ErrorIs(t, r.enc.Write(t.Context(), f), hal.ErrNoSignal)
	require.Zero(t, r.buffers.Held())
	other := *r.stream
	other.Tracks = []hal.Track{inputTrack(t, hal.I420, 64, 48)}
	f, _ = r.picture()
	f.Stream = &other
	require.ErrorIs(t, r.enc.Write(t.Context(), f), hal.ErrUnsupported)
	require.Zero(t, r.buffers.Held())
}

func TestAFullEncoderWaitsAndGivesUpWithItsContext(t *testing.T) {
	dev := fakeEncoder(false, "FWHT", "NV12")
	dev.Delay = 6 // more than there are buffers for, so nothing comes
	r := openRig(t, dev, hal.FWHT)
	ctx, cancel := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() {
		for {
			f, _ := r.picture()
			if err := r.enc.Write(ctx, f); err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Write: %v", err)
				}
				return
			}
		}
	})
	both.Go(func() {
		for {
			f, err := r.enc.Read(ctx)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Read: %v", err)
				}
				return
			}
			f.Release()
			cancel()
		}
	})
	both.Wait()
	cancel()
}

func TestCloseEndsBothSidesWhateverTheyDo(t *testing.T) {
	rounds := 100
	if os.Getenv("MILLRACE_TORTURE") != "" {
		rounds = 5000
	}
	files := openFiles(t)
	for round := range rounds {
		t.Run("", func(t *testing.T) {
			dev := fakeEncoder(round%2 == 0, "FWHT", "NV12")
			dev.Delay, dev.NoForce = round%3, round%4 == 0
			r := openRig(t, dev, hal.FWHT)
			var sides sync.WaitGroup
			sides.Go(func() {
				for {
					f, _ := r.picture()
					if r.n%5 == 0 {
						r.enc.RequestKeyFrame()
					}
					if r.n == 3*round%40 {
						r.enc.CloseInput()
					}
					if r.enc.Write(t.Context(), f) != nil {
						return
					}
				}
			})
			sides.Go(func() {
				for n := 0; ; n++ {
					if n == round%20 {
						sides.Go(func() { _ = r.enc.Close() })
					}
					f, err := r.enc.Read(t.Context())
					if errors.Is(err, io.EOF) {
						_ = r.enc.Close()
					}
					if err != nil {
						return
					}
					f.Release()
				}
			})
			sides.Wait()
		})
	}
	require.LessOrEqual(t, openFiles(t), files+2, "descriptors left open") // the runtime's own poller takes some once
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

func TestNothingIsAllocatedForAFrame(t *testing.T) {
	bothAPIs(t, func(t *testing.T, multi bool) {
		for name, shared := range map[string]bool{"copied": false, "shared": true} {
			t.Run(name, func(t *testing.T) {
				dev := fakeEncoder(multi, "H264", "NV12")
				side := &v4l2.FakeEncoder{Path: "/dev/video0", Multi: multi}
				cam, err := v4l2.OpenFakeCamera(side, "NV12", 64, 48, 4)
				require.NoError(t, err)
				defer cam.Close()
				r := openRig(t, dev, hal.H264, func(c *hal.EncoderConfig) { c.Input, c.GOP = cam.Track, 4 })
				ctx, n := t.Context(), 0
				cycle := func() {
					n++
					var f hal.Frame
					if shared {
						f, err = cam.Next(n)
					} else {
						f.Buf, err = r.buffers.Take(ctx)
						f.Stream, f.Stamp.PTS = r.stream, time.Duration(n)*time.Millisecond
					}
					if err != nil || r.enc.Write(ctx, f) != nil {
						t.Fatal("write", err)
					}
					g, err := r.enc.Read(ctx)
					if err != nil {
						t.Fatal(err)
					}
					g.Release()
				}
				for range 100 {
					cycle()
				}
				require.Zero(t, testing.AllocsPerRun(500, cycle))
				if shared {
					require.Zero(t, r.stats().Copied)
				}
			})
		}
	})
}

func FuzzWhatAnEncoderCallsAFrame(f *testing.F) {
	for _, seed := range []string{
		"", "nonsense", "\x00\x00\x01\x67SPS\x00\x00\x01\x68PPS\x00\x00\x01\x65slice", "\xff\xd8\xff\xe0JPEG\xff\xd9",
		"\x4f\x4f\x4f\x4f\xff\xff\xff\xff", "\x00\x00\x01", "\x00\x00\x01\x00\x00\x01",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 60<<10 {
			return
		}
		for fourcc, codec := range map[string]hal.Codec{"H264": hal.H264, "HEVC": hal.H265, "MJPG": hal.MJPEG, "FWHT": hal.FWHT} {
			dev := fakeEncoder(false, fourcc, "NV12")
			dev.Content = func(int) []byte { return content }
			r := openRig(t, dev, codec)
			r.write(1)
			r.enc.CloseInput()
			for {
				g, err := r.enc.Read(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				require.LessOrEqual(t, g.Buf.Len(), 2*len(content)+8)
				g.Release()
			}
		}
	})
}

func TestAnEncoderThatKeepsPicturesIsDrainedForAKeyFrame(t *testing.T) {
	bothAPIs(t, func(t *testing.T, multi bool) {
		dev := fakeEncoder(multi, "FWHT", "NV12")
		dev.NoForce, dev.Delay = true, 2
		r := openRig(t, dev, hal.FWHT, func(c *hal.EncoderConfig) { c.GOP = 16 })
		var writing sync.WaitGroup
		writing.Go(func() {
			for i := range 12 {
				if i == 6 {
					r.enc.RequestKeyFrame()
				}
				r.write(1)
			}
			r.enc.CloseInput()
		})
		for i := range 12 {
			f := r.read()
			require.Equal(t, int64(1000+i), f.Stamp.Mono)
			require.Equal(t, i == 0 || i == 6, f.Key, "frame %d", i)
			require.Equal(t, i == 3, f.Gap)
			f.Release()
		}
		_, err := r.enc.Read(t.Context())
		require.ErrorIs(t, err, io.EOF)
		writing.Wait()
		require.Zero(t, r.stats().Lost)
	})
}
