package pipeline

import "github.com/millrace-video/millrace/hal"

// Entries returns for how many entries the queue of the first branch has memory.
func (c *Channel) Entries() int {
	q := c.assembly().branches[0].in
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}

// PushInPlace is pushInPlace.
func (t *Tee) PushInPlace(f hal.Frame) error { return t.pushInPlace(f) }

// WorkInPlace lets a producer call work where q is lent.
func (q *Queue) WorkInPlace(work func(hal.Frame)) {
	q.inPlace = func(f hal.Frame) {
		work(f)
		q.takeBack(false, false)
	}
}
