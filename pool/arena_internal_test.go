package pool

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who waits for memory is not told that none will come while the last of it is on its way.
func TestAFrameIsOnLoanUntilItsChunkIsHome(t *testing.T) {
	for name, reserve := range map[string]*Reserve{"its own memory": nil, "a reserve's": NewReserve()} {
		t.Run(name, func(t *testing.T) {
			a := NewArena(ArenaConfig{Max: 64 << 10, Chunk: 64 << 10, Reserve: reserve})
			last, err := a.Get(40 << 10)
			require.NoError(t, err)
			_, err = a.Get(40 << 10)
			require.ErrorIs(t, err, ErrArenaFull)
			c := a.chunks[0]

			a.mu.Lock() // the release stops before the chunk is home
			released := make(chan struct{})
			go func() {
				defer close(released)
				last.Release()
			}()
			for c.owed.Load() != 0 {
				runtime.Gosched()
			}
			held := a.held()
			a.mu.Unlock()
			require.Equal(t, 1, held)
			<-released
			require.True(t, a.Due(), "it came since")
			<-a.Freed()
			require.False(t, a.Due())
			require.Zero(t, a.Stats().Held)
		})
	}
}
