package pack_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// The slices of a file, one after the other, are all of it: each frame once, at its time.
func TestSlicesOfEveryCodecAreTheWholeFile(t *testing.T) { // R6
	for _, tc := range clips() {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.make(t)
			whole, _ := written(t, c)
			source := filepath.Join(t.TempDir(), "a.mp4")
			require.NoError(t, os.WriteFile(source, whole, 0o600))
			x, err := pack.OpenIndex(source)
			require.NoError(t, err)
			film := pack.NewFilm(x)
			require.NoError(t, film.Append(pack.Source{Path: source}, x))
			progressive, _ := stored(t, film)
			x, err = pack.OpenIndex(progressive)
			require.NoError(t, err)
			require.True(t, x.Progressive)

			f, err := os.Open(progressive) //nolint:gosec // as made
			require.NoError(t, err)
			defer func() { require.NoError(t, f.Close()) }()
			s := pack.Source{Path: progressive, File: f}
			out := bytes.NewBuffer(x.Init())
			lead := x.Tracks[x.Lead()].Samples
			for lo := 0; lo < len(lead); {
				hi := lo + 1
				for hi < len(lead) && (!lead[hi].Sync || hi < lo+7) {
					hi++
				}
				before := out.Len()
				n, err := s.WriteSlice(out, x, lo, hi)
				require.NoError(t, err)
				require.EqualValues(t, out.Len()-before, n)
				lo = hi
			}
			back, err := pack.ReadIndex(bytes.NewReader(out.Bytes()), int64(out.Len()))
			require.NoError(t, err)
			for i := range x.Tracks {
				require.Len(t, back.Tracks[i].Samples, len(x.Tracks[i].Samples), "track %d", i)
				for k, was := range x.Tracks[i].Samples {
					is := back.Tracks[i].Samples[k]
					require.Equal(t, was.DTS, is.DTS, "track %d, frame %d", i, k)
					require.Equal(t, was.Shift, is.Shift)
					require.Equal(t, was.Sync, is.Sync)
				}
			}
			if c.Stream.Tracks[x.Lead()].Codec.IsVideo() {
				sliced := filepath.Join(t.TempDir(), "sliced.mp4")
				require.NoError(t, os.WriteFile(sliced, out.Bytes(), 0o600))
				require.Equal(t, packtest.Plays(t, progressive, x.Lead()), packtest.Plays(t, sliced, x.Lead()))
			}
		})
	}
}
