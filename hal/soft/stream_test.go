package soft_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pool"
)

const (
	cards       = 60
	cardsWidth  = 320
	cardsHeight = 240
)

// film is a file of numbered test cards, 25 a second, as ffmpeg encodes them.
func film(t testing.TB, args ...string) string {
	t.Helper()
	card := synth.Card{Width: cardsWidth, Height: cardsHeight, Rate: synth.Rate{Num: 25, Den: 1}, Seed: 1}
	layout, err := hal.PackedLayout(hal.I420, cardsWidth, cardsHeight)
	require.NoError(t, err)
	var raw bytes.Buffer
	for n := range cards {
		picture := make([]byte, layout.Size)
		require.NoError(t, card.Paint(picture, layout, n))
		raw.Write(picture)
	}
	name := filepath.Join(t.TempDir(), "cards.mp4")
	all := append([]string{"-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size(cardsWidth, cardsHeight), "-r", "25", "-i", "-"}, args...)
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append(all, "-g", "20", "-threads", "1", name)...)
	cmd.Stdin = &raw
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return name
}

// reel reads all of a file's frames, with references of the caller's.
func reel(t testing.TB, name string) []hal.Frame {
	t.Helper()
	u, err := url.Parse("file://" + name + "?pace=fast")
	require.NoError(t, err)
	source, err := file.Driver{}.Open(t.Context(), u, hal.Options{}.WithDefaults())
	require.NoError(t, err)
	defer func() { require.NoError(t, source.Close()) }()
	var all []hal.Frame
	for {
		f, err := source.Read(t.Context())
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, f)
	}
}

// viewer checks the numbers that are burnt into pictures.
type viewer struct {
	t       testing.TB
	numbers []int
	stamps  []time.Duration
}

func (v *viewer) see(f hal.Frame) error {
	defer f.Release()
	luma, stride := f.Buf.Bytes(), cardsWidth
	if f.Info().Codec == hal.MJPEG {
		picture, err := jpeg.Decode(bytes.NewReader(f.Buf.Bytes()))
		require.NoError(v.t, err)
		full, ok := picture.(*image.YCbCr)
		require.True(v.t, ok)
		luma, stride = full.Y, full.YStride
	}
	n, ok := synth.ReadNumber(luma, stride, cardsWidth, cardsHeight)
	require.True(v.t, ok, "picture %d shows no number", len(v.numbers))
	v.numbers, v.stamps = append(v.numbers, int(n)), append(v.stamps, f.Stamp.PTS)
	require.Equal(v.t, int64(f.Stamp.PTS)+7, f.Stamp.Mono, "the stamp is a unit's own")
	return nil
}

func (v *viewer) decode(d hal.Decoder, frames []hal.Frame) {
	for _, f := range frames {
		f.Stamp.Mono = int64(f.Stamp.PTS) + 7
		require.NoError(v.t, d.Decode(context.Background(), f, v.see))
	}
}

func (v *viewer) want(from, n int) {
	require.Len(v.t, v.numbers, n)
	for i := range v.numbers {
		require.Equal(v.t, from+i, v.numbers[i])
		require.InDelta(v.t, (v.stamps[0] + time.Duration(i)*40*time.Millisecond).Seconds(), v.stamps[i].Seconds(), 0.001, "picture %d", i)
	}
}

// U1: each picture of a stream comes out once, in the order in which it is shown, with its own time.
func TestEveryPictureOfAStreamIsDecodedInOrder(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		hold int // units that the decoder may see before a picture comes
	}{
		{"H.264 baseline", []string{"-c:v", "libx264", "-profile:v", "baseline"}, 1},
		{"H.264 main without B-frames", []string{"-c:v", "libx264", "-profile:v", "main", "-bf", "0"}, 3},
		{"H.264 high with B-frames", []string{"-c:v", "libx264", "-profile:v", "high", "-bf", "3"}, 8},
		{"H.264 with a B pyramid", []string{"-c:v", "libx264", "-bf", "7", "-x264-params", "b-pyramid=normal:ref=4"}, 17},
		{"H.265", []string{"-c:v", "libx265", "-x265-params", "log-level=error"}, cards},
		{"AV1", []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8"}, cards},
		{"H.265 without B-frames", []string{"-c:v", "libx265", "-x265-params", "log-level=error:bframes=0"}, cards},
	} {
		t.Run(tc.name, func(t *testing.T) {
			frames := reel(t, film(t, tc.args...))
			require.Len(t, frames, cards)
			arena := pool.NewArena(pool.ArenaConfig{})
			d, err := soft.Driver{}.OpenDecoder(t.Context(), *frames[0].Info(), hal.DecoderConfig{Arena: arena})
			require.NoError(t, err)
			v := viewer{t: t}
			held := 0
			for i, f := range frames {
				v.decode(d, frames[i:i+1])
				held = max(held, i+1-len(v.numbers))
				f.Release()
			}
			require.NoError(t, d.Drain(t.Context(), v.see))
			v.want(0, cards)
			require.LessOrEqual(t, held, tc.hold)
			require.NoError(t, d.Close())
			require.NoError(t, d.Close())
			require.Zero(t, arena.Stats().Held, "pictures never released")
		})
	}
}
