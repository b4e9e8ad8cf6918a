package encode_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/stages/encode"
)

// decode has ffmpeg decode H.264 frames to I420.
func decode(t *testing.T, frames []hal.Frame) []byte {
	t.Helper()
	var in bytes.Buffer
	unit := func(nal []byte) { in.Write([]byte{0, 0, 0, 1}); in.Write(nal) }
	for _, f := range frames {
		if f.Key {
			unit(f.Info().SPS)
			unit(f.Info().PPS)
		}
		for b := f.Buf.Bytes(); len(b) >= 4; {
			n := int(binary.BigEndian.Uint32(b))
			unit(b[4:][:n])
			b = b[4+n:]
		}
	}
	bin, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal("this test needs ffmpeg: apt-get install ffmpeg")
	}
	cmd := exec.CommandContext(t.Context(), bin, "-v", "error", "-f", "h264", "-i", "pipe:0",
		"-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1")
	var out, msg bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &msg
	require.NoError(t, cmd.Run(), msg.String())
	require.Empty(t, msg.String(), "ffmpeg finds something wrong")
	return out.Bytes()
}

// P9: what is decoded is the part asked for, at the size asked for.
func TestCropScaleAndConvertComeBeforeTheEncoder(t *testing.T) {
	part := encode.Rect{X: 40, Y: 20, Width: 160, Height: 120}
	for name, cfg := range map[string]encode.Config{
		"as it is":           {},
		"cropped":            {Crop: part},
		"smaller":            {Scale: encode.Size{Width: 160, Height: 120}},
		"larger":             {Scale: encode.Size{Width: 480, Height: 360}},
		"cropped and scaled": {Crop: part, Scale: encode.Size{Width: 80, Height: 60}},
		"to nv12":            {Pixel: hal.NV12},
		"all of it":          {Crop: part, Scale: encode.Size{Width: 240, Height: 180}, Pixel: hal.NV12},
	} {
		for _, format := range []hal.PixelFormat{hal.YUYV, hal.NV12, hal.I420} {
			t.Run(name+" from "+format.String(), func(t *testing.T) {
				cfg.Bitrate = 4_000_000
				b := newBench(t, encode.To(withSoft(), hal.H264, cfg)).open()
				in := &hal.Stream{Tracks: []hal.Track{raw(t, format, 320, 240)}}
				const count = 3
				for range count {
					b.work(b.picture(in, 0))
				}
				b.flush()
				frames := b.pictures()
				require.Len(t, frames, count)
				from := encode.Rect{Width: 320, Height: 240}
				if cfg.Crop != (encode.Rect{}) {
					from = cfg.Crop
				}
				to := encode.Size{Width: from.Width, Height: from.Height}
				if cfg.Scale != (encode.Size{}) {
					to = cfg.Scale
				}
				require.Equal(t, encode.Size{Width: frames[0].Info().Width, Height: frames[0].Info().Height}, to)
				out := decode(t, frames)
				size := to.Width * to.Height * 3 / 2
				require.Len(t, out, count*size)
				off, checked := 0.0, 0
				for y := 8; y < to.Height-8; y += 3 {
					for x := 8; x < to.Width-8; x += 3 {
						sx, sy := from.X+x*from.Width/to.Width, from.Y+y*from.Height/to.Height
						if at := sx/2 + sy/4 + count - 1; at%120 < 6 || at%120 > 114 {
							continue // the edge where the slope begins again is soft
						}
						d := float64(out[(count-1)*size+y*to.Width+x]) - float64(slope(count-1, sx, sy))
						off += d * d
						checked++
					}
				}
				require.Less(t, off/float64(checked), 9.0, "mean square error")
			})
		}
	}
}

func TestACropOutsideThePictureIsRefused(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{Crop: encode.Rect{X: 200, Width: 200, Height: 100}})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 320, 240)}}
	err := b.stage.Work(t.Context(), b.picture(in, 0))
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorContains(t, err, "crop 200x100 at 200,0 of 320x240")
}

// Hardware takes few formats, and whole pictures only: the stage converts for it.
func TestHardwareGetsWhatItTakes(t *testing.T) {
	for name, tc := range map[string]struct {
		inputs []hal.PixelFormat
		cfg    encode.Config
		from   hal.PixelFormat
		want   hal.PixelFormat
		fails  bool
	}{
		"as it is":              {inputs: []hal.PixelFormat{hal.YUYV, hal.NV12}, from: hal.YUYV, want: hal.YUYV},
		"converted":             {inputs: []hal.PixelFormat{hal.NV12}, from: hal.YUYV, want: hal.NV12},
		"the cheaper one":       {inputs: []hal.PixelFormat{hal.NV12, hal.I420}, from: hal.UYVY, want: hal.I420},
		"cropped and moved":     {inputs: []hal.PixelFormat{hal.NV12}, from: hal.NV12, want: hal.NV12, cfg: encode.Config{Crop: encode.Rect{X: 2, Width: 64, Height: 64}}},
		"a format of its own":   {inputs: []hal.PixelFormat{hal.NV21}, from: hal.YUYV, fails: true},
		"not the one asked for": {inputs: []hal.PixelFormat{hal.NV12}, from: hal.NV12, fails: true, cfg: encode.Config{Pixel: hal.I420}},
	} {
		t.Run(name, func(t *testing.T) {
			hw := &fake{name: "m2m", hardware: true, inputs: tc.inputs, delay: 2}
			b := newBench(t, encode.To(hal.NewRegistry(&fakes{list: []*fake{hw}}), hal.H264, tc.cfg)).open()
			in := &hal.Stream{Tracks: []hal.Track{raw(t, tc.from, 320, 240)}}
			if tc.fails {
				require.ErrorIs(t, b.stage.Work(t.Context(), b.picture(in, 0)), hal.ErrUnsupported)
				return
			}
			for range 12 {
				b.work(b.picture(in, 0))
			}
			b.flush()
			require.Len(t, b.pictures(), 12)
			got := hw.got[0]
			require.Equal(t, tc.want, got.Layout.Pixel)
			whole, err := hal.PackedLayout(tc.want, got.Width, got.Height)
			require.NoError(t, err)
			require.Equal(t, whole, got.Layout)
		})
	}
}

// A camera that nobody knows here, end to end: every number it burnt in is there, in order.
func TestEveryPictureOfTheTestCardArrives(t *testing.T) {
	reg := hal.NewRegistry(synth.Driver{}, soft.Driver{})
	src, err := reg.Open(t.Context(), "synth://?size=640x360&codec=raw&pixel=yuyv&pace=fast&frames=30&audio=lpcm", hal.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, src.Close()) }()
	b := newBench(t, encode.To(reg, hal.H264, encode.Config{GOP: 10, Scale: encode.Size{Width: 480, Height: 270}})).open()
	const count = 30
	sounds := 0
	for {
		f, err := src.Read(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if !f.Info().Codec.IsVideo() {
			sounds++
		}
		b.work(f)
	}
	b.flush()
	require.Positive(t, sounds)
	require.Len(t, b.which(false), sounds)
	frames := b.pictures()
	require.Len(t, frames, count)
	out := decode(t, frames)
	const w, h = 480, 270
	for n := range count {
		number, ok := synth.ReadNumber(out[n*w*h*3/2:], w, w, h)
		require.True(t, ok, "picture %d is not readable", n)
		require.EqualValues(t, n, number)
	}
}
