package pipeline_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// judge is a consumer's work, done by whoever's turn it is: one at a time, each frame once and in order.
type judge struct {
	atWork  atomic.Bool
	last    int64
	frames  int
	inPlace int
	wrong   int
}

func (j *judge) work(f hal.Frame, inPlace bool) {
	if !j.atWork.CompareAndSwap(false, true) {
		panic("two at work")
	}
	if f.Stamp.Mono != j.last+1 {
		j.wrong++
	}
	j.last = f.Stamp.Mono
	j.frames++
	if inPlace {
		j.inPlace++
	}
	f.Release()
	j.atWork.Store(false)
}

// consume works off q until its end.
func (j *judge) consume(q *pipeline.Queue) {
	var batch [8]hal.Frame
	for {
		n, err := q.PopBatch(batch[:])
		if errors.Is(err, pipeline.ErrInterrupted) {
			continue
		}
		if err != nil {
			return
		}
		for _, f := range batch[:n] {
			j.work(f, false)
		}
	}
}

// A queue that is lent and taken back while others interrupt its consumer has one worker at a time,
// who gets each frame once and in order.
func TestALentQueueHasOneWorkerAtATime(t *testing.T) {
	const frames = 20_000
	q, tee, l := branchQueue(t), pipeline.NewTee(0), newLedger()
	j := &judge{}
	q.WorkInPlace(func(f hal.Frame) { j.work(f, true) })
	tee.Join(q)
	var wg, nuisance sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() { j.consume(q) })
	nuisance.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				q.Interrupt()
				runtime.Gosched()
			}
		}
	})
	for n := range int64(frames) {
		for q.Stats().Depth >= 32 { // or it would drop
			runtime.Gosched()
		}
		f := l.frame('I')
		f.Stamp.Mono = n + 1
		require.NoError(t, tee.PushInPlace(f))
	}
	close(over)
	nuisance.Wait()
	tee.Close()
	wg.Wait()
	require.Equal(t, frames, j.frames)
	require.Zero(t, j.wrong, "frames out of order")
	s := q.Stats()
	require.EqualValues(t, frames, s.Pushed)
	require.EqualValues(t, frames, s.Popped)
	require.Zero(t, l.held())
	t.Logf("%d of %d in place", j.inPlace, j.frames)
}

func TestWorkInPlaceAllocatesNothing(t *testing.T) {
	q, tee, l := branchQueue(t), pipeline.NewTee(0), newLedger()
	j := &judge{}
	q.WorkInPlace(func(f hal.Frame) { j.work(f, true) })
	tee.Join(q)
	var wg sync.WaitGroup
	wg.Go(func() { j.consume(q) })
	var n int64
	push := func() {
		n++
		f := l.frame('I')
		f.Stamp.Mono = n
		require.NoError(t, tee.PushInPlace(f))
	}
	for j.inPlace == 0 { // until the consumer sleeps
		for q.Stats().Depth > 0 {
			runtime.Gosched()
		}
		push()
	}
	was := j.inPlace
	require.Zero(t, testing.AllocsPerRun(1000, push))
	require.Equal(t, was+1001, j.inPlace)
	tee.Close()
	wg.Wait()
	require.Zero(t, j.wrong)
	require.Zero(t, l.held())
}
