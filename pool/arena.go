package pool

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrArenaFull says that the arena's limit is reached: whoever reads from it is too slow.
var ErrArenaFull = errors.New("arena is full")

// ArenaConfig is an Arena's size. The zero value is ready for one camera.
type ArenaConfig struct {
	Chunk int // bytes in a chunk; default 128 KiB. It doubles when a frame needs more
	Max   int // bytes of all chunks together; default 64 MiB
	// Reserve is where chunks come from and go to as soon as they are empty. Chunk is 64 KiB then
	// by default, and stays: a larger frame has a chunk of its own size. Nil: the arena keeps its own.
	Reserve *Reserve
}

// Arena carves frames of any size from recycled chunks. A chunk comes home when the last of
// its frames is released, so what is held long keeps its whole chunk: copy that out. In the
// steady state nothing is allocated. It is safe for concurrent use.
type Arena struct {
	max     int
	reserve *Reserve

	mu       sync.Mutex
	size     int // of the next chunk
	cur      *chunk
	free     []*chunk
	surplus  int // the least number of free chunks since the last trim
	untilCut int
	bytes    int // of every chunk, free ones too
	chunks   []*chunk
	freed    chan struct{} // holds one token: something came home since it was last taken
}

// trimEvery is how many chunks are used up between two looks at what was never needed.
const trimEvery = 256

// chunk is memory that frames are cut from one after the other. Its slots are reused with it.
type chunk struct {
	arena  *Arena
	memory []byte
	used   int
	slots  []*Slot
	lent   int
	open   bool // somebody carves from it; the arena's mu guards changes
	// owed counts releases down from zero while the chunk is open; closing it adds what was
	// lent, so that it is then the frames on loan. That saves an atomic operation a frame.
	owed atomic.Int64
}

// NewArena returns an empty arena; memory comes with the first frame.
func NewArena(cfg ArenaConfig) *Arena {
	if cfg.Chunk <= 0 {
		cfg.Chunk = 128 << 10
		if cfg.Reserve != nil {
			cfg.Chunk = 64 << 10
		}
	}
	if cfg.Max <= 0 {
		cfg.Max = 64 << 20
	}
	return &Arena{max: cfg.Max, reserve: cfg.Reserve, size: min(cfg.Chunk, cfg.Max), untilCut: trimEvery, freed: make(chan struct{}, 1)}
}

// Freed receives after a chunk or the last frame on loan came home: whoever was refused with
// ErrArenaFull and can wait then asks again. One goroutine waits.
func (a *Arena) Freed() <-chan struct{} { return a.freed }

func (a *Arena) tell() {
	select {
	case a.freed <- struct{}{}:
	default:
	}
}

// Get returns a buffer of n bytes, content undefined. It fails with ErrArenaFull where the
// limit leaves no room, and never blocks.
func (a *Arena) Get(n int) (Buffer, error) {
	if n < 0 {
		return Buffer{}, fmt.Errorf("a frame of %d bytes", n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.fit(n); err != nil {
		return Buffer{}, err
	}
	c := a.cur
	c.used += n
	return c.lend(c.used-n, n), nil
}

// fit makes cur a chunk with room for n bytes. The caller holds mu.
func (a *Arena) fit(n int) error {
	if a.cur != nil && len(a.cur.memory)-a.cur.used >= n {
		return nil
	}
	if old := a.cur; old != nil { // first: it may be the chunk that comes home to be taken again
		a.cur = nil
		a.close(old)
	}
	next, err := a.take(n)
	if err != nil {
		return err
	}
	a.cur = next
	return nil
}

// take returns an empty chunk with room for n bytes. Smaller ones from before are let go.
// The caller holds mu.
func (a *Arena) take(n int) (*chunk, error) {
	if n > a.max {
		return nil, fmt.Errorf("%w: a frame of %d bytes, limit %d", ErrArenaFull, n, a.max)
	}
	a.trim()
	if a.reserve != nil {
		return a.borrow(n)
	}
	for a.size < n {
		a.size = min(2*a.size, a.max)
	}
	for len(a.free) > 0 {
		last := len(a.free) - 1
		c := a.free[last]
		a.free = a.free[:last]
		a.surplus = min(a.surplus, len(a.free))
		if len(c.memory) >= a.size {
			c.open = true
			return c, nil
		}
		a.forget(c)
	}
	a.surplus = 0
	if a.bytes+a.size > a.max {
		return nil, fmt.Errorf("%w: %d bytes in %d chunks, limit %d", ErrArenaFull, a.bytes, len(a.chunks), a.max)
	}
	c := &chunk{arena: a, memory: make([]byte, a.size), open: true}
	a.bytes += a.size
	a.chunks = append(a.chunks, c)
	return c, nil
}

// borrow is take from the reserve. An empty chunk keeps its slots and waits without memory.
// The caller holds mu.
func (a *Arena) borrow(n int) (*chunk, error) {
	memory := a.reserve.Take(max(n, min(a.size, a.max-a.bytes)))
	if a.bytes+len(memory) > max(a.max, len(memory)) {
		a.reserve.Give(memory)
		return nil, fmt.Errorf("%w: %d bytes in %d chunks, limit %d", ErrArenaFull, a.bytes, len(a.chunks), a.max)
	}
	a.bytes += len(memory)
	c := &chunk{arena: a}
	if last := len(a.free) - 1; last >= 0 {
		c = a.free[last]
		a.free[last] = nil
		a.free = a.free[:last]
	}
	a.surplus = min(a.surplus, len(a.free))
	c.memory, c.open = memory, true
	a.chunks = append(a.chunks, c)
	return c, nil
}

// trim lets chunks go that no need has touched for trimEvery chunks.
func (a *Arena) trim() {
	if a.untilCut--; a.untilCut > 0 {
		return
	}
	for range a.surplus {
		last := len(a.free) - 1
		a.forget(a.free[last])
		a.free = a.free[:last]
	}
	a.untilCut, a.surplus = trimEvery, len(a.free)
}

func (a *Arena) forget(c *chunk) {
	a.bytes -= len(c.memory)
	a.chunks = slices.DeleteFunc(a.chunks, func(o *chunk) bool { return o == c })
}

// lend starts a loan of n bytes at start. The caller carves from the chunk and holds the
// arena's mu.
func (c *chunk) lend(start, n int) Buffer {
	if c.lent == len(c.slots) {
		c.addSlots()
	}
	s := c.slots[c.lent]
	c.lent++
	s.bytes = c.memory[start : start+n : start+n]
	return s.Lend()
}

// addSlots makes half as many slots again as there are, in one piece: there are many chunks.
func (c *chunk) addSlots() {
	more := make([]Slot, max(4, len(c.slots)/2))
	for i := range more {
		more[i].home = c
		c.slots = append(c.slots, &more[i])
	}
}

// Return implements Home.
func (c *chunk) Return(*Slot) {
	if c.owed.Add(-1) == 0 {
		c.arena.mu.Lock()
		c.arena.recycle(c)
		c.arena.mu.Unlock()
	}
}

// close says that nothing more is carved from c. The caller holds mu.
func (a *Arena) close(c *chunk) {
	c.open = false
	if c.owed.Add(int64(c.lent)) == 0 {
		a.recycle(c)
	}
}

func (a *Arena) recycle(c *chunk) {
	c.used, c.lent = 0, 0
	switch {
	case a.reserve != nil:
		a.forget(c)
		a.reserve.Give(c.memory)
		c.memory = nil
	case len(c.memory) < a.size:
		a.forget(c)
		a.tell()
		return
	}
	a.free = append(a.free, c)
	a.tell()
}

// ArenaStats is what an arena holds now.
type ArenaStats struct {
	Held   int // frames on loan
	Chunks int // chunks, free ones too
	Bytes  int // of all chunks
}

// Stats returns what the arena holds now.
func (a *Arena) Stats() ArenaStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := ArenaStats{Chunks: len(a.chunks), Bytes: a.bytes}
	for _, c := range a.chunks {
		s.Held += int(c.owed.Load())
		if c.open {
			s.Held += c.lent
		}
	}
	return s
}
