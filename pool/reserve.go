package pool

import (
	"os"
	"slices"
	"sync"
)

// Reserve is memory that many arenas share: what one of them has no more use for is the next one's.
// So the need is that of all channels together at one time, and not the sum of each one's worst. On
// Linux the memory lies outside the heap, where the garbage collector neither counts nor doubles it.
// It is safe for concurrent use.
type Reserve struct {
	unit int // bytes; what is lent is a multiple

	mu    sync.Mutex
	spans []*span
	stats ReserveStats
	clock int // the span that was looked at last for what nobody needs

	peak, peakBefore int // the most that was lent since the last turn, and before it
	taken            int // bytes since the last turn

	chunks *chunk // those that no arena has; they keep no memory
	trays  *tray
}

const (
	// spanSize is how much is asked of the system at once. Only what is used of it costs memory.
	spanSize = 4 << 20
	// minUnit is a page on most machines.
	minUnit = 4 << 10
	// turns is how often what is lent is taken anew while its peak is remembered. It is a few
	// seconds for a recorder, in which each of its cameras had a key frame.
	turns = 4
	// spare is the part of the peak that may be held beyond it, so that little moves to and fro
	// between the system and us.
	spare = 6
	// minSpare is its least, in bytes.
	minSpare = 128 << 10
	// piecesAtOnce is how much whoever takes a block gives back to the system; the next one goes on.
	piecesAtOnce = 8
)

// NewReserve returns an empty reserve; memory comes with the first need.
func NewReserve() *Reserve { return &Reserve{unit: max(minUnit, os.Getpagesize())} }

// Block is memory on loan from a reserve. The zero Block is none.
type Block struct {
	// Bytes is the memory, content undefined.
	Bytes []byte

	span *span // nil: it is the collector's
	at   int   // the first of its units there
}

// Take returns a block of at least least bytes and at most want, rounded up to whole units: more
// than least as far as it is there in one piece. A nil Reserve takes want from the heap.
func (r *Reserve) Take(least, want int) Block {
	want = max(least, want, 1)
	if r == nil {
		return Block{Bytes: make([]byte, want)}
	}
	r.mu.Lock()
	b := r.take(r.inUnits(max(least, 1)), r.inUnits(want))
	idle := r.idle()
	r.mu.Unlock()
	for pieces := 1; idle.span != nil; pieces++ {
		idle = r.chill(idle, pieces < piecesAtOnce)
	}
	return b
}

// inUnits returns how many units hold n bytes.
func (r *Reserve) inUnits(n int) int { return (n + r.unit - 1) / r.unit }

// take is Take in units. The first place that will do is taken, so that what is lent stays together
// at the front. The caller holds mu.
func (r *Reserve) take(least, want int) Block {
	for _, s := range r.spans {
		if at, units := s.find(least, want); units > 0 {
			return r.lend(s, at, units)
		}
	}
	size := (want*r.unit + spanSize - 1) / spanSize * spanSize
	s := newSpan(mapBlock(size), r.unit)
	r.spans = append(r.spans, s)
	r.stats.Mapped += size
	return r.lend(s, 0, want)
}

func (r *Reserve) lend(s *span, at, units int) Block {
	from, to := at*r.unit, (at+units)*r.unit
	r.stats.Held += r.unit * s.lend(at, at+units)
	r.stats.Lent += to - from
	r.taken += to - from
	r.peak = max(r.peak, r.stats.Lent)
	return Block{Bytes: s.memory[from:to:to], span: s, at: at}
}

// idle takes out what is held beyond what was lent at one time lately and a spare: a part of it, for
// the next block goes on. The caller holds mu, and calls chill with it afterwards.
func (r *Reserve) idle() Block {
	if r.taken/turns > r.stats.Lent {
		r.taken, r.peakBefore, r.peak = 0, r.peak, r.stats.Lent
	}
	peak := max(r.peak, r.peakBefore)
	over := r.stats.Held - peak - max(peak/spare, minSpare)
	if over < max(minSpare/2, leastIdle*r.unit) {
		return Block{}
	}
	for range 4 {
		r.clock = (r.clock + 1) % len(r.spans)
		s := r.spans[r.clock]
		if at, end, ok := s.idle(over / r.unit); ok {
			r.stats.Held -= r.unit * (end - at)
			return Block{Bytes: s.memory[at*r.unit : end*r.unit], span: s, at: at}
		}
	}
	return Block{}
}

// chill gives the memory behind b back to the system. Its addresses stay, so that a slice somebody
// forgot reads nonsense and faults nowhere. Nobody waits for it. Where it is
// to go on it returns what idle says then.
func (r *Reserve) chill(b Block, goOn bool) Block {
	chill(b.Bytes)
	r.mu.Lock()
	defer r.mu.Unlock()
	b.span.makeFree(b.at, b.at+len(b.Bytes)/r.unit)
	if !goOn {
		return Block{}
	}
	return r.idle()
}

// Give takes a block back. It may be given back once.
func (r *Reserve) Give(b Block) {
	if r == nil || b.span == nil {
		return // the collector's
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.give(b)
}

func (r *Reserve) give(b Block) {
	b.span.giveBack(b.at, b.at+len(b.Bytes)/r.unit)
	r.stats.Lent -= len(b.Bytes)
}

// Cut gives back what of b lies behind its first n bytes, in whole units, and returns the rest,
// which is what is to be given back later.
func (r *Reserve) Cut(b Block, n int) Block {
	if r == nil || b.span == nil {
		return b
	}
	keep := r.inUnits(n) * r.unit
	if keep >= len(b.Bytes) {
		return b
	}
	r.Give(Block{Bytes: b.Bytes[keep:], span: b.span, at: b.at + keep/r.unit})
	b.Bytes = b.Bytes[:keep:keep]
	return b
}

// Release gives all that is not lent back to the system.
func (r *Reserve) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = slices.DeleteFunc(r.spans, func(s *span) bool {
		whole := s.free.count(0, s.units) == s.units
		if whole {
			r.stats.Held -= r.unit * s.warm.count(0, s.units)
			r.stats.Mapped -= len(s.memory)
			unmapBlock(s.memory)
			return true
		}
		clear(s.recent)
		for at, end, ok := s.idle(s.units); ok; at, end, ok = s.idle(s.units) {
			r.stats.Held -= r.unit * (end - at)
			chill(s.memory[at*r.unit : end*r.unit])
			s.makeFree(at, end)
		}
		return false
	})
	r.clock, r.peak, r.peakBefore = 0, r.stats.Lent, 0
	r.chunks, r.trays = nil, nil
}

// ReserveStats is what a reserve holds, in bytes.
type ReserveStats struct {
	Lent   int `json:"lent"`   // in use
	Held   int `json:"held"`   // in use or ready to be used: what it costs in memory
	Mapped int `json:"mapped"` // addresses, those without memory behind them too
}

// Stats returns what the reserve holds now.
func (r *Reserve) Stats() ReserveStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}
