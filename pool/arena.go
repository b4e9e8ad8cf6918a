package pool

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrArenaFull says that the arena's limit is reached: whoever reads from it is too slow.
var ErrArenaFull = errors.New("arena is full")

// ArenaConfig is an Arena's size. The zero value is ready for one camera.
type ArenaConfig struct {
	Chunk int // bytes in a chunk; default 128 KiB. It doubles when a frame needs more
	Max   int // bytes of all chunks together; default 64 MiB
	// Reserve is where chunks come from and go to as soon as they are empty. Chunk is 96 KiB then
	// by default, less where the reserve has no room for it in one piece, and stays: a larger frame
	// has a chunk of its own size. Nil: the arena keeps its own.
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

const (
	// trimEvery is how many chunks are used up between two looks at what was never needed.
	trimEvery = 256
	// reserveChunk is what a camera of 4 Mbit/s sends between two reads of its socket.
	reserveChunk = 96 << 10
	// leastChunk is how small a chunk from the reserve may be: some frames of such a camera.
	leastChunk = 32 << 10
)

// NewArena returns an empty arena; memory comes with the first frame.
func NewArena(cfg ArenaConfig) *Arena {
	if cfg.Chunk <= 0 {
		cfg.Chunk = 128 << 10
		if cfg.Reserve != nil {
			cfg.Chunk = reserveChunk
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

// Due says whether memory is to come home: frames are on loan, or something came since Freed was last received. Whoever
// was refused and asks in vain has too small a limit.
func (a *Arena) Due() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held() > 0 || len(a.freed) > 0
}

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
	next, err := a.take(n, n)
	if err != nil {
		return err
	}
	a.cur = next
	return nil
}

// take returns an empty chunk with room for n bytes, and for want where that is to be had. Smaller
// ones from before are let go. The caller holds mu.
func (a *Arena) take(n, want int) (*chunk, error) {
	if n > a.max {
		return nil, fmt.Errorf("%w: a frame of %d bytes, limit %d", ErrArenaFull, n, a.max)
	}
	if a.reserve != nil {
		return a.borrow(n, want)
	}
	a.trim()
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

// borrow is take from the reserve. The caller holds mu.
func (a *Arena) borrow(n, want int) (*chunk, error) {
	room := a.max - a.bytes
	c := a.reserve.takeChunk(max(n, min(a.size, leastChunk, room)), max(n, min(max(a.size, want), room)))
	if size := len(c.block.Bytes); a.bytes+size > max(a.max, size) {
		a.reserve.giveChunk(c)
		return nil, fmt.Errorf("%w: %d bytes in %d chunks, limit %d", ErrArenaFull, a.bytes, len(a.chunks), a.max)
	}
	c.arena, c.memory, c.open = a, c.block.Bytes, true
	a.bytes += len(c.memory)
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

// close says that nothing more is carved from c: what is left of it goes back to the reserve. The
// caller holds mu.
func (a *Arena) close(c *chunk) {
	c.open = false
	if c.owed.Add(int64(c.lent)) == 0 {
		a.recycle(c)
		return
	}
	a.cut(c, c.used)
}

// cut gives what c has behind its first n bytes back to the reserve. The caller holds mu.
func (a *Arena) cut(c *chunk, n int) {
	if a.reserve == nil {
		return
	}
	c.block = a.reserve.Cut(c.block, n)
	a.bytes -= len(c.memory) - len(c.block.Bytes)
	c.memory = c.block.Bytes
}

func (a *Arena) recycle(c *chunk) {
	switch {
	case a.reserve != nil:
		a.forget(c)
		a.reserve.giveChunk(c)
		a.tell()
		return
	case len(c.memory) < a.size:
		a.forget(c)
		a.tell()
		return
	}
	c.used, c.lent, c.tray = 0, 0, nil
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
	return ArenaStats{Held: a.held(), Chunks: len(a.chunks), Bytes: a.bytes}
}

// held is how many frames are on loan, the last of a chunk until the chunk is home. The caller holds mu.
func (a *Arena) held() (n int) {
	for _, c := range a.chunks {
		owed := int(c.owed.Load())
		switch {
		case c.open:
			n += owed + c.lent
		case owed > 0:
			n += owed
		case !slices.Contains(a.free, c): // who released the last one waits for mu
			n++
		}
	}
	return n
}
