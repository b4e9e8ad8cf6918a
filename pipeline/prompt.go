package pipeline

import (
	"context"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Prompt is a branch's stage whose Work and EndBatch never wait: for no disk, no peer and no lock
// of one who waits. Where its branch wants every frame at once and its queue is empty, the worker
// that reads a live source works on the frame in the place of the branch's own, which sleeps on:
// that spares the wake-up, the larger part of what a frame costs. What the stage is owed stays the
// same: all calls come from one worker at a time, in the order of the frames; an error or a panic
// is the branch's alone. EndBatch comes after each frame.
type Prompt interface {
	Prompt() bool
}

// A stage that took longer than promptLimit for a frame works on its own worker for the promptRest
// frames that follow: the camera's other branches wait for the worker that reads.
const (
	promptLimit = 20 * time.Millisecond
	promptRest  = 250
)

// isPrompt says whether the worker that reads may do the branch's work: both run at one priority.
func (b *branch) isPrompt() bool {
	limit, nice := b.in.limit, 0
	if p, ok := b.stage.(Prioritised); ok {
		nice = p.Nice()
	}
	p, ok := b.stage.(Prompt)
	return ok && p.Prompt() && limit.WakeAge == 0 && b.in.ring == nil && nice == b.ch.def.origin.Nice
}

// workInPlace does the branch's work on one frame, and takes its reference, on the worker that
// was lent the queue.
func (b *branch) workInPlace(f hal.Frame) {
	clock := b.ch.eng.clock
	began := clock.Mono()
	err := b.run.workInPlace(b.ch.hard, f)
	b.in.takeBack(err != nil, time.Duration(clock.Mono()-began) > promptLimit)
}

// workInPlace works on a frame as run does, for who was lent the queue. What fails is told to run,
// which returns it.
func (r *runner) workInPlace(ctx context.Context, f hal.Frame) error {
	err := r.work(ctx, f)
	if ender, ok := r.stage.(EndBatch); ok && err == nil {
		err = guard(func() error { return ender.EndBatch(ctx) })
	}
	r.fell = err
	return err
}

// lend says whether the producer is to do the consumer's work on the next frame: that one sleeps,
// and nothing lies before the frame. The frame counts as pushed and popped. Until takeBack the
// consumer gets nothing.
func (q *Queue) lend() bool {
	if q.inPlace == nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.waiting || q.held > 0 || q.lent || q.fell || q.interrupted || q.closed || q.skipping || q.lostIn|q.lostOut != 0 {
		return false
	}
	if q.rest > 0 {
		q.rest--
		return false
	}
	q.lent = true
	q.pushed++
	q.popped++
	return true
}

// takeBack ends what lend began, and wakes the consumer where there is something for it. One whose
// stage fell is told ErrInterrupted before it gets anything else.
func (q *Queue) takeBack(fell, slow bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lent, q.fell = false, fell
	if slow {
		q.rest = promptRest
	}
	if fell || q.held > 0 || q.interrupted || q.closed {
		q.items.Signal()
	}
}
