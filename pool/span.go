package pool

// span is memory that is lent in runs of units. A unit that is free has memory behind it or, being
// cold, only its addresses.
type span struct {
	memory []byte
	unit   int // bytes
	units  int
	free   bitSet
	warm   bitSet // free, with memory behind it
	recent bitSet // lent at some time since chill last came by
	most   int    // no run of free units is longer
}

func newSpan(memory []byte, unit int) *span {
	n := len(memory) / unit
	s := &span{
		memory: memory, unit: unit, units: n, most: n,
		free: newBitSet(n), warm: newBitSet(n), recent: newBitSet(n),
	}
	s.free.add(0, n)
	return s
}

// find returns the first run of at least least free units, and at most want of it; 0 units where
// there is none.
func (s *span) find(least, want int) (at, units int) {
	if s.most < least {
		return 0, 0
	}
	most := 0
	for at = s.free.next(0, s.units); at < s.units; at = s.free.next(at+units, s.units) {
		units = s.free.nextGap(at, min(at+want, s.units)) - at
		if units >= least {
			return at, units
		}
		most = max(most, units)
	}
	s.most = most
	return 0, 0
}

// lend takes the units at..end-1 and returns how many of them had no memory.
func (s *span) lend(at, end int) (cold int) {
	cold = end - at - s.warm.count(at, end)
	s.free.remove(at, end)
	s.warm.remove(at, end)
	s.recent.add(at, end)
	return cold
}

// giveBack makes the units at..end-1 free. They are one run with those beside them.
func (s *span) giveBack(at, end int) {
	if s.free.next(at, end) < end {
		panic("pool: a block was given back twice")
	}
	s.warm.add(at, end)
	s.makeFree(at, end)
}

// idle takes a run of units out that were not lent lately, at most most of them, so that their memory
// can go back to the system; ok is false where there is none. It is one hand of a clock that goes
// from span to span: what it passes by is taken the next time, if it was not lent in between.
func (s *span) idle(most int) (at, end int, ok bool) {
	for at = s.warm.next(0, s.units); at < s.units; at = s.warm.next(end, s.units) {
		if s.recent.has(at) {
			end = s.recent.nextGap(at, s.units)
			continue
		}
		end = s.recent.next(at, s.warm.nextGap(at, min(at+most, s.units)))
		if end-at >= leastIdle {
			s.free.remove(at, end)
			s.warm.remove(at, end)
			return at, end, true
		}
	}
	for i := range s.recent {
		s.recent[i] &^= s.free[i]
	}
	return 0, 0, false
}

// leastIdle is how many units are worth a call of the system.
const leastIdle = 2

// makeFree makes the units at..end-1 free, which have no memory any more.
func (s *span) makeFree(at, end int) {
	s.free.add(at, end)
	s.most = max(s.most, s.free.nextGap(end, s.units)-s.free.runStart(at))
}
