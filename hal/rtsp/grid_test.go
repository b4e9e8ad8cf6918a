package rtsp_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/rtsp"
)

// Issue, Build 3: what nobody waits for is read at times that cameras have in common, 200 ms apart,
// and nothing gets older than 250 ms.
func TestReadsOfManyCamerasFallTogether(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	together := map[int64]int{}
	for range 1000 {
		now := rnd.Int64N(int64(time.Hour))
		for range 20 {
			wait := rtsp.UntilRead(now)
			require.Greater(t, wait, 100*time.Millisecond)
			require.LessOrEqual(t, wait, 200*time.Millisecond)
			at := now + int64(wait)
			require.Zero(t, at%int64(50*time.Millisecond))
			now = at + rnd.Int64N(int64(10*time.Millisecond)) // what a read takes
			require.Equal(t, at+int64(200*time.Millisecond), now+int64(rtsp.UntilRead(now)), "a camera keeps its turn")
		}
		together[now/int64(50*time.Millisecond)%4]++
	}
	require.Len(t, together, 4, "and not all are read at once")
}
