package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/bench"
	"github.com/millrace-video/millrace/pool"
)

func TestMain(m *testing.M) {
	// ants starts two goroutines for a default pool that nobody asked for.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// home counts what comes back.
type home struct{ returned []int }

func (h *home) Return(s *pool.Slot) {
	_, number := s.Owner()
	h.returned = append(h.returned, number)
}

func TestLastReleaseSendsTheSlotHome(t *testing.T) {
	h := &home{}
	s := pool.NewSlot(h, []byte("abc"))
	s.SetOwner(h, 7)
	b := s.Lend()
	c := b.Retain()
	b.Release()
	require.Empty(t, h.returned)
	require.Equal(t, "abc", string(c.Bytes()))
	c.Release()
	require.Equal(t, []int{7}, h.returned)
	require.False(t, s.OnLoan())
}

func TestStaleBufferPanicsEvenWhenTheSlotIsOnLoanAgain(t *testing.T) {
	s := pool.NewSlot(&home{}, make([]byte, 4))
	stale := s.Lend()
	stale.Release()
	for _, state := range []string{"at home", "on loan again"} {
		t.Run(state, func(t *testing.T) {
			require.Panics(t, func() { stale.Retain() })
			require.Panics(t, func() { stale.Release() })
			require.Panics(t, func() { stale.Bytes() })
			require.Panics(t, func() { stale.Plane(0) })
		})
		if !s.OnLoan() {
			defer s.Lend().Release()
		}
	}
}

func TestSlotIsLentOnce(t *testing.T) {
	s := pool.NewSlot(&home{}, make([]byte, 4))
	b := s.Lend()
	require.Panics(t, func() { s.Lend() })
	require.Panics(t, func() { s.SetPlanes(nil) })
	b.Release()
}

func TestPlanesInSeparateMemory(t *testing.T) {
	s := pool.NewSlot(&home{}, []byte("luma"), []byte("cb"), []byte("cr"))
	b := s.Lend()
	defer b.Release()
	require.Equal(t, 3, b.Planes())
	require.Equal(t, "cr", string(b.Plane(2)))
	require.Equal(t, "luma", string(b.Bytes()))
}

func TestShortenNeedsTheOnlyReference(t *testing.T) {
	b := pool.NewSlot(&home{}, []byte("abcd")).Lend()
	b.Shorten(2)
	require.Equal(t, "ab", string(b.Bytes()))
	c := b.Retain()
	require.Panics(t, func() { b.Shorten(1) })
	c.Release()
	b.Release()
}

// P3: buffers are allocated once and travel first in, first out.
func TestBuffersAreHandedOutFirstInFirstOut(t *testing.T) {
	p, err := pool.NewBuffers(3, 8)
	require.NoError(t, err)
	var order []int
	var held []pool.Buffer
	for range 3 {
		b, err := p.Take(t.Context())
		require.NoError(t, err)
		held = append(held, b)
	}
	_, ok := p.TryTake()
	require.False(t, ok)
	for _, i := range []int{1, 0, 2} {
		held[i].Release()
	}
	for range 3 {
		b, ok := p.TryTake()
		require.True(t, ok)
		_, number := b.Slot().Owner()
		order = append(order, number)
		b.Release()
	}
	require.Equal(t, []int{1, 0, 2}, order)
	require.Zero(t, p.Held())
}

func TestTakeWaitsForARelease(t *testing.T) {
	p, err := pool.NewBuffers(1, 8)
	require.NoError(t, err)
	b, _ := p.TryTake()
	b.Shorten(3)
	got := make(chan pool.Buffer)
	go func() {
		c, err := p.Take(context.Background())
		if err == nil {
			got <- c
		}
	}()
	b.Release()
	c := <-got
	require.Equal(t, 8, c.Len(), "a buffer comes back at its full size")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err = p.Take(ctx)
	require.EqualError(t, err, "enough")
	c.Release()
}

func TestBuffersRefuseNonsense(t *testing.T) {
	for _, size := range [][2]int{{0, 1}, {1, 0}, {-1, 5}} {
		_, err := pool.NewBuffers(size[0], size[1])
		require.ErrorContains(t, err, "must be at least 1")
	}
}

func TestArenaFramesDoNotOverlap(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{Chunk: 64})
	rnd := rand.New(rand.NewPCG(1, 2))
	type held struct {
		b    pool.Buffer
		mark byte
	}
	var frames []held
	for i := range 5000 {
		b, err := a.Get(rnd.IntN(100))
		require.NoError(t, err)
		mark := byte(i)
		for j := range b.Bytes() {
			b.Bytes()[j] = mark
		}
		frames = append(frames, held{b, mark})
		for len(frames) > 0 && rnd.IntN(3) > 0 {
			k := rnd.IntN(len(frames))
			for _, v := range frames[k].b.Bytes() {
				require.Equal(t, frames[k].mark, v)
			}
			frames[k].b.Release()
			frames = append(frames[:k], frames[k+1:]...)
		}
	}
	for _, f := range frames {
		f.b.Release()
	}
	require.Zero(t, a.Stats().Held)
}

func TestArenaLimit(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{Chunk: 64, Max: 256})
	_, err := a.Get(257)
	require.ErrorIs(t, err, pool.ErrArenaFull)
	var held []pool.Buffer
	for range 4 {
		b, err := a.Get(60)
		require.NoError(t, err)
		held = append(held, b)
	}
	_, err = a.Get(60)
	require.ErrorIs(t, err, pool.ErrArenaFull)
	held[0].Release()
	b, err := a.Get(60)
	require.NoError(t, err, "a chunk that came home is used again")
	b.Release()
	for _, b := range held[1:] {
		b.Release()
	}
	_, err = a.Get(-1)
	require.Error(t, err)
}

func TestAnArenaOfOneChunkIsUsedAgain(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{Chunk: 64, Max: 100})
	for range 100 {
		b, err := a.Get(60)
		require.NoError(t, err)
		_, err = a.Get(60)
		require.ErrorIs(t, err, pool.ErrArenaFull)
		b.Release()
	}
	b, err := a.Get(90)
	require.NoError(t, err, "a chunk may grow up to the limit")
	b.Release()
	w := pool.NewBuilder(pool.NewArena(pool.ArenaConfig{Chunk: 64, Max: 100}))
	defer w.Close()
	for range 100 {
		_, err := w.Grow(90)
		require.NoError(t, err)
		b, err := w.Finish()
		require.NoError(t, err)
		b.Release()
	}
}

func TestArenaGivesBackWhatABurstNeeded(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{Chunk: 1 << 10})
	var burst []pool.Buffer
	for range 100 {
		b, err := a.Get(1000)
		require.NoError(t, err)
		burst = append(burst, b)
	}
	for _, b := range burst {
		b.Release()
	}
	require.Equal(t, 100, a.Stats().Chunks)
	for range 1000 {
		b, err := a.Get(1000)
		require.NoError(t, err)
		b.Release()
	}
	require.Less(t, a.Stats().Chunks, 5)
}

func TestArenaChunksGrowWithTheFrames(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{Chunk: 64})
	b, err := a.Get(1000)
	require.NoError(t, err)
	require.Equal(t, 1000, b.Len())
	b.Release()
	require.Equal(t, 1, a.Stats().Chunks)
	require.Equal(t, 1024, a.Stats().Bytes)
}

func TestBuilderJoinsPiecesWhereverTheChunkEnds(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{Chunk: 32})
	w := pool.NewBuilder(a)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var want strings.Builder
		for range rnd.IntN(6) {
			piece := strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(20))
			want.WriteString(piece)
			require.NoError(t, w.Append([]byte(piece)))
		}
		require.Equal(t, want.String(), string(w.Bytes()))
		if rnd.IntN(5) == 0 {
			w.Discard()
			require.Zero(t, w.Len())
			continue
		}
		b, err := w.Finish()
		require.NoError(t, err)
		require.Equal(t, want.String(), string(b.Bytes()))
		b.Release()
	}
	w.Close()
	require.Zero(t, a.Stats().Held)
	b, err := a.Get(10)
	require.NoError(t, err)
	b.Release()
}

func TestBuilderKeepsTheOpenFrameWhenTheArenaIsFull(t *testing.T) {
	w := pool.NewBuilder(pool.NewArena(pool.ArenaConfig{Chunk: 16, Max: 32}))
	require.NoError(t, w.Append([]byte("0123456789")))
	require.ErrorIs(t, w.Append(make([]byte, 40)), pool.ErrArenaFull)
	require.Equal(t, "0123456789", string(w.Bytes()))
	w.Close()
}

func TestReleaseFromManyWorkers(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{Chunk: 256})
	var wg sync.WaitGroup
	frames := make(chan pool.Buffer, 64)
	for range 4 {
		wg.Go(func() {
			for b := range frames {
				b.Release()
			}
		})
	}
	for range 20000 {
		b, err := a.Get(50)
		require.NoError(t, err)
		frames <- b.Retain()
		frames <- b
	}
	close(frames)
	wg.Wait()
	require.Zero(t, a.Stats().Held)
}

// P3: in the steady state nothing is allocated.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	a := pool.NewArena(pool.ArenaConfig{})
	w := pool.NewBuilder(a)
	p, err := pool.NewBuffers(2, 16)
	require.NoError(t, err)
	piece := make([]byte, 1400)
	require.Zero(t, testing.AllocsPerRun(5000, func() {
		b, _ := a.Get(9000)
		b.Retain().Release()
		b.Release()
		for range 6 {
			_ = w.Append(piece)
		}
		c, _ := w.Finish()
		c.Release()
		d, _ := p.TryTake()
		d.Release()
	}))
}

func newPool(t *testing.T, limit int) *pool.Pool {
	t.Helper()
	p, err := pool.NewPool(limit)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(10*time.Second)) })
	return p
}

// P4: a share that is not to be had fails.
func TestShares(t *testing.T) {
	p := newPool(t, 5)
	a, err := p.Reserve(3)
	require.NoError(t, err)
	_, err = p.Reserve(3)
	require.ErrorIs(t, err, pool.ErrNoWorkers)
	b, err := p.Reserve(2)
	require.NoError(t, err)
	a.Close()
	a.Close()
	require.Equal(t, 2, p.Reserved())
	require.ErrorIs(t, a.Go(func() error { return nil }, nil), pool.ErrClosed)
	b.Close()
	_, err = p.Reserve(0)
	require.Error(t, err)
	_, err = pool.NewPool(-1)
	require.Error(t, err)
}

func TestAShareCannotBeExceededAndIsNeverRefused(t *testing.T) {
	p := newPool(t, 0)
	w, err := p.Reserve(2)
	require.NoError(t, err)
	defer w.Close()
	for range 2000 {
		hold := make(chan struct{})
		block := func() error { <-hold; return nil }
		require.NoError(t, w.Go(block, nil))
		require.NoError(t, w.Go(block, nil))
		require.ErrorIs(t, w.Go(block, nil), pool.ErrShareUsedUp)
		close(hold)
		w.Wait()
	}
	require.Zero(t, w.Running())
}

func TestAShareStaysReservedUntilItsLastWorkerIsDone(t *testing.T) {
	p := newPool(t, 1)
	w, err := p.Reserve(1)
	require.NoError(t, err)
	hold := make(chan struct{})
	require.NoError(t, w.Go(func() error { <-hold; return nil }, nil))
	w.Close()
	require.Equal(t, 1, p.Reserved())
	close(hold)
	w.Wait()
	require.Eventually(t, func() bool { return p.Reserved() == 0 }, 10*time.Second, time.Millisecond)
}

// Whoever hears that a job is done finds its worker free and, where it closes the share, the
// share given back: a stage that starts anew, and a channel that is initialised again, do not
// depend on how fast a thread goes to sleep.
func TestAWorkerIsFreeOnceItsJobIsDone(t *testing.T) {
	p := newPool(t, 1)
	for range 100 {
		w, err := p.Reserve(1)
		require.NoError(t, err, "the share is back")
		again := make(chan error)
		ended := make(chan struct{})
		require.NoError(t, w.Go(func() error { return nil }, func(error) {
			again <- w.Go(func() error { return nil }, func(error) { close(ended) })
		}))
		require.NoError(t, <-again, "the worker is free")
		<-ended
		w.Close()
	}
}

// P8: a panic becomes an error with its stack, and the worker lives on.
func TestPanicBecomesAnError(t *testing.T) {
	p := newPool(t, 0)
	w, err := p.Reserve(1)
	require.NoError(t, err)
	defer w.Close()
	got := make(chan error, 1)
	require.NoError(t, w.Go(func() error { panic("broken stage") }, func(err error) { got <- err }))
	var pe *pool.PanicError
	require.ErrorAs(t, <-got, &pe)
	require.Equal(t, "broken stage", pe.Value)
	require.Contains(t, string(pe.Stack), "TestPanicBecomesAnError")
	w.Wait()
	require.NoError(t, w.Go(func() error { return errors.New("plain") }, func(err error) { got <- err }))
	require.EqualError(t, <-got, "plain")
	w.Wait()
}

// P5: a thread whose priority a job changed does not serve the next job.
func TestAPriorityDoesNotOutliveItsJob(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	p := newPool(t, 0)
	w, err := p.Reserve(1)
	require.NoError(t, err)
	defer w.Close()
	nice := func() int { // getpriority(2) gives 20 − nice
		v, err := syscall.Getpriority(syscall.PRIO_PROCESS, syscall.Gettid())
		require.NoError(t, err)
		return 20 - v
	}
	before := nice() // whoever started the tests may have given them one
	seen := make(chan int, 1)
	require.NoError(t, w.GoThread(func(th *pool.Thread) error {
		err := th.SetNice(19)
		seen <- nice()
		return err
	}, func(err error) { require.NoError(t, err) }))
	require.Equal(t, 19, <-seen)
	w.Wait()
	for range 50 {
		require.NoError(t, w.Go(func() error { seen <- nice(); return nil }, nil))
		require.Equal(t, before, <-seen)
		w.Wait()
	}
}

func TestAClosedPoolTakesNoShares(t *testing.T) {
	p, err := pool.NewPool(0)
	require.NoError(t, err)
	require.NoError(t, p.Close(time.Second))
	require.NoError(t, p.Close(time.Second))
	_, err = p.Reserve(1)
	require.ErrorIs(t, err, pool.ErrClosed)
}

// BenchmarkArenaGetRelease is one encoded frame's life: goal ≤ 50 ns.
func BenchmarkArenaGetRelease(b *testing.B) {
	b.ReportAllocs()
	require.NoError(b, bench.GetRelease().Do(b.N))
}

func BenchmarkBuffersTakeRelease(b *testing.B) {
	p, _ := pool.NewBuffers(4, 64)
	b.ReportAllocs()
	for b.Loop() {
		f, _ := p.TryTake()
		f.Release()
	}
}
