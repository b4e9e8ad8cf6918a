package record_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// playing writes a range as it is played to a file.
func playing(t *testing.T, sources []pack.Source, from, to time.Duration) (path string, start time.Duration) {
	t.Helper()
	p, err := pack.Fragments(sources, from, to)
	require.NoError(t, err)
	var out bytes.Buffer
	n, err := p.WriteTo(&out)
	require.NoError(t, err)
	require.EqualValues(t, out.Len(), n)
	path = filepath.Join(t.TempDir(), "play.mp4")
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
	return path, p.Start()
}

func TestPlaybackBeginsWithTheKeyFrameBeforeTheInstant(t *testing.T) { // R6
	for _, from := range []string{"fragmented", "merged"} {
		for _, audio := range []string{"none", "aac", "pcma"} {
			t.Run(from+" "+audio, func(t *testing.T) {
				dir, parts := recorded(t, 8, "audio="+audio)
				sources := record.Place(dir, parts)
				if from == "merged" {
					sources = []pack.Source{{Path: filepath.Join(dir, merged(t, dir, parts)[0].Segment.File)}}
				}
				for range size(t, 4, 20) {
					from := time.Duration(rand.Int64N(int64(7 * second))) //nolint:gosec // any range will do
					to := from + frameTime + time.Duration(rand.Int64N(int64(4*second)))
					path, start := playing(t, sources, from, to)
					want := framesIn(from, to, 200)
					key := want[0] / 25 * 25
					require.Equal(t, between(key, want[len(want)-1]+1), shown(t, path, 320, 180), "%s to %s", from, to)
					require.Equal(t, time.Duration(key)*frameTime, start)
					x := indexOf(t, path)
					require.NoError(t, x.Broken)
					require.Len(t, x.Tracks, len(indexOf(t, sources[0].Path).Tracks))
					require.Zero(t, x.Tracks[0].Samples[0].DTS)
					for _, f := range x.Fragments {
						require.LessOrEqual(t, f.Size, int64(200_000))
					}
					require.NotEmpty(t, packtest.Probe(t, path))
				}
			})
		}
	}
}

func TestPlaybackBridgesAGap(t *testing.T) { // R6
	dir := filepath.Join(t.TempDir(), "rec") // cut at 2.4, 4.8 and 7.2 s, not within a beep
	require.NoError(t, film(t.Context(), "synth://?size=320x180&gop=30&pace=fast&frames=200&audio=aac", record.To(dir, record.Config{SegmentDuration: 2 * second})))
	parts := later(segments(t, dir), 2, 2600*time.Millisecond)
	path, start := playing(t, record.Place(dir, parts), 2500*time.Millisecond, 10*second)
	require.Equal(t, 2400*time.Millisecond, start)
	inStep(t, path, []float64{0.6, 1.6, 5.2, 6.2, 7.2})
	lead := indexOf(t, path).Tracks[0]
	for i := range lead.Samples[1:] {
		require.Equal(t, lead.Samples[i].DTS+int64(lead.Samples[i].Duration), lead.Samples[i+1].DTS, "a hole where a player stops")
	}
	p := watched(t, path, 0.02, 4, 7.58)
	require.Empty(t, p.Error)
	require.True(t, p.Ended)
	require.Equal(t, map[float64]int{0.02: 60, 4: 119, 7.58: 184}, p.numbers)
}

func TestPlaybackEndsWhereAPlayerCouldNotFollow(t *testing.T) { // R6
	dir, parts := recorded(t, 4, "audio=none")
	sources := record.Place(dir, parts)
	_, err := pack.Fragments(sources, 5*second, 6*second)
	require.ErrorIs(t, err, pack.ErrNothing)
	small := filepath.Join(t.TempDir(), "small")
	require.NoError(t, film(t.Context(), "synth://?size=160x112&rate=25&pace=fast&frames=50&audio=none", record.To(small, record.Config{})))
	sources[1].Path = filepath.Join(small, segments(t, small)[0].File)
	p, err := pack.Fragments(sources, second, 4*second)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "play.mp4")
	out, err := os.Create(path)
	require.NoError(t, err)
	_, err = p.WriteTo(out)
	require.ErrorIs(t, err, pack.ErrDiffers)
	require.NoError(t, out.Close())
	require.Equal(t, between(25, 50), shown(t, path, 320, 180))
}
