package upload_test

import (
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/encode"
	"github.com/millrace-video/millrace/stages/upload"
)

// channel runs a source's frames through the branch until the source ends, and returns the
// stage. Its source can be held back: nothing is lost.
func channel(t *testing.T, url string, trunk []pipeline.Stage, up *upload.Uploader, cfg upload.FramesConfig) (*upload.Frames, pipeline.Status) {
	t.Helper()
	reg := hal.NewRegistry(synth.Driver{}, file.Driver{}, soft.Driver{})
	eng := pipeline.NewEngine(pipeline.Config{})
	cfg.Decoders = soft.Driver{}
	frames := upload.NewFrames(up, reg, cfg)
	ch, err := eng.Add(pipeline.Define("gate", acquire.From(reg, url), trunk...).Branch("frames", upload.FramesLimit(), frames))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	require.Eventually(t, func() bool {
		s := ch.Status()
		return s.State == "ended" || s.State == "degraded"
	}, time.Minute, 5*time.Millisecond)
	status := ch.Status()
	require.NoError(t, eng.Exit(t.Context()))
	return frames, status
}

func toJPEG(reg *hal.Registry) []pipeline.Stage {
	return []pipeline.Stage{encode.To(reg, hal.MJPEG, encode.Config{})}
}

// told collects the results that a stage tells.
type told struct {
	mu  sync.Mutex
	all []upload.FrameResult
	err error
}

func (l *told) take(some []upload.FrameResult) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, some...)
	return l.err
}

// burntIn reads the number that a picture of 320x240 shows.
func burntIn(t *testing.T, name string) uint32 {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	picture, err := jpeg.Decode(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, 320, picture.Bounds().Dx())
	luma, ok := picture.(*image.YCbCr)
	require.True(t, ok)
	number, ok := synth.ReadNumber(luma.Y, luma.YStride, 320, 240)
	require.True(t, ok)
	return number
}

// U1: each picture of a channel goes up, in groups; what can be asked for and what is logged are
// the same, in the order of the camera, and what lies in the store are the pictures themselves.
func TestFramesOfAChannel(t *testing.T) {
	reg := hal.NewRegistry(soft.Driver{})
	for name, trunk := range map[string][]pipeline.Stage{"MJPEG as it comes": toJPEG(reg), "raw through the encoder": nil} {
		t.Run(name, func(t *testing.T) {
			d, dir := directory(t)
			up := uploader(t, d, upload.Config{})
			var log told
			f, _ := channel(t, "synth://?codec=raw&frames=25&pace=fast&audio=none&size=320x240", trunk, up, upload.FramesConfig{Group: 10, Results: log.take})
			require.NoError(t, up.Exit(t.Context(), false))
			latest := f.Latest()
			require.Len(t, latest, 25)
			require.Equal(t, upload.FramesStats{Taken: 25, Bytes: f.Stats().(upload.FramesStats).Bytes, Uploaded: 25}, f.Stats())
			logged := log.all
			require.Len(t, logged, 25)
			for i, one := range latest {
				require.EqualValues(t, i+1, one.Number)
				require.Equal(t, "uploaded", one.State, one.Error)
				require.Equal(t, one.Key, logged[i].Key)
				require.Equal(t, one.URL, logged[i].URL)
				require.WithinDuration(t, one.Time, logged[i].Time, 0)
				require.True(t, strings.HasPrefix(one.Key, "frames/gate/"+one.Time.UTC().Format("2006/01/02/15/150405.000-")), one.Key)
				require.EqualValues(t, i, burntIn(t, filepath.Join(dir, one.Key)))
			}
			require.True(t, slices.IsSortedFunc(latest, func(a, b upload.FrameResult) int { return a.Time.Compare(b.Time) }))
		})
	}
}

// Each n-th picture.
func TestEachNthFrame(t *testing.T) {
	d, _ := directory(t)
	up := uploader(t, d, upload.Config{})
	f, _ := channel(t, "synth://?codec=raw&frames=25&pace=fast&audio=none&size=320x240", nil, up, upload.FramesConfig{Every: 10})
	require.NoError(t, up.Exit(t.Context(), false))
	require.Len(t, f.Latest(), 3)
	require.EqualValues(t, 22, f.Stats().(upload.FramesStats).Skipped)
}

// U1: a picture that fails is named in its place.
func TestAFailedFrameIsNamed(t *testing.T) {
	s := &slow{answer: func(key string, _, _ int) error {
		if strings.HasSuffix(key, "-00000003.jpg") {
			return trouble(upload.Invalid)
		}
		return nil
	}}
	up := uploader(t, s, upload.Config{})
	log := told{err: errors.New("the disk is full")}
	f, _ := channel(t, "synth://?codec=raw&frames=5&pace=fast&audio=none&size=320x240", nil, up, upload.FramesConfig{Group: 2, Results: log.take})
	require.NoError(t, up.Exit(t.Context(), false))
	require.Len(t, log.all, 5, "an error costs no later line")
	for i, one := range log.all {
		require.EqualValues(t, i+1, one.Number)
		require.Equal(t, i == 2, one.State == "failed")
	}
	require.Contains(t, f.Latest()[2].Error, "the store finds the request wrong")
	require.Empty(t, f.Latest()[2].URL)
}

// N a second, evenly, whatever the camera's rate; after a hole there is no rush.
func TestFramesPerSecond(t *testing.T) {
	d, _ := directory(t)
	up := uploader(t, d, upload.Config{})
	f := upload.NewFrames(up, nil, upload.FramesConfig{PerSecond: 4})
	require.NoError(t, f.Open(t.Context(), pipeline.Env{Channel: "gate"}))
	arena := pool.NewArena(pool.ArenaConfig{})
	stream := &hal.Stream{Tracks: []hal.Track{{Codec: hal.MJPEG, Width: 2, Height: 2}}}
	feed := func(from time.Duration, n int) (taken uint64) {
		before := f.Stats().(upload.FramesStats).Taken
		for i := range n {
			buf, err := arena.Get(8)
			require.NoError(t, err)
			at := from + time.Duration(i)*time.Second/30 + time.Duration(i%3)*time.Millisecond
			require.NoError(t, f.Work(t.Context(), hal.Frame{Buf: buf, Stream: stream, Key: true, Stamp: hal.Stamp{Mono: int64(time.Hour + at)}}))
		}
		return f.Stats().(upload.FramesStats).Taken - before
	}
	require.InDelta(t, 40, feed(0, 300), 1)
	require.InDelta(t, 40, feed(time.Hour, 300), 1)
	require.Zero(t, arena.Stats().Held, "frames never released")
	require.NoError(t, f.Flush(t.Context()))
	require.NoError(t, f.Close())
}

// A3.
func TestWrongFrames(t *testing.T) {
	for want, cfg := range map[string]upload.FramesConfig{
		"each n-th picture, and groups": {Group: -1},
		"0 to 1000":                     {PerSecond: -2},
		"one of them":                   {PerSecond: 2, Every: 2},
		"quality 101":                   {Quality: 101},
	} {
		require.ErrorContains(t, cfg.Validate(), want)
	}
}
