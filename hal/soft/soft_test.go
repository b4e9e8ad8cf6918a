package soft_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pool"
)

var (
	_ hal.EncoderDriver = soft.Driver{}
	_ hal.KeyFramer     = hal.Encoder(nil)
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// camera makes raw pictures: a gradient that moves, and a bright square that moves faster.
type camera struct {
	t       testing.TB
	stream  *hal.Stream
	buffers *pool.Buffers
	n       int
}

func track(t testing.TB, f hal.PixelFormat, w, h int) hal.Track {
	t.Helper()
	l, err := hal.PackedLayout(f, w, h)
	require.NoError(t, err)
	return hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: w, Height: h, FrameRate: 25, Layout: l}
}

func newCamera(t testing.TB, f hal.PixelFormat, w, h int) *camera {
	t.Helper()
	tr := track(t, f, w, h)
	b, err := pool.NewBuffers(64, tr.Layout.Size)
	require.NoError(t, err)
	return &camera{t: t, stream: &hal.Stream{Tracks: []hal.Track{tr}}, buffers: b}
}

// luma is what picture n shows at a place; chroma likewise, u and v being 0 and 1.
func luma(n, x, y, w int) byte {
	if bx := (n * 8) % w; x >= bx && x < bx+32 && y >= 16 && y < 48 {
		return 220
	}
	return byte(40 + (x+y+2*n)%160)
}

func chroma(n, x, y, uv int) byte { return byte(100 + (x/2+y/2+n+40*uv)%60) }

func (c *camera) frame() hal.Frame {
	f := hal.Frame{Stream: c.stream, Key: true, Stamp: stamp(c.n)}
	b, ok := c.buffers.TryTake()
	require.True(c.t, ok, "no picture came home")
	f.Buf = b
	draw(c.t, c.stream.Tracks[0], b.Bytes(), c.n)
	c.n++
	return f
}

func stamp(n int) hal.Stamp {
	at := time.Duration(n) * 40 * time.Millisecond
	return hal.Stamp{Run: 7, DTS: at, PTS: at + time.Microsecond, Mono: 1000 + int64(n)}
}

func draw(t testing.TB, tr hal.Track, mem []byte, n int) {
	t.Helper()
	w, h, pl := tr.Width, tr.Height, tr.Layout.Planes
	for y := range h {
		for x := range w {
			switch tr.Layout.Pixel {
			case hal.YUYV:
				mem[y*pl[0].Stride+2*x] = luma(n, x, y, w)
				mem[y*pl[0].Stride+2*x+1] = chroma(n, x/2, y/2, x%2)
			case hal.UYVY:
				mem[y*pl[0].Stride+2*x+1] = luma(n, x, y, w)
				mem[y*pl[0].Stride+2*x] = chroma(n, x/2, y/2, x%2)
			case hal.NV12, hal.NV21:
				mem[y*pl[0].Stride+x] = luma(n, x, y, w)
				swap := 0
				if tr.Layout.Pixel == hal.NV21 {
					swap = 1
				}
				mem[pl[1].Offset+y/2*pl[1].Stride+x] = chroma(n, x/2, y/2, (x+swap)%2)
			case hal.I420:
				mem[y*pl[0].Stride+x] = luma(n, x, y, w)
				mem[pl[1].Offset+y/2*pl[1].Stride+x/2] = chroma(n, x/2, y/2, 0)
				mem[pl[2].Offset+y/2*pl[2].Stride+x/2] = chroma(n, x/2, y/2, 1)
			case hal.PixelUnknown, hal.NM12, hal.YM12:
				require.Fail(t, "no picture in this format", tr.Layout.Pixel)
			}
		}
	}
}

// reference is picture n as I420.
func reference(t testing.TB, w, h, n int) []byte {
	t.Helper()
	tr := track(t, hal.I420, w, h)
	mem := make([]byte, tr.Layout.Size)
	draw(t, tr, mem, n)
	return mem
}

func psnr(a, b []byte) float64 {
	sum := 0.0
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255/max(sum/float64(len(a)), 1e-9))
}

// config is an encoder's, with an arena that is looked at when the test ends.
func config(t testing.TB, codec hal.Codec, c *camera) hal.EncoderConfig {
	t.Helper()
	cfg := hal.EncoderConfig{Input: c.stream.Tracks[0], Codec: codec, Arena: pool.NewArena(pool.ArenaConfig{}), Clock: hal.NewClock()}
	t.Cleanup(func() {
		require.Zero(t, cfg.Arena.Stats().Held, "encoded frames never released")
		require.Zero(t, c.buffers.Held(), "pictures never released")
	})
	return cfg
}

func open(t testing.TB, name string, cfg hal.EncoderConfig) hal.Encoder {
	t.Helper()
	e, err := soft.Driver{}.OpenEncoder(t.Context(), name, cfg)
	if name != "gojpeg" {
		require.NoError(t, err, "apt-get install libopenh264-7 libturbojpeg0")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// kept is an encoded frame with bytes of its own.
type kept struct {
	hal.Frame
	data []byte
}

func keep(f hal.Frame) kept {
	k := kept{f, bytes.Clone(f.Buf.Bytes())}
	f.Release()
	k.Buf = pool.Buffer{}
	return k
}

// encode writes count pictures and reads as many frames, one after the other.
func encode(t testing.TB, e hal.Encoder, c *camera, count int) []kept {
	t.Helper()
	var all []kept
	for range count {
		require.NoError(t, e.Write(t.Context(), c.frame()))
		f, err := e.Read(t.Context())
		require.NoError(t, err)
		require.NoError(t, haltest.Payload(f))
		require.NoError(t, haltest.Track(*f.Info()))
		all = append(all, keep(f))
	}
	return all
}

// annexB is what ffmpeg reads: the parameter sets before each key frame, start codes.
func annexB(t testing.TB, frames []kept) []byte {
	t.Helper()
	var out []byte
	unit := func(nal []byte) { out = append(append(out, 0, 0, 0, 1), nal...) }
	for _, f := range frames {
		if f.Key {
			unit(f.Info().SPS)
			unit(f.Info().PPS)
		}
		for b := f.data; len(b) > 0; {
			require.GreaterOrEqual(t, len(b), 5)
			n := int(binary.BigEndian.Uint32(b))
			require.LessOrEqual(t, n, len(b)-4)
			kind := b[4] & 0x1F
			require.NotContains(t, []byte{7, 8, 9}, kind, "parameter sets and delimiters are not in frames")
			require.Equal(t, f.Key, kind == 5, "a key frame is an IDR picture")
			unit(b[4:][:n])
			b = b[4+n:]
		}
	}
	return out
}

// ffmpeg decodes to I420 as it was, whatever range it has.
func ffmpeg(t testing.TB, format string, in []byte, args ...string) []byte {
	t.Helper()
	bin, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal("this test needs ffmpeg: apt-get install ffmpeg")
	}
	args = append([]string{"-v", "error", "-f", format, "-i", "pipe:0"}, args...)
	cmd := exec.CommandContext(t.Context(), bin, append(args, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1")...)
	var out, msg bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &msg
	require.NoError(t, cmd.Run(), msg.String())
	require.Empty(t, msg.String(), "ffmpeg finds something wrong")
	return out.Bytes()
}

func TestEncodersListsWhatIsUsable(t *testing.T) {
	infos, err := soft.Driver{}.Encoders(t.Context())
	require.NoError(t, err)
	names := map[string]hal.EncoderInfo{}
	for _, i := range infos {
		names[i.Name] = i
	}
	require.Contains(t, names, "openh264", "apt-get install libopenh264-7")
	require.Contains(t, names, "turbojpeg", "apt-get install libturbojpeg0")
	require.Equal(t, 50, names["openh264"].Rank)
	require.Equal(t, hal.H264, names["openh264"].Codec)
	require.Regexp(t, `^libopenh264\.so.* \(2\.\d+\.\d+\)$`, names["openh264"].Detail)
	require.Equal(t, 50, names["turbojpeg"].Rank)
	require.Regexp(t, `^libturbojpeg\.so`, names["turbojpeg"].Detail)
	require.Equal(t, 10, names["gojpeg"].Rank)
	require.False(t, names["gojpeg"].Hardware)
}

// H3: software is the fallback and needs no library to exist.
func TestAMissingLibraryIsNotAnError(t *testing.T) {
	d := soft.Driver{OpenH264: []string{"libnowhere.so.1"}, TurboJPEG: []string{"/nowhere/libturbojpeg.so.0"}}
	infos, err := d.Encoders(t.Context())
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.Equal(t, "gojpeg", infos[0].Name)

	_, err = d.OpenEncoder(t.Context(), "openh264", hal.EncoderConfig{})
	require.ErrorIs(t, err, hal.ErrNoDevice)
	require.ErrorContains(t, err, "libopenh264-7")
}

func TestALibraryThatIsAnotherHidesNoOther(t *testing.T) {
	d := soft.Driver{OpenH264: []string{"libc.so.6"}}
	infos, err := d.Encoders(t.Context())
	require.ErrorContains(t, err, "libc.so.6 has no WelsCreateSVCEncoder")
	require.Len(t, infos, 2)
}

func TestH264DecodesToThePicturesWritten(t *testing.T) {
	const w, h, count = 210, 114, 20
	for _, f := range []hal.PixelFormat{hal.I420, hal.YUYV, hal.UYVY, hal.NV12, hal.NV21} {
		t.Run(f.String(), func(t *testing.T) {
			c := newCamera(t, f, w, h)
			cfg := config(t, hal.H264, c)
			cfg.GOP, cfg.Bitrate = 10, 4_000_000
			frames := encode(t, open(t, "openh264", cfg), c, count)
			for n, f := range frames {
				require.Equal(t, stamp(n), f.Stamp)
				require.Equal(t, n%10 == 0, f.Key, "picture %d", n)
				require.Same(t, frames[0].Stream, f.Stream, "the same parameters keep the stream")
				require.False(t, f.Gap)
				require.Positive(t, f.EncodeBegin)
				require.GreaterOrEqual(t, f.EncodeEnd, f.EncodeBegin)
			}
			out := ffmpeg(t, "h264", annexB(t, frames))
			size := w * h * 3 / 2
			require.Len(t, out, count*size)
			for n := range count {
				require.Greater(t, psnr(out[n*size:][:size], reference(t, w, h, n)), 30.0, "picture %d", n)
			}
		})
	}
}

func TestH264FollowsItsSettings(t *testing.T) {
	size := map[int]int{}
	for _, rate := range []int{150_000, 1_500_000} {
		c := newCamera(t, hal.I420, 320, 240)
		cfg := config(t, hal.H264, c)
		cfg.Bitrate, cfg.GOP = rate, 50
		for _, f := range encode(t, open(t, "openh264", cfg), c, 75) {
			size[rate] += len(f.data)
		}
	}
	require.Less(t, 2*size[150_000], size[1_500_000], "a tenth of the bit rate makes less")

	for name, idc := range map[string]byte{"": 66, "baseline": 66, "main": 77, "high": 100} {
		t.Run("profile "+name, func(t *testing.T) {
			c := newCamera(t, hal.I420, 160, 120)
			cfg := config(t, hal.H264, c)
			cfg.Profile = name
			frames := encode(t, open(t, "openh264", cfg), c, 3)
			require.Equal(t, idc, frames[0].Info().SPS[1])
			require.Len(t, ffmpeg(t, "h264", annexB(t, frames)), 3*160*120*3/2)
		})
	}
	t.Run("colour", func(t *testing.T) {
		c := newCamera(t, hal.I420, 160, 120)
		c.stream.Tracks[0].Colour = hal.Colour{Matrix: 5, FullRange: true}
		cfg := config(t, hal.H264, c)
		frames := encode(t, open(t, "openh264", cfg), c, 1)
		require.Equal(t, c.stream.Tracks[0].Colour, frames[0].Info().Colour)
		require.NotEmpty(t, ffmpeg(t, "h264", annexB(t, frames)))
	})
}

func TestRequestKeyFrameMakesTheNextPictureOne(t *testing.T) {
	c := newCamera(t, hal.NV12, 160, 120)
	cfg := config(t, hal.H264, c)
	cfg.GOP = 100
	e := open(t, "openh264", cfg)
	keys := ""
	for n := range 12 {
		if n == 5 || n == 9 {
			e.RequestKeyFrame()
		}
		if encode(t, e, c, 1)[0].Key {
			keys += fmt.Sprint(n, " ")
		}
	}
	require.Equal(t, "0 5 9 ", keys)
}

func TestH264GoesOnAtAKeyFrameWhenTheArenaWasFull(t *testing.T) {
	c := newCamera(t, hal.I420, 160, 120)
	cfg := config(t, hal.H264, c)
	cfg.GOP, cfg.Arena = 100, pool.NewArena(pool.ArenaConfig{Chunk: 64 << 10, Max: 128 << 10})
	e := open(t, "openh264", cfg)
	frames := encode(t, e, c, 2)
	var hogs []pool.Buffer
	hog, err := cfg.Arena.Get(100)
	for ; err == nil; hog, err = cfg.Arena.Get(100) {
		hogs = append(hogs, hog)
	}
	require.ErrorIs(t, e.Write(t.Context(), c.frame()), pool.ErrArenaFull)
	for _, h := range hogs {
		h.Release()
	}
	after := encode(t, e, c, 2)
	require.True(t, after[0].Key, "no orphan after a loss")
	require.True(t, after[0].Gap)
	require.False(t, after[1].Key || after[1].Gap)
	require.Len(t, ffmpeg(t, "h264", annexB(t, append(frames, after...))), 4*160*120*3/2)
}

func TestWhiteNoiseAtAHighBitRateIsEncodedCoarser(t *testing.T) {
	for _, size := range [][2]int{{80, 48}, {640, 480}} {
		c := newCamera(t, hal.I420, size[0], size[1])
		cfg := config(t, hal.H264, c)
		cfg.Bitrate = 20_000_000
		e := open(t, "openh264", cfg)
		var frames []kept
		noise := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			f := c.frame()
			for k := range f.Buf.Bytes() {
				f.Buf.Bytes()[k] = byte(noise.Uint32())
			}
			require.NoError(t, e.Write(t.Context(), f))
			got, err := e.Read(t.Context())
			require.NoError(t, err)
			frames = append(frames, keep(got))
		}
		require.True(t, frames[0].Key)
		require.Len(t, ffmpeg(t, "h264", annexB(t, frames)), 5*size[0]*size[1]*3/2)
	}
}

func TestJPEGDecodesToThePicturesWritten(t *testing.T) {
	const w, h, count = 162, 90, 3
	for _, name := range []string{"turbojpeg", "gojpeg"} {
		for _, f := range []hal.PixelFormat{hal.I420, hal.YUYV, hal.UYVY, hal.NV12, hal.NV21} {
			t.Run(name+" "+f.String(), func(t *testing.T) {
				c := newCamera(t, f, w, h)
				cfg := config(t, hal.MJPEG, c)
				cfg.Quality = 95
				var files []byte
				for n, f := range encode(t, open(t, name, cfg), c, count) {
					require.Equal(t, stamp(n), f.Stamp)
					require.True(t, f.Key)
					require.Equal(t, hal.MJPEG, f.Info().Codec)
					require.True(t, f.Info().Colour.FullRange)
					files = append(files, f.data...)
				}
				// ffmpeg brings it back from a JPEG's full range to video range.
				out := ffmpeg(t, "mjpeg", files, "-vf", "scale=in_range=full:out_range=tv,format=yuv420p")
				size := w * h * 3 / 2
				require.Len(t, out, count*size)
				for n := range count {
					require.Greater(t, psnr(out[n*size:][:size], reference(t, w, h, n)), 35.0, "picture %d", n)
				}
			})
		}
	}
}

func TestJPEGOfAFullRangePictureIsNotStretched(t *testing.T) {
	for _, name := range []string{"turbojpeg", "gojpeg"} {
		c := newCamera(t, hal.I420, 160, 96)
		c.stream.Tracks[0].Colour.FullRange = true
		cfg := config(t, hal.MJPEG, c)
		cfg.Quality = 95
		out := ffmpeg(t, "mjpeg", encode(t, open(t, name, cfg), c, 1)[0].data)
		require.Greater(t, psnr(out, reference(t, 160, 96, 0)), 35.0)
	}
}

func TestParallelJPEGKeepsTheOrder(t *testing.T) {
	const count = 24
	for _, name := range []string{"turbojpeg", "gojpeg"} {
		for _, share := range []int{5, 3, 1} { // as many workers as asked for, too few, none
			t.Run(fmt.Sprintf("%s on %d workers", name, share-1), func(t *testing.T) {
				p, err := pool.NewPool(16)
				require.NoError(t, err)
				workers, err := p.Reserve(share)
				require.NoError(t, err)
				block := make(chan struct{})
				require.NoError(t, workers.Go(func() error { <-block; return nil }, nil))

				c := newCamera(t, hal.YUYV, 160, 96)
				cfg := config(t, hal.MJPEG, c)
				cfg.Parallel, cfg.Workers = 4, workers
				e := open(t, name, cfg)
				got := make(chan []kept)
				go func() {
					var all []kept
					for {
						f, err := e.Read(context.Background())
						if err != nil {
							got <- all
							return
						}
						all = append(all, keep(f))
					}
				}()
				for range count {
					require.NoError(t, e.Write(t.Context(), c.frame()))
				}
				e.CloseInput()
				all := <-got
				require.Len(t, all, count, "drained at the end of the input")
				for n, f := range all {
					require.Equal(t, stamp(n), f.Stamp)
				}
				require.NoError(t, e.Close())
				close(block)
				workers.Wait()
				workers.Close()
				require.NoError(t, p.Close(time.Minute))
			})
		}
	}
}

func TestCloseInputDrains(t *testing.T) {
	for name, codec := range map[string]hal.Codec{"openh264": hal.H264, "gojpeg": hal.MJPEG} {
		c := newCamera(t, hal.I420, 160, 120)
		e := open(t, name, config(t, codec, c))
		for range 3 {
			require.NoError(t, e.Write(t.Context(), c.frame()))
		}
		e.CloseInput()
		e.CloseInput()
		require.ErrorIs(t, e.Write(t.Context(), c.frame()), soft.ErrClosed)
		for n := range 3 {
			f, err := e.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, stamp(n), f.Stamp)
			f.Release()
		}
		_, err := e.Read(t.Context())
		require.ErrorIs(t, err, io.EOF)
		_, err = e.Read(t.Context())
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestCloseFreesWhatNobodyRead(t *testing.T) {
	for name, codec := range map[string]hal.Codec{"openh264": hal.H264, "turbojpeg": hal.MJPEG} {
		c := newCamera(t, hal.I420, 160, 120)
		e := open(t, name, config(t, codec, c)) // its ledger is looked at in the end
		require.NoError(t, e.Write(t.Context(), c.frame()))
		require.NoError(t, e.Write(t.Context(), c.frame()))
		require.NoError(t, e.Close())
		require.NoError(t, e.Close())
		require.ErrorIs(t, e.Write(t.Context(), c.frame()), soft.ErrClosed)
		_, err := e.Read(t.Context())
		require.ErrorIs(t, err, soft.ErrClosed)
		e.RequestKeyFrame()
		e.CloseInput()
	}
}

func TestCloseEndsAReadAndAWriteUnderWay(t *testing.T) {
	c := newCamera(t, hal.I420, 160, 120)
	e := open(t, "openh264", config(t, hal.H264, c))
	read := make(chan error)
	go func() {
		_, err := e.Read(context.Background())
		read <- err
	}()
	require.NoError(t, e.Close())
	require.ErrorIs(t, <-read, soft.ErrClosed)

	e = open(t, "openh264", config(t, hal.H264, c))
	write := make(chan error)
	go func() {
		var err error
		for err == nil { // nobody reads: it is full soon
			err = e.Write(context.Background(), c.frame())
		}
		write <- err
	}()
	require.NoError(t, e.Close())
	require.ErrorIs(t, <-write, soft.ErrClosed)
}

func TestAFullEncoderWaitsUntilItIsToldToStop(t *testing.T) {
	for name, codec := range map[string]hal.Codec{"openh264": hal.H264, "turbojpeg": hal.MJPEG} {
		c := newCamera(t, hal.I420, 160, 120)
		e := open(t, name, config(t, codec, c))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var err error
		for err == nil {
			err = e.Write(ctx, c.frame())
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, c.n, 10)
		f, err := e.Read(t.Context())
		require.NoError(t, err)
		f.Release()
		require.NoError(t, e.Write(t.Context(), c.frame()), "there is room again")

		empty := open(t, name, config(t, codec, c))
		_, err = empty.Read(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}

func TestAWrongPictureIsRefused(t *testing.T) {
	c := newCamera(t, hal.I420, 160, 120)
	e := open(t, "openh264", config(t, hal.H264, c))
	for _, other := range []*camera{newCamera(t, hal.NV12, 160, 120), newCamera(t, hal.I420, 160, 122)} {
		err := e.Write(t.Context(), other.frame())
		require.ErrorIs(t, err, hal.ErrUnsupported)
		require.ErrorContains(t, err, "opened for raw i420 160x120")
		require.Zero(t, other.buffers.Held())
	}
	short := c.frame()
	short.Buf.Shorten(100)
	require.ErrorContains(t, e.Write(t.Context(), short), "do not fit into 100 bytes")
	require.Len(t, encode(t, e, c, 1), 1, "the encoder goes on")
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	good := hal.EncoderConfig{Input: track(t, hal.I420, 160, 120), Codec: hal.H264}
	for name, tc := range map[string]struct {
		change func(*hal.EncoderConfig)
		want   string
	}{
		"odd size":       {func(c *hal.EncoderConfig) { c.Input.Width = 161 }, "must be even"},
		"no size":        {func(c *hal.EncoderConfig) { c.Input.Height = 0 }, "must be even"},
		"too small":      {func(c *hal.EncoderConfig) { c.Input.Height, c.Input.Width = 2, 2 }, "refuses 2x2"},
		"not raw":        {func(c *hal.EncoderConfig) { c.Input.Codec = hal.H264 }, "raw pictures, not h264"},
		"unknown pixels": {func(c *hal.EncoderConfig) { c.Input.Layout.Pixel = 77 }, "pixel format pixel(77)"},
		"another codec":  {func(c *hal.EncoderConfig) { c.Codec = hal.H265 }, "encodes h264, not h265"},
		"profile":        {func(c *hal.EncoderConfig) { c.Profile = "extreme" }, "baseline, main, high"},
		"bit rate":       {func(c *hal.EncoderConfig) { c.Bitrate = -1 }, "bit rate of -1"},
		"GOP":            {func(c *hal.EncoderConfig) { c.GOP = -1 }, "key frame every -1"},
		"quality":        {func(c *hal.EncoderConfig) { c.Quality = 101 }, "quality of 101"},
		"parallel":       {func(c *hal.EncoderConfig) { c.Parallel = -1 }, "-1 pictures at once"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tc.change(&cfg)
			_, err := soft.Driver{}.OpenEncoder(t.Context(), "openh264", cfg)
			require.ErrorIs(t, err, hal.ErrUnsupported)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestTheRegistryFallsBackByRank(t *testing.T) { // H3
	r := hal.NewRegistry(soft.Driver{})
	c := newCamera(t, hal.I420, 160, 120)
	cfg := config(t, hal.MJPEG, c)
	require.Equal(t, "turbojpeg", best(t, r, cfg))
	require.Equal(t, "gojpeg", best(t, r, cfg, "turbojpeg"))
	cfg.Prefer = []string{"gojpeg"}
	require.Equal(t, "gojpeg", best(t, r, cfg))
}

// best opens the encoder that the registry prefers and returns its name.
func best(t *testing.T, r *hal.Registry, cfg hal.EncoderConfig, except ...string) string {
	t.Helper()
	e, info, err := r.OpenEncoder(t.Context(), cfg, except...)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	return info.Name
}

// P3: none with a library; Go's own JPEG encoder makes itself and its tables anew each time.
func TestAFrameCostsNoAllocation(t *testing.T) {
	for name, bound := range map[string]float64{"openh264": 0, "turbojpeg": 0, "gojpeg": 6} {
		for _, f := range []hal.PixelFormat{hal.I420, hal.YUYV} {
			c := newCamera(t, f, 160, 96)
			codec := hal.MJPEG
			if name == "openh264" {
				codec = hal.H264
			}
			cfg := config(t, codec, c)
			cfg.Arena, cfg.GOP = pool.NewArena(pool.ArenaConfig{Chunk: 32 << 10}), 5
			again := endless(t, open(t, name, cfg), c)
			for range 100 {
				again()
			}
			got := testing.AllocsPerRun(50, func() { again() })
			require.LessOrEqual(t, got, bound, "%s from %s", name, f)
		}
	}
}

// endless returns what encodes the next of a few pictures and gives the size of the frame.
func endless(t testing.TB, e hal.Encoder, c *camera) func() int {
	t.Helper()
	raw := make([]hal.Frame, 16)
	for i := range raw {
		raw[i] = c.frame()
		p, err := pixel.View(raw[i].Info(), raw[i].Buf)
		require.NoError(t, err)
		seed := uint32(i)
		for k := range p.Plane[0] { // a camera's noise
			seed = seed*1664525 + 1013904223
			p.Plane[0][k] += byte(seed >> 30)
		}
	}
	t.Cleanup(func() {
		for _, f := range raw {
			f.Release()
		}
	})
	n, ctx := 0, t.Context()
	return func() int {
		n++
		f := raw[n%len(raw)].Retain()
		f.Stamp = stamp(n)
		if err := e.Write(ctx, f); err != nil {
			t.Fatal(err)
		}
		f, err := e.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Release()
		return f.Buf.Len()
	}
}

func bench(b *testing.B, name string, codec hal.Codec, f hal.PixelFormat, w, h int, full bool) {
	b.Helper()
	c := newCamera(b, f, w, h)
	c.stream.Tracks[0].Colour.FullRange = full
	again := endless(b, open(b, name, config(b, codec, c)), c)
	b.ReportAllocs()
	size, n := 0, 0
	for b.Loop() {
		size += again()
		n++
	}
	b.ReportMetric(float64(size)/float64(n), "B/frame")
}

func BenchmarkJPEG1080p(b *testing.B) {
	for _, name := range []string{"turbojpeg", "gojpeg"} {
		b.Run(name+"/i420-full", func(b *testing.B) { bench(b, name, hal.MJPEG, hal.I420, 1920, 1080, true) })
		b.Run(name+"/i420", func(b *testing.B) { bench(b, name, hal.MJPEG, hal.I420, 1920, 1080, false) })
		b.Run(name+"/yuyv", func(b *testing.B) { bench(b, name, hal.MJPEG, hal.YUYV, 1920, 1080, false) })
	}
}

func BenchmarkH264(b *testing.B) {
	for _, f := range []hal.PixelFormat{hal.I420, hal.YUYV} {
		b.Run("openh264-720p/"+f.String(), func(b *testing.B) { bench(b, "openh264", hal.H264, f, 1280, 720, false) })
	}
	b.Run("openh264-1080p/i420", func(b *testing.B) { bench(b, "openh264", hal.H264, hal.I420, 1920, 1080, false) })
}
