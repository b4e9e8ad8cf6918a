package v4l2

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/pool"
)

// loans lends the mapped buffers of a capture queue. The last Release queues a buffer again,
// from whichever goroutine; while a buffer is on loan its memory stays mapped. Only dequeue,
// restart and close are the reader's.
type loans struct {
	queue *queue
	wake  *wake // set where something happened that the reader waits for

	// mu is held over QBUF, STREAMON and STREAMOFF too: what the driver has must be what is
	// written here, and the kernel's lock of the queue is held over the same calls.
	mu      sync.Mutex
	slots   []*pool.Slot
	where   []place
	queued  int           // how many the driver has
	lent    int           // how many are on loan
	starved bool          // at some time since the last dequeue the driver had none
	broken  error         // why a buffer could not be queued; the reader takes note of it
	closed  bool          // what comes home is unmapped
	home    chan struct{} // a token: all is home after close

	exported [][]int // DMABUF descriptors by buffer and plane
}

// place is where a buffer is.
type place uint8

const (
	atHome   place = iota // nobody has it
	atDriver              // it is queued
	onLoan
)

// newLoans makes the queue's buffers ready to be lent. sizes is how many bytes of each plane
// are shown; 0, or nothing, is all that is mapped.
func newLoans(q *queue, w *wake, sizes []int) *loans {
	l := &loans{queue: q, wake: w, home: make(chan struct{}, 1)}
	for i, m := range q.buffers {
		planes := make([][]byte, len(m.planes))
		for p, b := range m.planes {
			planes[p] = b
			if p < len(sizes) && sizes[p] > 0 && sizes[p] <= len(b) {
				planes[p] = b[:sizes[p]]
			}
		}
		s := pool.NewSlot(l, planes...)
		s.SetOwner(l, i)
		l.slots = append(l.slots, s)
	}
	l.where = make([]place, len(l.slots))
	return l
}

// start queues all buffers that are at home and switches the stream on.
func (l *loans) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = nil
	for i, w := range l.where {
		if w != atHome {
			continue
		}
		if err := l.enqueue(i); err != nil {
			return err
		}
	}
	return twice(func() error { return l.queue.stream(true) }, l.queue.refused)
}

// stop switches the stream off: the driver has no buffer any more.
func (l *loans) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeAll()
}

// takeAll is stop for who holds mu.
func (l *loans) takeAll() error {
	err := l.queue.stream(false)
	for i, w := range l.where {
		if w == atDriver {
			l.where[i] = atHome
		}
	}
	l.queued = 0
	return err
}

// enqueue gives a buffer to the driver. A refusal is answered by asking once more. The caller
// holds mu.
func (l *loans) enqueue(i int) error {
	if err := twice(func() error { return l.queue.enqueue(l.queue.argument(i)) }, l.queue.refused); err != nil {
		return err
	}
	l.where[i] = atDriver
	l.queued++
	return nil
}

// Return implements pool.Home.
func (l *loans) Return(s *pool.Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent--
	_, i := s.Owner()
	l.back(i)
	if l.closed && l.lent == 0 {
		select {
		case l.home <- struct{}{}:
		default:
		}
	}
}

// back gives a buffer that nobody has to the driver, or unmaps it. The caller holds mu.
func (l *loans) back(i int) {
	l.where[i] = atHome
	if l.closed {
		l.drop(i)
		return
	}
	none := l.queued == 0
	err := l.enqueue(i)
	if err != nil && l.broken == nil {
		l.broken = fmt.Errorf("a buffer could not be queued again: %w", err)
	}
	if err != nil || none {
		l.wake.set()
	}
}

// dequeued is a buffer that the driver is done with.
type dequeued struct {
	index   int
	call    *bufferCall
	starved bool // the driver had no buffer at some time before this one
}

// dequeue takes the next buffer from the driver; the caller lends or returns it. An error is
// the one of queue.dequeue.
func (l *loans) dequeue() (dequeued, error) {
	c, err := l.queue.dequeue()
	if err != nil {
		return dequeued{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := int(c.buffer.Index)
	if l.where[i] != atDriver {
		return dequeued{}, fmt.Errorf("the driver returned buffer %d, which it did not have", i)
	}
	l.where[i] = atHome
	d := dequeued{index: i, call: c, starved: l.starved}
	l.queued--
	l.starved = l.queued == 0
	return d, nil
}

// lend lends what was dequeued.
func (l *loans) lend(d dequeued) pool.Buffer {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.where[d.index] = onLoan
	l.lent++
	return l.slots[d.index].Lend()
}

// giveBack returns what was dequeued to the driver at once.
func (l *loans) giveBack(d dequeued) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.back(d.index)
}

// state returns whether the driver has any buffer, and why one could not be given to it.
func (l *loans) state() (fed bool, broken error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued > 0, l.broken
}

// descriptor returns a DMABUF descriptor of a plane of buffer i, for another device to read
// the picture where it lies. It stays valid while the buffer is on loan or queued; the caller
// does not close it. It is made once, so that the other device knows it again.
func (l *loans) descriptor(i, p int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exported == nil {
		l.exported = make([][]int, len(l.slots))
	}
	for q := len(l.exported[i]); q <= p; q++ {
		fd, err := l.queue.export(i, q, unix.O_CLOEXEC|unix.O_RDWR)
		if err != nil {
			return -1, err
		}
		l.exported[i] = append(l.exported[i], fd)
	}
	return l.exported[i][p], nil
}

// shared returns the camera's queue that b's memory belongs to and the buffer's number, for an
// encoder that may read it by DMABUF; false where it is no camera's of this driver.
func shared(b pool.Buffer) (*loans, int, bool) {
	owner, i := b.Slot().Owner()
	l, ok := owner.(*loans)
	return l, i, ok
}

// drop lets go of the memory of a buffer that nobody has. The caller holds mu.
func (l *loans) drop(i int) {
	l.slots[i].SetPlanes()
	l.queue.unmap(i)
	if l.exported != nil {
		for _, fd := range l.exported[i] {
			_ = unix.Close(fd) //nolint:errcheck // nothing is lost with it
		}
		l.exported[i] = nil
	}
}

// close switches the stream off, waits for the loans until the limit has passed, and gives
// the buffers back to the driver. What is still on loan then is unmapped by its last Release;
// close returns how many those are. The node may be closed in any case: the kernel keeps
// memory that is mapped, and, mapped, keeps the node's file.
func (l *loans) close(limit time.Duration) int {
	l.mu.Lock()
	_ = l.takeAll() //nolint:errcheck // a device that is gone has stopped
	l.closed = true // under the same lock: what comes home between the two would be the driver's again, for good
	for i, w := range l.where {
		if w == atHome {
			l.drop(i)
		}
	}
	left := l.lent
	l.mu.Unlock()
	if left > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-l.home:
		case <-timer.C:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.release() // where pictures are held, Linux since 5.0 gives the device free all the same
	return l.lent
}
