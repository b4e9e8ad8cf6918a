package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// runner is a stage's one worker: take, work, pass on, park, leave.
type runner struct {
	stage Stage
	in    *Queue
	gate  *gate
	clock *hal.Clock
	batch [16]hal.Frame // few: every branch has its own

	parked atomic.Bool
	frames atomic.Uint64
	took   latency // capture to the end of Work

	lost uint64 // tracks, as bits, that lost frames in a restart before the next one
	fell error  // what failed while the queue was lent
}

// countOn goes on with the figures of a runner that has left.
func (r *runner) countOn(before *runner) {
	r.frames.Store(before.frames.Load())
	r.took.countOn(&before.took)
	r.in.countOn(before.in)
}

// EndBatch is a stage that wants to know when its queue is empty, before its worker sleeps: to
// write in one piece what came in one piece.
type EndBatch interface {
	EndBatch(ctx context.Context) error
}

// run works until the queue ends (nil, after a Flush) or something fails. Cancelling ctx and
// the queue is the axe.
func (r *runner) run(ctx context.Context) error {
	ender, endsBatch := r.stage.(EndBatch)
	for {
		if err := r.park(ctx); err != nil {
			return err
		}
		n, err := r.in.PopBatch(r.batch[:])
		switch {
		case errors.Is(err, ErrInterrupted):
			if err, r.fell = r.fell, nil; err != nil {
				return err
			}
			continue
		case errors.Is(err, io.EOF):
			return guard(func() error { return r.stage.Flush(ctx) })
		case errors.Is(err, ErrClosed):
			return context.Cause(ctx)
		}
		err = r.workAll(ctx, r.batch[:n])
		if err == nil && endsBatch && (n < len(r.batch) || r.in.isEmpty()) {
			err = guard(func() error { return ender.EndBatch(ctx) })
		}
		if err != nil {
			return err
		}
	}
}

func (r *runner) park(ctx context.Context) error {
	if r.gate.isOpen() {
		return nil
	}
	r.parked.Store(true)
	defer r.parked.Store(false)
	r.gate.report()
	return r.gate.pass(ctx)
}

// workAll hands a batch to the stage, parking between two frames where the gate shuts.
// Whatever happens, every frame of the batch is released or handed over.
func (r *runner) workAll(ctx context.Context, batch []hal.Frame) (err error) {
	for i, f := range batch {
		if err == nil {
			err = r.park(ctx)
		}
		batch[i] = hal.Frame{}
		if err != nil {
			f.Release()
			continue
		}
		err = r.work(ctx, f)
	}
	return err
}

func (r *runner) work(ctx context.Context, f hal.Frame) (err error) {
	defer recovered(&err)
	if f.Buf.IsZero() {
		return r.mark(ctx, markOf(f))
	}
	if bit := trackBit(f.Track); r.lost&bit != 0 {
		r.lost &^= bit
		f.Gap = true
	}
	captured := f.Stamp.Mono
	if err := r.stage.Work(ctx, f); err != nil {
		return err
	}
	r.frames.Add(1)
	r.took.add(r.clock.Mono() - captured)
	return nil
}

// mark tells the stage what happened between two frames.
func (r *runner) mark(ctx context.Context, m Mark) error {
	if s, ok := r.stage.(Marked); ok {
		return s.Mark(ctx, m)
	}
	if m == RunEnded {
		return r.stage.Flush(ctx)
	}
	return nil
}

// guard runs f and turns a panic into an error.
func guard(f func() error) (err error) {
	defer recovered(&err)
	return f()
}

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = &pool.PanicError{Value: p, Stack: debug.Stack()}
	}
}

// describe is what an operator reads of an error: a panic with the place where it happened.
func describe(err error) string {
	if p, ok := errors.AsType[*pool.PanicError](err); ok {
		return fmt.Sprintf("%v\n%s", err, p.Stack)
	}
	return err.Error()
}
