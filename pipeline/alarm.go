package pipeline

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// alarm is the one timer of an engine: it wakes the consumers of frames that grow old in a
// queue, and looks once a second at what must not stall. It sleeps while there is neither.
type alarm struct {
	clock *hal.Clock

	mu       sync.Mutex
	queues   dueHeap
	watched  map[*head]struct{}
	wakeup   chan struct{}
	sleeping int64 // when the sleeper wakes by itself; 0: it does not
}

// due is when a queue is looked at. The alarm's lock guards it.
type due struct {
	q     *Queue
	at    int64
	index int // in the heap; −1: not in it
}

type dueHeap []*due

func (h *dueHeap) Len() int           { return len(*h) }
func (h *dueHeap) Less(i, j int) bool { return (*h)[i].at < (*h)[j].at }

func (h *dueHeap) Swap(i, j int) {
	(*h)[i], (*h)[j] = (*h)[j], (*h)[i]
	(*h)[i].index, (*h)[j].index = i, j
}

func (h *dueHeap) Push(x any) {
	d, _ := x.(*due)
	d.index = len(*h)
	*h = append(*h, d)
}

func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	last.index = -1
	*h = old[:len(old)-1]
	return last
}

// watchEvery is how often stalls are looked for. What is due is due at whole multiples of grain
// on the clock, and rings at those of their interval, so that many are served in one go.
const (
	watchEvery = time.Second
	grain      = 20 * time.Millisecond
)

// roundUp returns the first multiple of step that is not before at.
func roundUp(at int64, step time.Duration) int64 {
	return (at + int64(step) - 1) / int64(step) * int64(step)
}

func newAlarm(clock *hal.Clock) *alarm {
	return &alarm{clock: clock, watched: map[*head]struct{}{}, wakeup: make(chan struct{}, 1)}
}

// arm has d's queue looked at when the clock shows at, or earlier where that was said before. It
// is called with the queue's lock held and takes the alarm's: lookAt is therefore never called
// under the alarm's lock.
func (a *alarm) arm(d *due, at int64) {
	a.mu.Lock()
	a.put(d, at)
	early := a.sleeping == 0 || at < a.sleeping
	a.mu.Unlock()
	if early {
		a.ring()
	}
}

// put is arm for who holds mu.
func (a *alarm) put(d *due, at int64) {
	switch {
	case d.index < 0:
		d.at = at
		heap.Push(&a.queues, d)
	case at < d.at:
		d.at = at
		heap.Fix(&a.queues, d.index)
	}
}

func (a *alarm) ring() {
	select {
	case a.wakeup <- struct{}{}:
	default:
	}
}

func (a *alarm) watch(h *head) {
	a.mu.Lock()
	a.watched[h] = struct{}{}
	a.mu.Unlock()
	a.ring()
}

func (a *alarm) unwatch(h *head) {
	a.mu.Lock()
	delete(a.watched, h)
	a.mu.Unlock()
}

func (a *alarm) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	nextWatch := a.clock.Mono() + int64(watchEvery)
	for {
		now := a.clock.Mono()
		if now >= nextWatch {
			a.lookAtHeads(nextWatch) // up to when it was due: who was late himself calls nobody silent
			nextWatch = now + int64(watchEvery)
		}
		a.lookAtQueues(now)
		timer.Reset(a.sleep(nextWatch))
		select {
		case <-ctx.Done():
			return nil
		case <-a.wakeup:
		case <-timer.C:
		}
	}
}

// sleep returns how long there is nothing to do.
func (a *alarm) sleep(nextWatch int64) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sleeping = 0
	if len(a.watched) > 0 {
		a.sleeping = nextWatch
	}
	if len(a.queues) > 0 && (a.sleeping == 0 || a.queues[0].at < a.sleeping) {
		a.sleeping = a.queues[0].at
	}
	if a.sleeping == 0 {
		return time.Hour
	}
	return max(0, time.Duration(a.sleeping-a.clock.Mono()))
}

func (a *alarm) lookAtQueues(now int64) {
	for {
		a.mu.Lock()
		if len(a.queues) == 0 || a.queues[0].at > now {
			a.mu.Unlock()
			return
		}
		d := a.queues[0]
		heap.Pop(&a.queues)
		a.mu.Unlock()
		if again := d.q.lookAt(now); again != 0 {
			a.mu.Lock()
			a.put(d, again)
			a.mu.Unlock()
		}
	}
}

func (a *alarm) lookAtHeads(now int64) {
	a.mu.Lock()
	heads := make([]*head, 0, len(a.watched))
	for h := range a.watched {
		heads = append(heads, h)
	}
	a.mu.Unlock()
	for _, h := range heads {
		h.checkStall(now)
	}
}
