package snapshot

import "time"

// Schedule says when whose snapshot is due: that of every channel that is online once an
// interval, evenly spread over it (S1). It is pure: time comes from its caller, in ns, and never
// steps back. It is not safe for concurrent use.
//
// An interval begins with the channels online then, in the order in which they were first seen,
// so that each keeps its place from one interval to the next. What is left of it is shared out
// among those that are left: who goes offline makes the spacing wider. Who comes in between has
// its turn in the same interval where there is room for it without a spacing closer than the
// interval began with, else in the next one (S3). Where nobody was online the first who comes
// begins an interval a thirtieth of one later, so that those who come up with it are in it.
type Schedule struct {
	interval int64

	order  []*turn
	byName map[string]*turn
	online int

	running bool
	waiting bool  // for who comes up with the first one; until then from is when it begins
	end     int64 // of the interval
	space   int64 // between two when it began: the closest
	from    int64 // when the latest was due, or where first is set when the next one is
	first   bool
	left    int // whose turn is still to come
	at      int // where in order the next is looked for
	late    []*turn

	missed uint64
}

// turn is one channel.
type turn struct {
	name   string
	place  int // in order
	online bool
	due    bool // its turn is still to come in this interval
	had    bool // it had its turn in this interval
	gone   bool // forgotten
}

// slack is how much later than due a turn may come without the ones behind it being put off: as
// much as a window of a second stays within a tenth more than the mean.
const slack = int64(100 * time.Millisecond)

// grace is the part of an interval that the first of all channels waits for others.
const grace = 30

// NewSchedule returns a schedule without channels.
func NewSchedule(interval time.Duration) *Schedule {
	return &Schedule{interval: int64(interval), byName: map[string]*turn{}}
}

// Set says that a channel is online, or is not. One that is not known joins.
func (s *Schedule) Set(now int64, name string, online bool) {
	t := s.byName[name]
	if t == nil {
		t = &turn{name: name, place: len(s.order)}
		s.order = append(s.order, t)
		s.byName[name] = t
	}
	if t.online == online {
		return
	}
	t.online = online
	if !online {
		s.online--
		if t.due {
			t.due = false
			s.left--
		}
		return
	}
	s.online++
	switch {
	case s.waiting: // it is in time
	case !s.running:
		s.waiting, s.from = true, now+s.interval/grace
	case !t.had && s.hasRoom(now):
		s.admit(now, t)
	}
}

// Forget takes a channel out for good.
func (s *Schedule) Forget(now int64, name string) {
	if t := s.byName[name]; t != nil {
		s.Set(now, name, false)
		t.gone = true
		delete(s.byName, name)
	}
}

// hasRoom says whether one more turn fits into the interval without a closer spacing.
func (s *Schedule) hasRoom(now int64) bool {
	next := now
	if !s.first {
		next = max(now, s.from+s.space)
	}
	return next+int64(s.left+1)*s.space <= s.end
}

// admit gives a channel its turn in the interval that runs.
func (s *Schedule) admit(now int64, t *turn) {
	t.due = true
	s.left++
	if t.place < s.at {
		s.late = append(s.late, t)
	}
	if s.next() < now { // it is due by now: from here on evenly
		s.from, s.first = now, true
	}
}

// begin begins an interval with the channels online now.
func (s *Schedule) begin(at int64) {
	if len(s.order) > 2*len(s.byName) {
		s.tidy()
	}
	s.running = s.online > 0
	s.left, s.at, s.late = 0, 0, s.late[:0]
	if !s.running {
		return
	}
	for _, t := range s.order {
		t.due, t.had = t.online, false
	}
	s.left = s.online
	s.space = s.interval / int64(s.online)
	s.from, s.first, s.end = at, true, at+s.interval
}

// tidy closes the places of who was forgotten.
func (s *Schedule) tidy() {
	kept := s.order[:0]
	for _, t := range s.order {
		if !t.gone {
			t.place = len(kept)
			kept = append(kept, t)
		}
	}
	clear(s.order[len(kept):])
	s.order = kept
}

// next is when the next turn is due, if one is left.
func (s *Schedule) next() int64 {
	if s.first {
		return s.from
	}
	// Who was held up catches up slowly: a tenth faster than the interval began.
	return s.from + max((s.end-s.from)/int64(s.left+1), s.space-s.space/11)
}

// Next returns when Take has something to do, and false where that is not known: no channel is
// online.
func (s *Schedule) Next() (due int64, ok bool) {
	switch {
	case s.waiting:
		return s.from, true
	case !s.running:
		return 0, false
	case s.left == 0:
		return s.end, true
	}
	return s.next(), true
}

// Take returns the channel whose turn it is, and false where it is nobody's now. It is called
// until then.
func (s *Schedule) Take(now int64) (name string, ok bool) {
	if s.waiting && now >= s.from {
		s.waiting = false
		s.begin(now)
	}
	for s.running {
		switch {
		case s.left == 0 && now < s.end:
			return "", false
		case s.left == 0:
			at := s.end
			if now-at > slack {
				at = now
			}
			s.begin(at)
			continue
		}
		due := s.next()
		if now < due {
			return "", false
		}
		if now-due > slack { // nothing was done for a while: no burst
			due = now - slack
		}
		if due >= s.end {
			s.missed += uint64(s.left) //nolint:gosec // not negative
			s.left = 0
			continue
		}
		s.from, s.first = due, false
		s.left--
		return s.pick(), true
	}
	return "", false
}

// pick returns the next channel whose turn is to come; there is one.
func (s *Schedule) pick() string {
	for ; s.at < len(s.order); s.at++ {
		if t := s.order[s.at]; t.due {
			s.at++
			t.due, t.had = false, true
			return t.name
		}
	}
	for {
		t := s.late[0]
		s.late = s.late[1:]
		if t.due {
			t.due, t.had = false, true
			return t.name
		}
	}
}

// Counts returns how many channels are online, how many of them still have their turn in the
// interval that runs, and how many missed theirs because nothing was done in time.
func (s *Schedule) Counts() (online, left int, missed uint64) { return s.online, s.left, s.missed }
