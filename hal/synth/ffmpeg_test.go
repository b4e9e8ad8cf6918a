package synth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
)

func open(tb testing.TB, rawURL string, opts hal.Options) hal.Source {
	tb.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(tb, err)
	s, err := synth.Driver{}.Open(tb.Context(), u, opts)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

// readAll hands every frame of a finite source to each, and releases it.
func readAll(t *testing.T, s hal.Source, each func(f hal.Frame)) {
	t.Helper()
	for {
		f, err := s.Read(t.Context())
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		each(f)
		f.Release()
	}
}

// annexB is a source's pictures as a file of start codes, parameter sets first.
func annexB(t *testing.T, s hal.Source) []byte {
	t.Helper()
	var out []byte
	start := []byte{0, 0, 0, 1}
	readAll(t, s, func(f hal.Frame) {
		if f.Info().Codec != hal.H264 {
			return
		}
		if f.Key {
			for _, ps := range [][]byte{f.Info().SPS, f.Info().PPS} {
				out = append(append(out, start...), ps...)
			}
		}
		b := f.Buf.Bytes()
		for len(b) > 0 {
			n := 4 + int(b[0])<<24 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
			out = append(append(out, start...), b[4:n]...)
			b = b[n:]
		}
	})
	return out
}

// ffmpeg runs ffmpeg on a file of in and returns what it wrote. Anything it says is an error.
func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	bin, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal("ffmpeg is missing: install the Debian package ffmpeg")
	}
	file := filepath.Join(t.TempDir(), "in")
	require.NoError(t, os.WriteFile(file, in, 0o600))
	for i, a := range args {
		if a == "IN" {
			args[i] = file
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, append([]string{"-v", "error", "-nostdin"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	require.NoError(t, cmd.Run(), said.String())
	require.Empty(t, said.String(), "ffmpeg complains")
	return out.Bytes()
}

func TestFFmpegDecodesEveryPictureAsPainted(t *testing.T) { // H7
	for _, tc := range []struct {
		size, rate string
		gop, n     int
		more       string
	}{
		{"640x360", "25", 50, 125, ""},
		{"160x112", "1", 1, 12, ""},
		{"176x144", "12.5", 7, 40, "&seed=3"},
		{"322x242", "29.97", 30, 95, "&seed=99"},
		{"1280x720", "50", 5, 12, "&bitrate=4M"},
		{"1920x1080", "30000/1001", 4, 6, "&bitrate=12M&seed=2"},
		{"180x640", "60", 70000 / 2, 80, ""},
		{"4096x2160", "25", 1, 2, ""},
	} {
		t.Run(tc.size+"@"+tc.rate, func(t *testing.T) {
			src := open(t, fmt.Sprintf("synth://?size=%s&rate=%s&gop=%d&frames=%d&audio=none&pace=fast%s", tc.size, tc.rate, tc.gop, tc.n, tc.more), hal.Options{})
			track := src.Stream().Tracks[0]
			w, h := track.Width, track.Height
			got := ffmpeg(t, annexB(t, src), "-f", "h264", "-i", "IN", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
			size := w * h * 3 / 2
			require.Equal(t, tc.n, len(got)/size, "pictures")
			u, err := url.Parse("synth://?size=" + tc.size + "&rate=" + tc.rate + tc.more)
			require.NoError(t, err)
			cfg, err := synth.Parse(u)
			require.NoError(t, err)
			layout, err := hal.PackedLayout(hal.I420, w, h)
			require.NoError(t, err)
			want := make([]byte, size)
			for i := range tc.n {
				pic := got[i*size : (i+1)*size]
				require.NoError(t, cfg.Paint(want, layout, i))
				require.True(t, bytes.Equal(want, pic), "picture %d differs", i)
				n, ok := synth.ReadNumber(pic, w, w, h)
				require.True(t, ok, "no number in picture %d", i)
				require.Equal(t, cfg.Number(i), n)
			}
		})
	}
}

func TestParameterSetsAreWhatOthersReadInThem(t *testing.T) {
	for query, level := range map[string]uint8{
		"size=160x112&rate=1":                  10,
		"size=640x360&rate=25":                 30,
		"size=1280x720&rate=29.97":             31,
		"size=1920x1080&rate=30":               40,
		"size=1922x1080&rate=30":               42,
		"size=640x360&rate=25&bitrate=12M":     31,
		"size=4096x4096&rate=240&bitrate=200M": 62,
	} {
		src := open(t, "synth://?"+query, hal.Options{})
		track := src.Stream().Tracks[0]
		var sps h264.SPS
		require.NoError(t, sps.Unmarshal(track.SPS), query)
		require.Equal(t, []int{track.Width, track.Height}, []int{sps.Width(), sps.Height()}, query)
		require.InDelta(t, track.FrameRate, sps.FPS(), 0.001, query)
		require.Equal(t, level, sps.LevelIdc, query)
		require.EqualValues(t, 66, sps.ProfileIdc)
		require.EqualValues(t, 2, sps.PicOrderCntType)
	}
}
