package pipeline

import (
	"fmt"
	"time"
)

// ring is what makes a queue a recorder's: a capacity in bytes that follows the need (R1) and a
// reader whose interval follows the flow (R2). The queue's mu guards it.
type ring struct {
	Growth
	Pace

	max      int // bytes
	capacity int // bytes
	busyAt   int64
	busy     bool // a quarter of the capacity was used since the last read
	most     int  // entries held at once since fittedAt
	fittedAt int64

	reading  bool // else it is idle: nobody looks until something comes
	interval time.Duration
	next     int64 // clock of the next read
	came     bool  // something was pushed since the last read
	empty    int   // reads in a row that found nothing

	grown, shrunk uint64
	changes       []change // the latest
	changed       uint64   // how many changes there were
}

// change is one change of a capacity or an interval.
type change struct {
	at       int64
	why      reason
	n        int // of why: bytes written, empty reads
	from, to int64
}

// reason is why a ring changed.
type reason uint8

const (
	bigWrite reason = iota // what follows up to oversized is of the capacity
	oversized
	restored
	newData // what follows is of the interval
	resumed
	emptyReads
	wentIdle
	pastThreshold
	atMaximum
)

// mostChanges is how many changes of a ring are told.
const mostChanges = 64

// leastEntries is how many entries every queue has room for.
const leastEntries = 16

func newRing(l Limit) *ring {
	return &ring{Growth: l.Growth, Pace: l.Pace, max: l.Bytes, capacity: l.Growth.Start, interval: l.Pace.Initial}
}

// now is the clock of a queue; 0 where it has none.
func (q *Queue) now() int64 {
	if q.alarm == nil {
		return 0
	}
	return q.alarm.clock.Mono()
}

// note keeps a change, the latest of them.
func (r *ring) note(now int64, why reason, n int, from, to int64) {
	c := change{now, why, n, from, to}
	if len(r.changes) < mostChanges {
		r.changes = append(r.changes, c)
	} else {
		r.changes[r.changed%mostChanges] = c
	}
	r.changed++
}

// makeRoom says whether a write of that size has room, piece by piece, and grows the ring for it
// where it may. A write that does not fit in the end leaves what it grew.
func (q *Queue) makeRoom(size int) bool {
	if q.held-q.marks >= q.limit.Frames {
		return false
	}
	r := q.ring
	if size > r.max-q.bytes { // also what no piece-wise growth could hold
		q.enlarge(r.max, min(size, r.Piece))
		return false
	}
	for taken := 0; taken < size; {
		piece := min(size-taken, r.Piece)
		taken += piece
		q.enlarge(q.bytes+taken, piece)
	}
	return true
}

// enlarge lets the ring grow until it holds need, for a write of piece bytes.
func (q *Queue) enlarge(need, piece int) {
	r := q.ring
	to := r.capacity
	for to < need && to < r.max {
		by := r.Step
		if by == 0 {
			by = to
		}
		to += min(by, r.max-to)
	}
	if to == r.capacity {
		return
	}
	r.note(q.now(), bigWrite, piece, int64(r.capacity), int64(to))
	r.capacity = to
	r.grown++
	r.busy = true
	q.wake()
}

// fit lets the ring shrink where it has long been too large, its entries along with it.
func (q *Queue) fit(now int64) {
	r := q.ring
	switch {
	case r.busy || q.bytes >= r.capacity/4:
		r.busy, r.busyAt = false, now
	case now-r.busyAt >= int64(r.ShrinkAfter) && r.capacity > r.Start:
		by := r.Step
		if by == 0 {
			by = r.capacity / 2
		}
		q.lessen(now, max(r.Start, r.capacity-by), oversized)
		r.busyAt = now
	}
	if now-r.fittedAt >= int64(r.ShrinkAfter) {
		q.fitEntries(r.most)
		r.most, r.fittedAt = q.held, now
	}
}

func (q *Queue) lessen(now int64, to int, why reason) {
	r := q.ring
	if to = max(to, q.bytes); to >= r.capacity {
		return
	}
	r.note(now, why, 0, int64(r.capacity), int64(to))
	r.capacity = to
	r.shrunk++
}

// fitEntries gives back the memory of entries where less than a quarter of it was used.
func (q *Queue) fitEntries(most int) {
	if n := max(leastEntries, ceilPow2(2*max(most, q.held))); 2*n <= len(q.entries) {
		q.resize(n)
	}
}

// ringGot takes note of a frame that was put in: an idle ring is read again.
func (q *Queue) ringGot() {
	r := q.ring
	r.came = true
	r.busy = r.busy || q.bytes >= r.capacity/4
	r.most = max(r.most, q.held)
	if !r.reading {
		q.beginReading(newData)
	}
}

// beginReading reads at the initial interval from now on.
func (q *Queue) beginReading(why reason) {
	r, now := q.ring, q.now()
	from := r.interval
	if !r.reading {
		from = 0
		r.busyAt, r.fittedAt = now, now
	}
	r.reading, r.empty = true, 0
	r.setInterval(now, why, from, r.Initial)
	q.lookBy(r.next)
}

// setInterval changes the interval; the next read is the grid's nearest to it from now.
func (r *ring) setInterval(now int64, why reason, from, to time.Duration) {
	if from != to {
		r.note(now, why, r.Empty, int64(from), int64(to))
	}
	r.interval = to
	r.next = nextOn(to, now)
}

// nextOn returns the time on the grid of an interval, its multiples on the clock, that is nearest
// to one interval from now. All rings of one interval are thus read in one go.
func nextOn(interval time.Duration, now int64) int64 {
	i := int64(interval)
	return (now + i + i/2) / i * i
}

// read is one look of the reader, where its time has come. It returns when the next one is; 0
// where the ring is idle. It neither blocks nor allocates, but where entries shrink.
func (q *Queue) read(now int64) int64 {
	r := q.ring
	if !r.reading {
		return 0
	}
	if now < r.next {
		return r.next
	}
	found := r.came || !q.ready && q.held > q.marks
	r.came = false
	to, why := r.interval, atMaximum
	switch {
	case !found:
		if r.empty++; r.empty < r.Empty {
			break
		}
		r.empty = 0
		to, why = 2*r.interval, emptyReads
	case float64(q.bytes) > r.Threshold*float64(r.capacity):
		q.wake()
		to, why = r.interval/2, pastThreshold
	case r.capacity == r.max:
		to = r.interval / 2
	}
	if found {
		r.empty = 0
	}
	q.fit(now)
	if to > r.Max {
		q.idle(now)
		return 0
	}
	r.setInterval(now, why, r.interval, max(r.Floor, to))
	return r.next
}

// idle ends the reading, and says so in the stream.
func (q *Queue) idle(now int64) {
	r := q.ring
	r.reading = false
	r.note(now, wentIdle, r.Empty, int64(r.interval), 0)
	q.lessen(now, r.Start, restored)
	q.fitEntries(q.held)
	q.putMark(Idled)
}

// resume has a ring read at its initial interval again.
func (q *Queue) resume() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ring != nil && !q.closed {
		q.beginReading(resumed)
	}
}

// RingStats is a ring's size and pace.
type RingStats struct {
	Capacity int          `json:"capacity"` // bytes, now
	Maximum  int          `json:"maximum"`  // bytes
	Fill     int          `json:"fill"`     // bytes held
	State    string       `json:"state"`    // reading, idle
	Interval float64      `json:"interval_s"`
	Grown    uint64       `json:"grown"` // times
	Shrunk   uint64       `json:"shrunk"`
	Changes  []RingChange `json:"changes"` // the latest 64, the oldest first
}

// RingChange is one change of a ring's capacity, in bytes, or of its interval, in seconds, which
// is 0 while it is idle.
type RingChange struct {
	At    time.Time `json:"at,omitzero"`
	Of    string    `json:"of"` // capacity, interval
	From  float64   `json:"from"`
	To    float64   `json:"to"`
	Cause string    `json:"cause"`
}

// ringStats is what Stats tells of a ring. The caller holds mu.
func (q *Queue) ringStats() *RingStats {
	r := q.ring
	s := &RingStats{
		Capacity: r.capacity, Maximum: r.max, Fill: q.bytes, State: "idle", Interval: r.interval.Seconds(),
		Grown: r.grown, Shrunk: r.shrunk, Changes: []RingChange{},
	}
	if r.reading {
		s.State = "reading"
	}
	for i := r.changed - uint64(len(r.changes)); i < r.changed; i++ {
		c := r.changes[i%mostChanges]
		told := RingChange{Of: "capacity", From: float64(c.from), To: float64(c.to), Cause: c.cause()}
		if c.why >= newData {
			told.Of, told.From, told.To = "interval", time.Duration(c.from).Seconds(), time.Duration(c.to).Seconds()
		}
		if q.alarm != nil {
			told.At = q.alarm.clock.Wall(c.at)
		}
		s.Changes = append(s.Changes, told)
	}
	return s
}

func (c change) cause() string {
	switch c.why {
	case bigWrite:
		return fmt.Sprintf("write of %d bytes", c.n)
	case oversized:
		return "oversized"
	case restored:
		return "idle"
	case newData:
		return "new data"
	case resumed:
		return "resumed"
	case emptyReads:
		return fmt.Sprintf("%d empty reads", c.n)
	case wentIdle:
		return fmt.Sprintf("%d empty reads: idle", c.n)
	case pastThreshold:
		return "past threshold"
	case atMaximum:
		return "data with the capacity at its maximum"
	}
	return ""
}
