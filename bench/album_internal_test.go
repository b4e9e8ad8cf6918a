package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
)

// U3: the pictures of the measurement's camera are as large as those of the reference.
func TestTheAlbumsPicturesAreAsLargeAsAsked(t *testing.T) {
	reg := hal.NewRegistry(soft.Driver{})
	for _, size := range []int{20_000, 150_000} {
		r, err := newAlbum(t.Context(), reg, synth.Rate{Num: 50, Den: 1}, size)
		require.NoError(t, err)
		require.Len(t, r.files, albumFiles)
		for _, f := range r.files {
			require.GreaterOrEqual(t, len(f), size)
			require.Less(t, len(f), size*5/2)
			if size >= 150_000 {
				require.Less(t, len(f), size*6/5)
			}
		}
		source, err := r.Open(t.Context(), hal.Options{})
		require.NoError(t, err)
		f, err := source.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, r.files[0], f.Buf.Bytes())
		f.Release()
		require.NoError(t, source.Close())
		_, err = source.Read(t.Context())
		require.ErrorIs(t, err, hal.ErrNoSignal)
	}
}
