package soft

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// idler counts how often it was closed.
type idler struct{ closed atomic.Int32 }

func (i *idler) lone(*hal.Track, []byte, pool.Buffer, *pool.Arena) (hal.Frame, error) {
	return hal.Frame{}, nil
}
func (i *idler) close() { i.closed.Add(1) }

// Decoders are kept for a while, a few of them, and each is closed once.
func TestIdleDecodersAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeys(Driver{})
		all := make([]*idler, keysKept+1)
		for i := range all {
			all[i] = &idler{}
			k.giveBack(idleDecoder{sets: string(rune('a' + i)), decoder: all[i]})
		}
		require.EqualValues(t, 1, all[0].closed.Load(), "one too many")
		require.Nil(t, k.take("a").decoder)
		require.Equal(t, all[2], k.take("c").decoder)
		k.giveBack(idleDecoder{sets: "c", decoder: all[2]})
		time.Sleep(keysTime + time.Second) //nolint:forbidigo // in a bubble
		require.Zero(t, all[2].closed.Load(), "it was used meanwhile")
		time.Sleep(keysTime) //nolint:forbidigo // as above
		synctest.Wait()
		for i := range all {
			require.EqualValues(t, 1, all[i].closed.Load())
		}
		late := &idler{}
		k.giveBack(idleDecoder{sets: "z", decoder: late})
		k.Close()
		k.Close()
		require.EqualValues(t, 1, late.closed.Load())
		k.giveBack(idleDecoder{sets: "z", decoder: &idler{}})
		require.Empty(t, k.idle)
	})
}
