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
	due      dueHeap
	watched  map[*head]struct{}
	wakeup   chan struct{}
	sleeping int64 // when the sleeper wakes by itself; 0: it does not
}

type dueQueue struct {
	at int64
	q  *Queue
}

type dueHeap []dueQueue

func (h *dueHeap) Len() int           { return len(*h) }
func (h *dueHeap) Less(i, j int) bool { return (*h)[i].at < (*h)[j].at }
func (h *dueHeap) Swap(i, j int)      { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }
func (h *dueHeap) Push(x any)         { *h = append(*h, x.(dueQueue)) } //nolint:forcetypeassert // heap gives back what it got
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// watchEvery is how often stalls are looked for; grain is how far a wake-up may be late, so
// that many queues are woken in one go.
const (
	watchEvery = time.Second
	grain      = 20 * time.Millisecond
)

func newAlarm(clock *hal.Clock) *alarm {
	return &alarm{clock: clock, watched: map[*head]struct{}{}, wakeup: make(chan struct{}, 1)}
}

// arm has q looked at when the clock shows at. It is called with q's lock held and takes the
// alarm's: lookAt is therefore never called under the alarm's lock.
func (a *alarm) arm(q *Queue, at int64) {
	a.mu.Lock()
	heap.Push(&a.due, dueQueue{at, q})
	early := a.sleeping == 0 || at < a.sleeping-int64(grain)
	a.mu.Unlock()
	if early {
		a.ring()
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
			a.lookAtHeads(now)
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
	if len(a.due) > 0 && (a.sleeping == 0 || a.due[0].at < a.sleeping) {
		a.sleeping = a.due[0].at
	}
	if a.sleeping == 0 {
		return time.Hour
	}
	return max(0, time.Duration(a.sleeping-a.clock.Mono())) + grain/2
}

func (a *alarm) lookAtQueues(now int64) {
	for {
		a.mu.Lock()
		if len(a.due) == 0 || a.due[0].at > now+int64(grain) {
			a.mu.Unlock()
			return
		}
		d, _ := heap.Pop(&a.due).(dueQueue)
		a.mu.Unlock()
		if again := d.q.lookAt(now + int64(grain)); again != 0 {
			a.mu.Lock()
			heap.Push(&a.due, dueQueue{again, d.q})
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
