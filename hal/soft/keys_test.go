package soft_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pool"
)

// S2: decoders that stay open give each camera its own picture, whatever the one before sent.
func TestDecodersThatStayOpenGiveEachKeyFrameItsPicture(t *testing.T) {
	frames := reel(t, film(t, "-c:v", "libx264", "-bf", "3"))
	other := reel(t, film(t, "-c:v", "libx264", "-profile:v", "baseline"))
	arena := pool.NewArena(pool.ArenaConfig{})
	keys := soft.NewKeys(soft.Driver{})
	see := func(from, camera int) {
		f := frames[from]
		if camera == 1 {
			f = other[from]
		}
		require.True(t, f.Key)
		got, err := keys.DecodeKey(t.Context(), f, arena)
		require.NoError(t, err)
		defer got.Release()
		n, ok := synth.ReadNumber(got.Buf.Bytes(), cardsWidth, cardsWidth, cardsHeight)
		require.True(t, ok)
		require.EqualValues(t, from, n)
		require.Equal(t, f.Stamp, got.Stamp)
	}
	for range 3 {
		for _, from := range []int{40, 0, 20} {
			see(from, 0)
			see(from, 1)
			if got, err := keys.DecodeKey(t.Context(), damaged(t, other[20]), arena); err == nil { // whatever comes of it
				got.Release()
			}
		}
	}
	cut := frames[20]
	buf, err := arena.Get(cut.Buf.Len() / 3)
	require.NoError(t, err)
	copy(buf.Bytes(), cut.Buf.Bytes())
	cut.Buf = buf
	_, err = keys.DecodeKey(t.Context(), cut, arena)
	require.Error(t, err, "a third of a picture is no picture, and not the rest of another camera's either")
	buf.Release()
	see(0, 0)
	keys.Close()
	see(20, 1) // whoever asks late has no decoder kept
	_, err = keys.DecodeKey(t.Context(), frames[0], pool.NewArena(pool.ArenaConfig{Max: 1 << 10}))
	require.ErrorIs(t, err, pool.ErrArenaFull)
	require.Zero(t, arena.Stats().Held, "pictures never released")
}

func BenchmarkKeys720p(b *testing.B) {
	track, unit := x264(b, 1280, 720)
	arena := pool.NewArena(pool.ArenaConfig{})
	key := keyFrame(b, track, unit)
	keys := soft.NewKeys(soft.Driver{})
	defer keys.Close()
	for b.Loop() {
		f, err := keys.DecodeKey(b.Context(), key, arena)
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
}
