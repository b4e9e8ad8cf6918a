package pipeline

import (
	"context"

	"github.com/millrace-video/millrace/hal"
)

// Mark says in the stream of frames what happened there. It lies in a branch's queue between
// the frames before it and those after it, and is neither dropped nor counted.
type Mark uint8

// The marks.
const (
	RunEnded Mark = iota // the source's run is over; frames of a new run may follow
	RingFull             // a write needed more than the ring's maximum; frames follow from a key frame on (R1)
	Idled                // the ring's reader found nothing for so long that it sleeps; frames may follow (R2)
	Asked                // the stage called Env.Mark
)

func (m Mark) String() string {
	return [...]string{"run ended", "ring full", "idle", "asked"}[m]
}

// Marked is a stage that wants to know of every mark in its queue, in the order of the frames.
// Any other gets Flush for RunEnded and does not learn of the rest. The end of the queue, at
// Exit, is Flush for all of them.
type Marked interface {
	Mark(ctx context.Context, m Mark) error
}

// frame is how a mark lies among frames: without a buffer.
func (m Mark) frame() hal.Frame { return hal.Frame{Track: int(m)} }

// markOf is the inverse of Mark.frame.
func markOf(f hal.Frame) Mark { return Mark(f.Track) } //nolint:gosec // made by frame

// mark puts m behind what the queue holds and wakes the consumer.
func (q *Queue) mark(m Mark) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.putMark(m)
}

// putMark is mark for who holds mu.
func (q *Queue) putMark(m Mark) {
	if q.closed {
		return
	}
	q.marks++
	q.insert(m.frame(), 0)
	q.wake()
}
