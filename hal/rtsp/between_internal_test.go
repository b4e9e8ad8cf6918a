package rtsp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// windows lets a stream of that many pictures and pieces of sound a second go by.
func windows(b *between, n, pictures, size, pieces, piece int) {
	for range n {
		sound := 0
		for i := range pictures / 2 {
			for ; sound < (i+1)*pieces/pictures; sound++ {
				b.heard(piece)
			}
			for rest := size; rest > 0; rest -= 1400 {
				b.seen(min(rest, 1400), rest <= 1400)
			}
		}
		b.window(rateWindow)
	}
}

// Issue, Build 3: what somebody watches wakes the reader at its first byte, but for sound that comes
// between two pictures, where no picture can be held up by it.
func TestTheMarkWhileSomebodyWatches(t *testing.T) {
	for _, tc := range []struct {
		name                           string
		pictures, size, pieces, sounds int
		want                           int
	}{
		{"25 pictures, AAC", 25, 16000, 50, 200, 401},
		{"no sound", 25, 16000, 0, 0, 1},
		{"no pictures", 0, 0, 50, 200, 1},
		{"pictures hardly larger than the sound", 25, 801, 50, 200, 1},
		{"pictures far apart", 10, 16000, 50, 200, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b between
			require.Equal(t, 1, b.now(), "at first")
			windows(&b, steady-1, tc.pictures, tc.size, tc.pieces, tc.sounds)
			require.Equal(t, 1, b.now(), "too soon")
			windows(&b, 1, tc.pictures, tc.size, tc.pieces, tc.sounds)
			require.Equal(t, tc.want, b.now())
		})
	}
}

func TestTheMarkFallsAtOnce(t *testing.T) {
	var b between
	windows(&b, steady, 25, 16000, 50, 200)
	require.Equal(t, 401, b.now())
	b.seen(1400, false)
	require.Equal(t, 1, b.now(), "within a picture: its rest may be small")
	b.seen(200, true)
	require.Equal(t, 401, b.now())
	b.seen(300, true)
	require.Equal(t, 1, b.now(), "a small picture: others like it may follow")
	windows(&b, 1, 25, 16000, 50, 200)
	require.Equal(t, 1, b.now())
	windows(&b, steady, 25, 16000, 50, 200)
	require.Equal(t, 401, b.now())
	windows(&b, 1, 25, 16000, 0, 0)
	require.Equal(t, 1, b.now(), "no sound any more")
}

// No picture of a steady stream waits for what comes after it, however the reads fall.
func TestNoPictureWaitsBelowTheMark(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var b between
	windows(&b, steady, 25, 2000, 50, 200)
	for range 10_000 {
		unread := 0
		for range rnd.IntN(3) {
			unread += 200
		}
		size := 2*401 + rnd.IntN(4000)
		if unread < b.now() { // the sound is read with the picture, in as many reads as may be
			b.heard(unread)
		}
		for size > 0 {
			came := min(size, 1+rnd.IntN(1400))
			woken := unread+came >= b.now()
			if size -= came; size == 0 {
				require.True(t, woken, "the last packet wakes the reader")
			}
			if !woken {
				unread += came
				continue
			}
			b.seen(unread+came, size == 0)
			unread = 0
		}
	}
	b.window(time.Second)
}
