package pack_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// stored writes a film to a file.
func stored(t *testing.T, f *pack.Film) (path string, file []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "film.mp4")
	to, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.WriteFile(t.Context(), to, nil))
	require.NoError(t, to.Close())
	file, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, file, int(f.Size()))
	return path, file
}

// Two files of every codec in one film: ffmpeg finds each frame of both, at its time, and decodes
// it.
func TestAFilmOfEveryCodecHasEveryFrame(t *testing.T) { // R4
	for _, tc := range clips() {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.make(t)
			one, _ := written(t, c)
			source := filepath.Join(t.TempDir(), "a.mp4")
			require.NoError(t, os.WriteFile(source, one, 0o600))
			x, err := pack.OpenIndex(source)
			require.NoError(t, err)
			f := pack.NewFilm(x)
			require.Empty(t, f.Differs(x))
			for i := range 2 {
				require.NoError(t, f.Append(pack.Source{Path: source, At: time.Duration(i) * 10 * time.Second}, x))
			}
			path, file := stored(t, f)
			packets := packtest.Probe(t, path)
			back, err := pack.OpenIndex(path)
			require.NoError(t, err)
			for i := range c.Stream.Tracks {
				track, was := &back.Tracks[i], &x.Tracks[i]
				require.Len(t, track.Samples, 2*len(was.Samples))
				require.Equal(t, was.Entry, track.Entry)
				seen := 0
				for _, p := range packets {
					if p.Track != i {
						continue
					}
					s, from := track.Samples[seen], was.Samples[seen%len(was.Samples)]
					off := int64(seen/len(was.Samples)) * 10 * int64(was.Scale)
					require.Equal(t, from.DTS+off, s.DTS)
					require.InDelta(t, s.DTS, p.DTS, 1)
					require.InDelta(t, s.DTS+int64(from.Shift), p.PTS, 1)
					require.Equal(t, from.Sync, s.Sync)
					require.True(t, bytes.Equal(one[from.Offset:from.Offset+int64(from.Size)], file[s.Offset:s.Offset+int64(s.Size)]))
					seen++
				}
				require.Len(t, track.Samples, seen)
				if c.Stream.Tracks[i].Codec.IsVideo() {
					require.Equal(t, seen, packtest.Plays(t, path, i))
				}
			}
		})
	}
}

// A range of every codec: ffmpeg decodes as many pictures as there are in it.
func TestAnExportOfEveryCodecIsDecoded(t *testing.T) { // R6
	for _, tc := range clips() {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.make(t)
			one, _ := written(t, c)
			source := filepath.Join(t.TempDir(), "a.mp4")
			require.NoError(t, os.WriteFile(source, one, 0o600))
			from, to := 1500*time.Millisecond, 2500*time.Millisecond
			f, err := pack.Export([]pack.Source{{Path: source}}, from, to)
			require.NoError(t, err)
			require.InDelta(t, time.Second, f.Length(), float64(45*time.Millisecond))
			path, _ := stored(t, f)
			want := 0
			for _, u := range c.Units {
				if pts := u.PTS - c.Units[0].DTS; u.Track == 0 && pts >= from && pts < to {
					want++
				}
			}
			switch codec := c.Stream.Tracks[0].Codec; {
			case codec == hal.AV1: // whose decoder in ffmpeg 5.1 shows what is hidden too, before time 0
				shown := 0
				for _, p := range packtest.Probe(t, path) {
					if p.PTS >= 0 {
						shown++
					}
				}
				require.Equal(t, want, shown)
			case codec.IsVideo():
				require.Equal(t, want, packtest.Plays(t, path, 0))
			default:
				require.InDelta(t, want, packtest.Plays(t, path, 0), 1)
			}
		})
	}
}
