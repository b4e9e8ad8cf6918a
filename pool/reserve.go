package pool

import (
	"math/bits"
	"sync"
)

// Reserve is memory that many arenas share: a chunk that one of them has no more use for is the
// next one's, still warm in the processor's cache. So the need is that of all channels together at
// one time, and not the sum of each one's worst. On Linux the memory lies outside the heap, where
// the garbage collector neither counts nor doubles it. It is safe for concurrent use.
type Reserve struct {
	mu       sync.Mutex
	classes  [maxClass - minClass + 1]class
	untilCut int
	stats    ReserveStats
}

// class is the blocks of one size.
type class struct {
	free    [][]byte // the last one given back is the first one taken
	cold    [][]byte // their content went back to the system
	surplus int      // the least number of free ones since the last trim
}

const (
	minClass = 12 // of a block's size, as a power of two
	maxClass = 30
	// trimReserve is how many blocks are taken between two looks at what was never needed.
	trimReserve = 512
)

// NewReserve returns an empty reserve; memory comes with the first need.
func NewReserve() *Reserve { return &Reserve{untilCut: trimReserve} }

// Take returns a block of at least n bytes, content undefined, its length a power of two of 4 KiB
// or more. A nil Reserve takes it from the heap.
func (r *Reserve) Take(n int) []byte {
	k := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if r == nil || k > maxClass {
		return make([]byte, max(n, 1<<min(k, maxClass)))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trim()
	c := &r.classes[k-minClass]
	block := pop(&c.free)
	if block != nil {
		c.surplus = min(c.surplus, len(c.free))
	} else {
		c.surplus = 0
		if block = pop(&c.cold); block == nil {
			block = mapBlock(1 << k)
			r.stats.Mapped += 1 << k
		}
		r.stats.Held += 1 << k
	}
	r.stats.Lent += 1 << k
	return block
}

// Give takes a block back that Take returned, whole.
func (r *Reserve) Give(block []byte) {
	k := bits.Len(uint(len(block))) - 1
	if r == nil || k > maxClass || k < minClass || len(block) != 1<<k {
		return // the collector's
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Lent -= len(block)
	c := &r.classes[k-minClass]
	c.free = append(c.free, block)
}

func pop(blocks *[][]byte) []byte {
	last := len(*blocks) - 1
	if last < 0 {
		return nil
	}
	block := (*blocks)[last]
	(*blocks)[last] = nil
	*blocks = (*blocks)[:last]
	return block
}

// trim gives back to the system what no need has touched for trimReserve blocks: those at the
// bottom. Their addresses stay, so that a slice somebody forgot reads nonsense and faults
// nowhere. The caller holds mu.
func (r *Reserve) trim() {
	if r.untilCut--; r.untilCut > 0 {
		return
	}
	r.untilCut = trimReserve
	for i := range r.classes {
		c := &r.classes[i]
		for _, block := range c.free[:c.surplus] {
			chill(block)
			r.stats.Held -= len(block)
		}
		c.cold = append(c.cold, c.free[:c.surplus]...)
		n := copy(c.free, c.free[c.surplus:])
		clear(c.free[n:])
		c.free = c.free[:n]
		c.surplus = n
	}
}

// Release gives all that is not lent back to the system.
func (r *Reserve) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.classes {
		c := &r.classes[i]
		for _, block := range c.free {
			r.stats.Held -= len(block)
		}
		for _, block := range append(c.free, c.cold...) {
			unmapBlock(block)
			r.stats.Mapped -= len(block)
		}
		*c = class{}
	}
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
