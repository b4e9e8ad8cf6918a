package pool

import "sync/atomic"

// chunk is memory that frames are cut from one after the other.
type chunk struct {
	arena  *Arena
	memory []byte
	block  Block // memory, where it is a reserve's
	used   int
	slots  *tray // the first
	tray   *tray // the one in use; nil before the first frame
	lent   int
	open   bool // somebody carves from it; the arena's mu guards changes
	// owed counts releases down from zero while the chunk is open; closing it adds what was
	// lent, so that it is then the frames on loan. That saves an atomic operation a frame.
	owed atomic.Int64
	next *chunk // of those in the reserve
}

// tray is some slots of a chunk. An arena's own chunk keeps them; one from a reserve gives them back
// with its memory, so that there are as many as frames and not as the most that each chunk ever had.
type tray struct {
	next  *tray
	slots [traySlots]Slot
}

const traySlots = 8

// lend starts a loan of n bytes at start. The caller carves from the chunk and holds the
// arena's mu.
func (c *chunk) lend(start, n int) Buffer {
	i := uint(c.lent) % traySlots
	if i == 0 {
		c.turnTray()
	}
	s := &c.tray.slots[i]
	c.lent++
	s.bytes = c.memory[start : start+n : start+n]
	return s.Lend()
}

// turnTray goes on to the chunk's next tray.
func (c *chunk) turnTray() {
	at := &c.slots
	if c.tray != nil {
		at = &c.tray.next
	}
	if *at == nil {
		*at = c.arena.reserve.takeTray()
		for i := range (*at).slots {
			(*at).slots[i].home = c
		}
	}
	c.tray = *at
}

// Return implements Home.
func (c *chunk) Return(*Slot) {
	if c.owed.Add(-1) == 0 {
		a := c.arena
		a.mu.Lock()
		a.recycle(c)
		a.mu.Unlock()
	}
}

// takeChunk returns a chunk with a block as Take returns it.
func (r *Reserve) takeChunk(least, want int) *chunk {
	block := r.Take(least, want)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.chunks
	if c == nil {
		c = &chunk{}
	}
	r.chunks, c.next, c.block = c.next, nil, block
	return c
}

// giveChunk takes a chunk back, all of whose frames were released.
func (r *Reserve) giveChunk(c *chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.give(c.block)
	if c.tray != nil {
		c.tray.next, r.trays = r.trays, c.slots
	}
	*c = chunk{next: r.chunks}
	r.chunks = c
}

// takeTray returns an empty tray; a nil Reserve makes it.
func (r *Reserve) takeTray() *tray {
	if r == nil {
		return &tray{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.trays
	if t == nil {
		return &tray{}
	}
	r.trays, t.next = t.next, nil
	return t
}
