package rtsp

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// coalescer looks at the sockets of watched cameras at common times where there are many: to be
// woken by each packet of each camera costs several times of what reading it does. It is what
// network cards and their drivers do with interrupts.
type coalescer struct {
	many  int32         // watched cameras from which on it pays
	every time.Duration // between two looks
	early int           // of so many looks one is at a camera of which nothing is expected yet
	looks int           // that find nothing, until the camera is read anyway
	clock *hal.Clock

	watched atomic.Int32

	mu      sync.Mutex
	timer   *time.Timer
	waiting []*turn
}

// together is the coalescer of all cameras. At sixteen with sound it costs the same either way. What a
// camera sends before its time is found within 8 ms. Only a read tells that the other end is gone, hence one every 100 ms
// or little more: a look takes its time, too.
var together = &coalescer{ //nolint:gochecknoglobals // it saves by being one
	many: 16, every: 2 * time.Millisecond, early: 4, looks: 50, clock: hal.NewClock(),
}

// turn is one camera's place among those that wait.
type turn struct {
	come   chan struct{} // holds one token: something is to be read, or has to be looked into
	unread func() int    // bytes in the socket; negative: it is closed
	expect expectation
	found  int  // bytes at the last look
	left   int  // looks
	queued bool // among waiting
}

func newTurn(unread func() int) turn { return turn{come: make(chan struct{}, 1), unread: unread} }

// call ends a wait, or the next one.
func (t *turn) call() {
	select {
	case t.come <- struct{}{}:
	default: // called already
	}
}

// watch counts cameras that somebody watches.
func (c *coalescer) watch(cameras int32) { c.watched.Add(cameras) }

// crowded says whether there are enough of them.
func (c *coalescer) crowded() bool { return c.watched.Load() >= c.many }

// wait returns at the look at which there is something to read, or when it was called.
func (c *coalescer) wait(t *turn, expect expectation) {
	c.mu.Lock()
	t.expect, t.found, t.left = expect, 0, c.looks
	if !t.queued {
		t.queued = true
		if c.waiting = append(c.waiting, t); len(c.waiting) == 1 {
			c.arm()
		}
	}
	c.mu.Unlock()
	<-t.come
}

// arm sets the time of the next look. The caller holds mu.
func (c *coalescer) arm() {
	if c.timer == nil {
		c.timer = time.AfterFunc(c.every, c.look)
		return
	}
	c.timer.Reset(c.every)
}

// look calls those whose turn it is.
func (c *coalescer) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, still := c.clock.Mono(), c.waiting[:0]
	for _, t := range c.waiting {
		if c.passes(t, now) {
			still = append(still, t)
			continue
		}
		t.queued = false
		t.call()
	}
	clear(c.waiting[len(still):])
	if c.waiting = still; len(still) > 0 {
		c.arm()
	}
}

// passes says whether a camera goes on waiting. Sound does, until its picture comes or is late: it is sent on with that.
func (c *coalescer) passes(t *turn, now int64) bool {
	if t.left--; t.left == 0 {
		return false
	}
	early := now < t.expect.next
	if early && t.left%c.early != 0 {
		return true
	}
	before := t.found
	t.found = t.unread()
	switch {
	case t.found < 0 || t.found > t.expect.sound:
		return false
	case t.found == 0:
		return true
	default:
		return now < t.expect.late && (early || t.found == before)
	}
}
