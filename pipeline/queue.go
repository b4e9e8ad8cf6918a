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
	alarm *alarm // wakes the consumer of what is old; may be nil

	mu       sync.Mutex
	items    sync.Cond // the consumer waits for frames
	room     sync.Cond // a producer waits for room
	entries  []hal.Frame
	head     int // index of the oldest
	held     int // entries, marks too
	marks    int // of them, marks
	bytes    int
	ready    bool  // the consumer is to take what is there
	waiting  bool  // the consumer sleeps
	oldestAt int64 // clock when the queue was last empty and got a frame
	lookDue  int64 // clock when alarm looks at this queue; 0: it does not
	due      *due  // the same for alarm, which guards what it points to
	ring     *ring // nil where the limit describes none

	waits bool // a full queue makes its producer wait

	inPlace func(hal.Frame) // does the consumer's work for a producer that was lent the queue; may be nil
	lent    bool            // a producer does it
	fell    bool            // and failed
	rest    int             // frames until it may again

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
	q := &Queue{name: name, limit: limit, alarm: a, waits: limit.Full == Wait}
	q.losses, q.isFull, q.due = &losses{}, "queue "+name+": full", &due{q: q, index: -1}
	if limit.Growth.Start > 0 {
		q.ring = newRing(limit)
		q.isFull = fmt.Sprintf("queue %s: the ring is full at its maximum of %d bytes", name, limit.Bytes)
	}
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
		q.skipping = q.skipping && !startsDecoding(f)
		q.hasRoom(f.Buf.Len()) // a ring grows
		q.put(f.Retain(), f.Buf.Len())
	}
}

// admit puts f in or not, and returns the frame to release. The caller holds mu.
func (q *Queue) admit(f hal.Frame) (hal.Frame, error) {
	size := f.Buf.Len()
	for q.waits && !q.hasRoom(size) && !q.closed {
		q.wake()
		q.room.Wait()
	}
	if q.closed {
		return q.drop(f, DroppedClosed), ErrClosed
	}
	if q.skipping {
		if !startsDecoding(f) || !q.hasRoom(size) {
			return q.drop(f, DroppedOrphaned), nil
		}
		q.skipping = false
	}
	var victim hal.Frame
	for !q.hasRoom(size) {
		if q.limit.Full != DropOldest {
			q.skipping = q.limit.Full == DropUntilKey
			if q.ring != nil {
				q.putMark(RingFull)
			}
			q.wake()
			return q.drop(f, DroppedFull), nil
		}
		victim.Release()
		victim = q.dropOldest()
	}
	q.put(f, size)
	return victim, nil
}

// put inserts a frame, marked where what came before it on its track did not get in.
func (q *Queue) put(f hal.Frame, size int) {
	if bit := trackBit(f.Track); q.lostIn&bit != 0 {
		q.lostIn &^= bit
		f.Gap = true
		q.losses.flow(f.Stamp.Mono)
	}
	q.insert(f, size)
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
		q.head = (q.head - 1) & (len(q.entries) - 1)
		q.entries[q.head] = marks[(n-1-i)%len(marks)]
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

// hasRoom says whether a frame of that size gets in, for which a ring may grow. Where nothing
// is held any frame does, but in a ring under a live source.
func (q *Queue) hasRoom(size int) bool {
	if q.ring != nil && q.makeRoom(size) {
		return true
	}
	if q.held == q.marks && (q.ring == nil || q.waits) {
		return true
	}
	return q.ring == nil && !q.full(size)
}

func (q *Queue) full(size int) bool {
	frames := q.held - q.marks
	return frames > 0 && (frames >= q.limit.Frames || q.limit.Bytes > 0 && q.bytes+size > q.limit.Bytes)
}

// insert appends an entry and wakes the consumer where it is time. The caller holds mu.
func (q *Queue) insert(f hal.Frame, size int) {
	if q.held == len(q.entries) {
		q.resize(max(2*len(q.entries), min(leastEntries, ceilPow2(q.limit.Frames+1))))
	}
	q.entries[(q.head+q.held)&(len(q.entries)-1)] = f
	q.held++
	q.bytes += size
	if q.limit.WakeAge == 0 {
		q.wake()
		return
	}
	if q.held == 1 && q.alarm != nil {
		q.oldestAt = q.alarm.clock.Mono()
		q.lookBy(q.handOver())
	}
	if q.ring != nil && !f.Buf.IsZero() {
		q.ringGot()
	}
	if q.limit.WakeBytes > 0 && q.bytes >= q.limit.WakeBytes || q.ring == nil && q.full(size) ||
		f.Stamp.Mono-q.entries[q.head].Stamp.Mono >= int64(q.limit.WakeAge) {
		q.wake()
	}
}

// handOver is when the oldest entry is old enough for the consumer.
func (q *Queue) handOver() int64 { return roundUp(q.oldestAt+int64(q.limit.WakeAge), grain) }

// lookBy has the alarm look at the queue at that time at the latest. The caller holds mu.
func (q *Queue) lookBy(at int64) {
	if q.alarm != nil && (q.lookDue == 0 || at < q.lookDue) {
		q.lookDue = at
		q.alarm.arm(q.due, at)
	}
}

// resize gives the entries room for n, a power of two.
func (q *Queue) resize(n int) {
	moved := make([]hal.Frame, n)
	for i := range q.held {
		moved[i] = q.entries[(q.head+i)&(len(q.entries)-1)]
	}
	q.entries, q.head = moved, 0
}

// wake lets the consumer take what is there. The caller holds mu.
func (q *Queue) wake() {
	q.ready = true
	if q.waiting {
		q.items.Signal()
	}
}

// lookAt is the alarm's call: a ring is read where its time has come, and the consumer is woken
// where the oldest entry is old enough. It returns when to look again, or 0.
func (q *Queue) lookAt(now int64) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lookDue = 0
	if q.closed {
		return 0
	}
	var next int64
	if q.ring != nil {
		next = q.read(now)
	}
	if q.held > 0 && !q.ready {
		due := q.handOver()
		if due <= now {
			q.wake()
		} else if next == 0 || due < next {
			next = due
		}
	}
	q.lookDue = next
	return next
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
	if err := q.await(); err != nil {
		return 0, err
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

// await waits until the consumer may take something. The caller holds mu.
func (q *Queue) await() error {
	for q.lent || q.fell || !q.ready || q.held == 0 {
		switch {
		case q.lent: // until takeBack
		case q.fell:
			q.fell = false
			return ErrInterrupted
		case q.interrupted:
			q.interrupted = false
			return ErrInterrupted
		case q.cancelled:
			return ErrClosed
		case q.closed && q.held == 0:
			return io.EOF
		}
		q.ready = q.ready && q.held > 0
		q.waiting = true
		q.items.Wait()
		q.waiting = false
	}
	return nil
}

// removeOldest takes the oldest entry out. The caller holds mu.
func (q *Queue) removeOldest() hal.Frame {
	f := q.entries[q.head]
	q.entries[q.head] = hal.Frame{}
	q.head = (q.head + 1) & (len(q.entries) - 1)
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
	Ring     *RingStats        `json:"ring,omitempty"`
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
	if q.ring != nil {
		s.Ring = q.ringStats()
	}
	return s
}
