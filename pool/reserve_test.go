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
	require.LessOrEqual(t, r.Stats().Held, 1<<20+2*(96<<10)+(128<<10), "one camera's megabyte, the chunk that each has open, and what is spare")
	require.LessOrEqual(t, one.Stats().Chunks, 1)
	require.LessOrEqual(t, one.Stats().Bytes, 96<<10)
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
	const size, spans = 64 << 10, 8 << 20
	r := pool.NewReserve()
	take := func() []pool.Block {
		var burst []pool.Block
		for range 100 {
			b := r.Take(60<<10, 60<<10)
			b.Bytes[0], b.Bytes[len(b.Bytes)-1] = 1, 1
			burst = append(burst, b)
		}
		return burst
	}
	give := func(burst []pool.Block) {
		for _, b := range burst {
			r.Give(b)
		}
	}
	burst := take()
	lent := r.Stats().Lent
	require.GreaterOrEqual(t, lent, 100*60<<10)
	require.Equal(t, pool.ReserveStats{Lent: lent, Held: lent, Mapped: spans}, r.Stats())
	give(burst)
	require.Equal(t, pool.ReserveStats{Held: lent, Mapped: spans}, r.Stats())
	for range 5000 {
		r.Give(r.Take(size, size))
	}
	require.LessOrEqual(t, r.Stats().Held, 8*size, "one block, and what is spare")
	burst = take() // the addresses are used again
	require.Equal(t, spans, r.Stats().Mapped)
	r.Release()
	require.Equal(t, pool.ReserveStats{Lent: lent, Held: lent, Mapped: spans}, r.Stats(), "what is lent stays")
	give(burst)
	r.Release()
	require.Zero(t, r.Stats())
}

// P3, issue Must show 2: what one size of block no longer needs serves every other.
func TestBlocksOfAllSizesShareMemory(t *testing.T) {
	r := pool.NewReserve()
	defer r.Release()
	var small []pool.Block
	for range 64 {
		small = append(small, r.Take(16<<10, 16<<10))
	}
	held := r.Stats().Held
	for _, b := range small {
		r.Give(b)
	}
	r.Give(r.Take(1<<20, 1<<20))
	require.Equal(t, held, r.Stats().Held, "sixteen of them are one again")
}

func TestABlockIsAsLargeAsThereIsRoom(t *testing.T) {
	const unit = 64 << 10 // a multiple of any machine's page
	r := pool.NewReserve()
	defer r.Release()
	whole := r.Take(64*unit, 64*unit) // a span
	hole := r.Cut(whole, 60*unit)
	require.Len(t, hole.Bytes, 60*unit)
	require.Equal(t, 60*unit, r.Stats().Lent)
	b := r.Take(2*unit, 16*unit)
	require.Len(t, b.Bytes, 4*unit, "what is there in one piece")
	require.Len(t, r.Take(5*unit, 16*unit).Bytes, 16*unit, "too little is there, so it is elsewhere")
	require.Panics(t, func() { r.Give(b); r.Give(b) })
}

func TestWithoutAReserveABlockIsOfTheHeap(t *testing.T) {
	var none *pool.Reserve
	b := none.Take(5, 10)
	require.Len(t, b.Bytes, 10)
	require.Len(t, none.Cut(b, 3).Bytes, 10)
	none.Give(b)
	r := pool.NewReserve()
	r.Give(pool.Block{})
	r.Give(b)
	require.Zero(t, r.Stats())
}

// Before a pause a builder keeps its open frame and no more.
func TestABuilderThatSettlesKeepsItsOpenFrame(t *testing.T) {
	r := pool.NewReserve()
	defer r.Release()
	w := pool.NewBuilder(pool.NewArena(pool.ArenaConfig{Chunk: 1 << 20, Reserve: r}))
	require.NoError(t, w.Append([]byte("first")))
	first, err := w.Finish()
	require.NoError(t, err)
	require.NoError(t, w.Append([]byte("sec")))
	require.GreaterOrEqual(t, r.Stats().Lent, 1<<20)
	w.Settle()
	require.LessOrEqual(t, r.Stats().Lent, 64<<10)
	require.NoError(t, w.Append(make([]byte, 100<<10)))
	require.Equal(t, "sec", string(w.Bytes()[:3]))
	second, err := w.Finish()
	require.NoError(t, err)
	require.Equal(t, "first", string(first.Bytes()))
	require.Equal(t, 100<<10+3, second.Len())
	w.Close()
	second.Release()
	first.Release()
	require.Zero(t, r.Stats().Lent)
	w.Settle()
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
		r.Give(r.Take(100<<10, 100<<10))
	}
	for range 1000 {
		one()
	}
	require.Zero(t, testing.AllocsPerRun(5000, one))
}
