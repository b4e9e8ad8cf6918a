package record_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// exported writes a range to a file by both ways, which make the same.
func exported(t *testing.T, sources []pack.Source, from, to time.Duration) string {
	t.Helper()
	f, err := pack.Export(sources, from, to)
	require.NoError(t, err)
	size := f.Size()
	var streamed bytes.Buffer
	n, err := f.WriteTo(&streamed)
	require.NoError(t, err)
	require.Equal(t, size, n, "the size is known beforehand")
	path := filepath.Join(t.TempDir(), "export.mp4")
	to2, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.WriteFile(t.Context(), to2, nil))
	require.NoError(t, to2.Close())
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(streamed.Bytes(), file))
	indexFirst(t, path)
	return path
}

// between is the numbers of a range of pictures.
func between(from, to uint32) []uint32 {
	var all []uint32
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

const frameTime = 40 * time.Millisecond

// framesIn is which of n pictures of 40 ms lie in a range.
func framesIn(from, to time.Duration, n uint32) []uint32 {
	first := uint32((from + frameTime - 1) / frameTime)
	return between(first, min(n, uint32((to+frameTime-1)/frameTime)))
}

// reordered is the synthetic camera coded with B-frames, in files of two seconds.
func reordered(t *testing.T, seconds int) (dir string, parts []record.Segment) {
	t.Helper()
	card := synth.Card{Width: 320, Height: 180, Rate: synth.Rate{Num: 25, Den: 1}, Seed: 1}
	layout, err := hal.PackedLayout(hal.I420, card.Width, card.Height)
	require.NoError(t, err)
	raw := make([]byte, layout.Size*25*seconds)
	for i := range 25 * seconds {
		require.NoError(t, card.Paint(raw[i*layout.Size:(i+1)*layout.Size], layout, i))
	}
	yuv := filepath.Join(t.TempDir(), "card.yuv")
	require.NoError(t, os.WriteFile(yuv, raw, 0o600))
	c := packtest.Encode(t, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x180", "-r", "25", "-i", yuv,
		"-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3", "-sc_threshold", "0")
	g := recorder(t, record.Config{SegmentDuration: 2 * second})
	g.feed(c, nil)
	g.close()
	return g.dir, segments(t, g.dir)
}

func TestAnExportHasExactlyThePicturesAskedFor(t *testing.T) { // R6
	for _, tc := range []struct {
		name string
		make func() (string, []record.Segment)
	}{
		{"without sound", func() (string, []record.Segment) { return recorded(t, 8, "audio=none") }},
		{"AAC", func() (string, []record.Segment) { return recorded(t, 8, "audio=aac") }},
		{"A-law", func() (string, []record.Segment) { return recorded(t, 8, "audio=pcma") }},
		{"B-frames", func() (string, []record.Segment) { return reordered(t, 8) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, parts := tc.make()
			require.Len(t, parts, 4)
			sources := record.Place(dir, parts)
			x := indexOf(t, sources[0].Path)
			lag := x.Tracks[0].Time(int64(x.Tracks[0].Samples[0].Shift)) // the first picture is shown so late
			for range size(t, 5, 20) {                                   // of four kinds: twenty
				from := time.Duration(rand.Int64N(int64(7 * second))) //nolint:gosec // any range will do
				to := from + frameTime + time.Duration(rand.Int64N(int64(4*second)))
				path := exported(t, sources, from+lag, to+lag)
				want := framesIn(from, to, 200)
				require.Equal(t, want, shown(t, path, 320, 180), "%s to %s", from, to)
				first := packtest.Tool(t, "ffprobe", "-select_streams", "v", "-show_entries", "stream=start_time", "-of", "csv=p=0", path)
				start, err := strconv.ParseFloat(string(bytes.TrimSpace(first)), 64)
				require.NoError(t, err)
				require.InDelta(t, 0, start, 0.001, "the first picture is shown at once")
			}
		})
	}
}

func TestAnExportKeepsSoundAndPictureTogether(t *testing.T) { // R6: beeps and flashes, also after a gap
	for _, audio := range []string{"aac", "pcma"} {
		t.Run(audio, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "rec") // cut at 2.4, 4.8 and 7.2 s, not within a beep
			require.NoError(t, film(t.Context(), "synth://?size=320x180&gop=30&pace=fast&frames=200&audio="+audio, record.To(dir, record.Config{SegmentDuration: 2 * second})))
			parts := later(segments(t, dir), 2, 2600*time.Millisecond)
			all := merged(t, dir, parts)
			inStep(t, filepath.Join(dir, all[0].Segment.File), []float64{0, 1, 2, 3, 4, 7.6, 8.6, 9.6})
			sources := record.Place(dir, parts)
			inStep(t, exported(t, sources, 1730*time.Millisecond, 10*second), []float64{0.24, 1.24, 2.24, 5.84, 6.84, 7.84})
			again := []pack.Source{{Path: filepath.Join(dir, all[0].Segment.File)}} // of a merged file
			inStep(t, exported(t, again, 1730*time.Millisecond, 10*second), []float64{0.24, 1.24, 2.24, 5.84, 6.84, 7.84})
		})
	}
}

// inStep makes sure that a film flashes and beeps at these seconds, as ffmpeg plays it.
func inStep(t *testing.T, path string, want []float64) {
	t.Helper()
	const w, h, rate = 320, 180, 48000
	raw := packtest.Tool(t, "ffmpeg", "-i", path, "-map", "0:v", "-r", "25", "-pix_fmt", "gray", "-f", "rawvideo", "-")
	var flashes []float64
	lit := false
	for i := 0; len(raw) >= w*h; i, raw = i+1, raw[w*h:] {
		flash, ok := synth.ReadFlash(raw[:w*h], w, w, h)
		require.True(t, ok)
		if flash && !lit {
			flashes = append(flashes, float64(i)/25)
		}
		lit = flash
	}
	require.InDeltaSlice(t, want, flashes, 0.041, "flashes at %v", flashes)
	pcm := packtest.Tool(t, "ffmpeg", "-i", path, "-map", "0:a", "-af", "aresample=48000:async=1:first_pts=0", "-ac", "1", "-f", "s16le", "-")
	var beeps []float64
	quiet := rate
	for i := 0; i+1 < len(pcm); i += 2 {
		loud := max(int16(binary.LittleEndian.Uint16(pcm[i:])), 0) > 1500
		if loud && quiet > rate/4 {
			beeps = append(beeps, float64(i/2)/rate)
		}
		if quiet++; loud {
			quiet = 0
		}
	}
	require.InDeltaSlice(t, want, beeps, 0.04, "beeps at %v", beeps)
}

func TestChromiumShowsExactlyTheRangeOfAnExport(t *testing.T) { // R6
	dir, parts := recorded(t, 6, "audio=aac")
	path := exported(t, record.Place(dir, parts), 1730*time.Millisecond, 4500*time.Millisecond)
	p := watched(t, path, 0.02, 1, 2.7)
	require.Empty(t, p.Error)
	require.True(t, p.Ended)
	require.InDelta(t, 2.74, p.Duration, 0.05)
	require.Equal(t, map[float64]int{0.02: 44, 1: 69, 2.7: 111}, p.numbers)
}

func TestWhatCannotBeExported(t *testing.T) { // R6
	dir, parts := recorded(t, 4, "audio=none")
	sources := record.Place(dir, later(parts, 1, 10*second))
	_, err := pack.Export(sources, 5*second, 6*second)
	require.ErrorIs(t, err, pack.ErrNothing)
	_, err = pack.Export(sources, 2*second, second)
	require.ErrorIs(t, err, pack.ErrNothing)
	small := filepath.Join(t.TempDir(), "small")
	require.NoError(t, film(t.Context(), "synth://?size=160x112&rate=25&pace=fast&frames=50&audio=none", record.To(small, record.Config{})))
	sources[1].Path = filepath.Join(small, segments(t, small)[0].File)
	_, err = pack.Export(sources, 0, 13*second)
	require.ErrorIs(t, err, pack.ErrDiffers)
	require.ErrorContains(t, err, "320x180 became 160x112")
	sources[1].Path += ".gone"
	_, err = pack.Export(sources, 0, 13*second)
	require.ErrorIs(t, err, os.ErrNotExist)

	f, err := pack.Export(sources[:1], 0, second)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(sources[0].Path, 2000))
	_, err = f.WriteTo(io.Discard)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	to, err := os.Create(filepath.Join(dir, "x"))
	require.NoError(t, err)
	require.ErrorIs(t, f.WriteFile(ctx, to, nil), context.Canceled)
	require.NoError(t, to.Close())
}
