package pool_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pool"
)

// P3, issue Must show 2: what one camera no longer needs serves the next, so that memory follows what all
// of them hold at one time.
func TestArenasShareAReserve(t *testing.T) {
	r := pool.NewReserve()
	defer r.Release()
	one, other := pool.NewArena(pool.ArenaConfig{Reserve: r}), pool.NewArena(pool.ArenaConfig{Reserve: r})
	fill := func(a *pool.Arena) []pool.Buffer {
		var held []pool.Buffer
		for range 64 {
			b, err := a.Get(16 << 10)
			require.NoError(t, err)
			clear(b.Bytes())
			held = append(held, b)
		}
		return held
	}
	for range 10 {
		for _, a := range []*pool.Arena{one, other} {
			for _, b := range fill(a) {
				b.Release()
			}
		}
	}
	require.LessOrEqual(t, r.Stats().Held, 1<<20+2*(64<<10), "one camera's megabyte, and the chunk that each has open")
	require.LessOrEqual(t, one.Stats().Chunks, 1)
	require.LessOrEqual(t, one.Stats().Bytes, 64<<10)
}

func TestAnArenaWithAReserveKeepsItsLimit(t *testing.T) {
	r := pool.NewReserve()
	defer r.Release()
	a := pool.NewArena(pool.ArenaConfig{Chunk: 4 << 10, Max: 16 << 10, Reserve: r})
	_, err := a.Get(16<<10 + 1)
	require.ErrorIs(t, err, pool.ErrArenaFull)
	var held []pool.Buffer
	for range 4 {
		b, err := a.Get(4000)
		require.NoError(t, err)
		held = append(held, b)
	}
	_, err = a.Get(4000)
	require.ErrorIs(t, err, pool.ErrArenaFull)
	held[0].Release()
	big, err := a.Get(4096)
	require.NoError(t, err, "what came home is there again")
	for _, b := range append(held[1:], big) {
		b.Release()
	}
	whole, err := a.Get(10 << 10)
	require.NoError(t, err, "a frame larger than a chunk has one of its own size")
	whole.Release()
	require.Zero(t, a.Stats().Held)
}

// P3: a reserve gives back what a burst needed, and all of it at the end.
func TestAReserveGivesBackWhatABurstNeeded(t *testing.T) {
	r := pool.NewReserve()
	var burst [][]byte
	for range 100 {
		burst = append(burst, r.Take(60<<10))
	}
	for _, b := range burst {
		require.Len(t, b, 64<<10)
		b[0], b[len(b)-1] = 1, 1
		r.Give(b)
	}
	require.Equal(t, pool.ReserveStats{Held: 100 * 64 << 10, Mapped: 100 * 64 << 10}, r.Stats())
	for range 5000 {
		r.Give(r.Take(64 << 10))
	}
	require.Equal(t, 64<<10, r.Stats().Held)
	burst = burst[:0]
	for range 100 { // the addresses are used again
		burst = append(burst, r.Take(64<<10))
		burst[len(burst)-1][5] = 5
	}
	require.Equal(t, pool.ReserveStats{Lent: 100 * 64 << 10, Held: 100 * 64 << 10, Mapped: 100 * 64 << 10}, r.Stats())
	for _, b := range burst {
		r.Give(b)
	}
	r.Release()
	require.Zero(t, r.Stats())
}

func TestAReserveKnowsItsBlocks(t *testing.T) {
	var none *pool.Reserve
	require.Len(t, none.Take(5), 4096)
	none.Give(make([]byte, 4096))
	r := pool.NewReserve()
	defer r.Release()
	r.Give(make([]byte, 5000))
	require.Zero(t, r.Stats().Held, "none of its sizes")
	require.Len(t, r.Take(0), 4096)
	require.Len(t, r.Take(4097), 8192)
}

// P3: in the steady state nothing is allocated.
func TestAllocationsWithAReserve(t *testing.T) {
	r := pool.NewReserve()
	defer r.Release()
	a := pool.NewArena(pool.ArenaConfig{Reserve: r})
	w := pool.NewBuilder(a)
	defer w.Close()
	piece := make([]byte, 1400)
	one := func() {
		b, _ := a.Get(9000)
		for range 6 {
			_ = w.Append(piece)
		}
		c, _ := w.Finish()
		b.Release()
		c.Release()
		r.Give(r.Take(100 << 10))
	}
	for range 1000 {
		one()
	}
	require.Zero(t, testing.AllocsPerRun(5000, one))
}
