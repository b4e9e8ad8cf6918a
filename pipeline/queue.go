package pipeline

import (
	"fmt"
	"io"
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// Queue is a bounded FIFO of frames between one producer's worker and one consumer's. It
// counts every frame: pushed = popped + held + dropped, the dropped by cause. It is safe for
// concurrent use; one consumer at a time pops.
type Queue struct {
	name  string
	limit Limit
	alarm *alarm // wakes the consumer of what is old; nil where the limit asks for no age

	mu       sync.Mutex
	items    sync.Cond // the consumer waits for frames
	room     sync.Cond // a producer waits for room
	ring     []hal.Frame
	head     int // index of the oldest
	held     int // entries, marks too
	marks    int // of them, marks
	bytes    int
	ready    bool  // the consumer is to take what is there
	waiting  bool  // the consumer sleeps
	armed    bool  // alarm will look at this queue
	oldestAt int64 // clock when the queue was last empty and got a frame

	waits bool // a full queue makes its producer wait

	closed, cancelled, interrupted bool

	skipping bool   // dropping until the next key frame
	lostIn   uint64 // tracks, as bits, that lost a frame before the next one pushed
	lostOut  uint64 // tracks, as bits, that lost a frame before the next one popped
	losses   *losses
	isFull   string // what losses is told when it drops

	pushed, popped uint64
	dropped        [causes]uint64
}

// Cause says why a frame was dropped.
type Cause uint8

// The causes. A frame that follows a dropped one and cannot be decoded without it is Orphaned.
const (
	DroppedFull Cause = iota
	DroppedOrphaned
	DroppedClosed
	DroppedCancelled
	causes
)

func (c Cause) String() string {
	return [...]string{"full", "orphaned", "closed", "cancelled"}[c]
}

// NewQueue returns an empty queue. The name stands in its statistics.
func NewQueue(name string, limit Limit) (*Queue, error) {
	return newQueue(name, limit, nil)
}

func newQueue(name string, bound Bound, a *alarm) (*Queue, error) {
	limit := bound.Limit()
	if err := limit.Validate(); err != nil {
		return nil, fmt.Errorf("queue %s: %w", name, err)
	}
	q := &Queue{name: name, limit: limit, alarm: a, waits: limit.Full == Wait, ring: make([]hal.Frame, min(16, ceilPow2(limit.Frames+1)))}
	q.losses, q.isFull = &losses{}, "queue "+name+": full"
	q.items.L, q.room.L = &q.mu, &q.mu
	return q, nil
}

func ceilPow2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// Push puts a frame in and takes its reference, whatever it returns. What a full queue does
// is its policy; a drop is counted and no error. The only error is ErrClosed.
func (q *Queue) Push(f hal.Frame) error {
	q.mu.Lock()
	q.pushed++
	victim, err := q.admit(f)
	q.mu.Unlock()
	victim.Release()
	return err
}

// preload puts frames in whose number somebody else bounds, with a reference of their own. It
// neither waits nor drops: the queue may hold more than its limit until they are taken.
func (q *Queue) preload(frames []hal.Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	for _, f := range frames {
		q.pushed++
		q.insert(f.Retain(), f.Buf.Len())
	}
}

// admit puts f in or not, and returns the frame to release. The caller holds mu.
func (q *Queue) admit(f hal.Frame) (hal.Frame, error) {
	size := f.Buf.Len()
	for q.waits && q.full(size) && !q.closed {
		q.wake()
		q.room.Wait()
	}
	if q.closed {
		return q.drop(f, DroppedClosed), ErrClosed
	}
	if q.skipping {
		if !startsDecoding(f) || q.full(size) {
			return q.drop(f, DroppedOrphaned), nil
		}
		q.skipping = false
	}
	var victim hal.Frame
	for q.full(size) {
		if q.limit.Full != DropOldest {
			q.skipping = q.limit.Full == DropUntilKey
			q.wake()
			return q.drop(f, DroppedFull), nil
		}
		victim.Release()
		victim = q.dropOldest()
	}
	if bit := trackBit(f.Track); q.lostIn&bit != 0 {
		q.lostIn &^= bit
		f.Gap = true
		q.losses.flow(f.Stamp.Mono)
	}
	q.insert(f, size)
	return victim, nil
}

// setWaits says whether the source that comes next can be held back.
func (q *Queue) setWaits(waits bool) {
	q.mu.Lock()
	q.waits = waits || q.limit.Full == Wait
	q.mu.Unlock()
}

// drop counts a frame that does not get in.
func (q *Queue) drop(f hal.Frame, why Cause) hal.Frame {
	q.dropped[why]++
	q.noteDrop(&q.lostIn, f, why)
	return f
}

// dropOldest takes the oldest frame out, past marks. The caller holds mu.
func (q *Queue) dropOldest() hal.Frame {
	var marks [16]hal.Frame // of more in a row the latest count
	n := 0
	f := q.removeOldest()
	for f.Buf.IsZero() {
		marks[n%len(marks)] = f
		n++
		f = q.removeOldest()
	}
	for i := range min(n, len(marks)) {
		q.head = (q.head - 1) & (len(q.ring) - 1)
		q.ring[q.head] = marks[(n-1-i)%len(marks)]
		q.held++
		q.marks++
	}
	q.dropped[DroppedFull]++
	q.noteDrop(&q.lostOut, f, DroppedFull)
	return f
}

// noteDrop remembers in set that a track has lost a frame, and the first of a series as a loss.
func (q *Queue) noteDrop(set *uint64, f hal.Frame, why Cause) {
	bit := trackBit(f.Track)
	if *set&bit == 0 && why <= DroppedOrphaned {
		q.losses.note(f.Stamp.Mono, LostDropped, q.isFull)
	}
	*set |= bit
}

// trackBit is a track's place in a set; tracks beyond 63 share one.
func trackBit(track int) uint64 { return 1 << min(track, 63) }

// startsDecoding says whether everything before f may be missing.
func startsDecoding(f hal.Frame) bool {
	if v := f.Stream.Video(); v >= 0 {
		return f.Track == v && f.Key
	}
	return true
}

func (q *Queue) full(size int) bool {
	frames := q.held - q.marks
	return frames > 0 && (frames >= q.limit.Frames || q.limit.Bytes > 0 && q.bytes+size > q.limit.Bytes)
}

// insert appends an entry and wakes the consumer where it is time. The caller holds mu.
func (q *Queue) insert(f hal.Frame, size int) {
	if q.held == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.held)&(len(q.ring)-1)] = f
	q.held++
	q.bytes += size
	if q.limit.WakeAge == 0 {
		q.wake()
		return
	}
	if q.held == 1 && q.alarm != nil {
		q.oldestAt = q.alarm.clock.Mono()
		if !q.armed {
			q.armed = true
			q.alarm.arm(q, q.oldestAt+int64(q.limit.WakeAge))
		}
	}
	if q.limit.WakeBytes > 0 && q.bytes >= q.limit.WakeBytes || q.full(size) ||
		f.Stamp.Mono-q.ring[q.head].Stamp.Mono >= int64(q.limit.WakeAge) {
		q.wake()
	}
}

func (q *Queue) grow() {
	bigger := make([]hal.Frame, 2*len(q.ring))
	for i := range q.held {
		bigger[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = bigger, 0
}

// wake lets the consumer take what is there. The caller holds mu.
func (q *Queue) wake() {
	q.ready = true
	if q.waiting {
		q.items.Signal()
	}
}

// lookAt is the alarm's call: the consumer is woken where the oldest frame is old enough. It
// returns when to look again, or 0.
func (q *Queue) lookAt(now int64) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	due := q.oldestAt + int64(q.limit.WakeAge)
	if q.held == 0 || q.closed {
		q.armed = false
		return 0
	}
	if due <= now {
		q.armed = false
		q.wake()
		return 0
	}
	return due
}

// Pop waits for the next frame and hands its reference over. It returns io.EOF when the queue
// is closed and empty, ErrClosed when it was cancelled, ErrInterrupted after Interrupt.
func (q *Queue) Pop() (hal.Frame, error) {
	var one [1]hal.Frame
	for {
		if _, err := q.PopBatch(one[:]); err != nil {
			return hal.Frame{}, err
		}
		if !one[0].Buf.IsZero() {
			return one[0], nil
		}
	}
}

// PopBatch is Pop for as many frames as there are and dst has room for: at least one. A frame
// without a buffer is a Mark.
func (q *Queue) PopBatch(dst []hal.Frame) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.ready || q.held == 0 {
		switch {
		case q.interrupted:
			q.interrupted = false
			return 0, ErrInterrupted
		case q.cancelled:
			return 0, ErrClosed
		case q.closed && q.held == 0:
			return 0, io.EOF
		}
		q.ready = q.ready && q.held > 0
		q.waiting = true
		q.items.Wait()
		q.waiting = false
	}
	n := min(len(dst), q.held)
	for i := range n {
		f := q.removeOldest()
		if !f.Buf.IsZero() {
			q.popped++
			if bit := trackBit(f.Track); q.lostOut&bit != 0 {
				q.lostOut &^= bit
				f.Gap = true
				q.losses.flow(f.Stamp.Mono)
			}
		}
		dst[i] = f
	}
	if q.held == 0 {
		q.ready = q.limit.WakeAge == 0 || q.closed
	}
	q.room.Broadcast()
	return n, nil
}

// removeOldest takes the oldest entry out. The caller holds mu.
func (q *Queue) removeOldest() hal.Frame {
	f := q.ring[q.head]
	q.ring[q.head] = hal.Frame{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.held--
	if f.Buf.IsZero() {
		q.marks--
	} else {
		q.bytes -= f.Buf.Len()
	}
	return f
}

// countOn goes on with the figures of a queue that has ended.
func (q *Queue) countOn(before *Queue) {
	before.mu.Lock()
	pushed, popped, dropped := before.pushed, before.popped, before.dropped
	before.mu.Unlock()
	q.mu.Lock()
	q.pushed, q.popped, q.dropped = pushed, popped, dropped
	q.mu.Unlock()
}

// hasEnded says that the queue is empty and stays so.
func (q *Queue) hasEnded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.held == 0
}

func (q *Queue) isEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held == 0
}

// Interrupt wakes a waiting consumer once, now or at its next wait.
func (q *Queue) Interrupt() {
	q.mu.Lock()
	q.interrupted = true
	q.items.Broadcast()
	q.mu.Unlock()
}

// Close ends the stream: nothing more gets in, what is there can still be popped.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.ready = true
	q.items.Broadcast()
	q.room.Broadcast()
	q.mu.Unlock()
}

// Cancel closes the queue and drops what it holds.
func (q *Queue) Cancel() {
	q.mu.Lock()
	q.closed, q.cancelled = true, true
	var held []hal.Frame
	for q.held > 0 {
		if f := q.removeOldest(); !f.Buf.IsZero() {
			q.dropped[DroppedCancelled]++
			held = append(held, f)
		}
	}
	q.items.Broadcast()
	q.room.Broadcast()
	q.mu.Unlock()
	for _, f := range held {
		f.Release()
	}
}

// QueueStats is a queue's figures. Pushed = Popped + Depth + the sum of Dropped.
type QueueStats struct {
	Name     string            `json:"name"`
	Depth    int               `json:"depth"`    // frames held
	Capacity int               `json:"capacity"` // frames
	Bytes    int               `json:"bytes"`
	MaxBytes int               `json:"max_bytes,omitempty"` // 0: no limit
	Policy   string            `json:"policy"`
	Pushed   uint64            `json:"pushed"`
	Popped   uint64            `json:"popped"`
	Dropped  map[string]uint64 `json:"dropped"`
}

// Stats returns the queue's figures now.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := QueueStats{
		Name: q.name, Depth: q.held - q.marks, Capacity: q.limit.Frames,
		Bytes: q.bytes, MaxBytes: q.limit.Bytes, Policy: q.limit.Full.String(),
		Pushed: q.pushed, Popped: q.popped, Dropped: make(map[string]uint64, causes),
	}
	for c := range causes {
		s.Dropped[c.String()] = q.dropped[c]
	}
	return s
}

// resume has a ring read at its initial interval again.
func (q *Queue) resume() {}
