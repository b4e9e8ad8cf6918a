package pool

import "fmt"

// Builder writes one frame after the other into an arena, each of a size that is not known
// before its end (an access unit that arrives in packets). One goroutine uses it. The frame
// grows where it lies; it is copied only where its chunk ends.
type Builder struct {
	arena *Arena
	chunk *chunk // where the open frame lies; the builder holds it
	start int
	n     int
}

// NewBuilder returns a builder that carves its own chunks from a, so that nobody else's
// frames stand in the way of the open one's growth.
func NewBuilder(a *Arena) *Builder { return &Builder{arena: a} }

// Len returns the bytes of the open frame.
func (b *Builder) Len() int { return b.n }

// Bytes returns the open frame so far, valid until the next call.
func (b *Builder) Bytes() []byte {
	if b.chunk == nil {
		return nil
	}
	return b.chunk.memory[b.start : b.start+b.n]
}

// Append adds p to the open frame.
func (b *Builder) Append(p []byte) error {
	space, err := b.Grow(len(p))
	if err != nil {
		return err
	}
	copy(space, p)
	return nil
}

// Grow adds n bytes to the open frame and returns them, to be filled in. On ErrArenaFull
// the open frame stays as it was.
func (b *Builder) Grow(n int) ([]byte, error) {
	if b.chunk == nil || b.start+b.n+n > len(b.chunk.memory) {
		if err := b.move(n); err != nil {
			return nil, err
		}
	}
	at := b.start + b.n
	b.n += n
	return b.chunk.memory[at : at+n : at+n], nil
}

// move takes a chunk with room for the open frame and n bytes more, and where the frame is large for
// as much again.
func (b *Builder) move(n int) error {
	a := b.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.n == 0 { // first: it may be the chunk that comes home to be taken again
		b.leave()
	}
	next, err := a.take(b.n+n, 2*b.n+n)
	if err != nil {
		return err
	}
	copy(next.memory, b.Bytes())
	b.leave()
	b.chunk, b.start = next, 0
	return nil
}

// leave closes the chunk, without the open frame. The caller holds the arena's mu.
func (b *Builder) leave() {
	if b.chunk != nil {
		b.chunk.used = b.start
		b.arena.close(b.chunk)
		b.chunk = nil
	}
}

// Settle is called before a pause: where much is left of the chunk it goes back to the reserve, for
// others to use in the meantime. The open frame stays.
func (b *Builder) Settle() {
	a := b.arena
	if a.reserve == nil || b.chunk == nil || len(b.chunk.memory)-b.start-b.n < a.size/2 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut(b.chunk, b.start+b.n)
}

// Truncate cuts the open frame to its first n bytes.
func (b *Builder) Truncate(n int) {
	if n < 0 || n > b.n {
		panic(fmt.Sprintf("pool: Truncate to %d of %d bytes", n, b.n))
	}
	b.n = n
}

// Finish closes the open frame and returns it; the next one starts empty.
func (b *Builder) Finish() (Buffer, error) {
	if b.chunk == nil {
		if err := b.move(0); err != nil {
			return Buffer{}, err
		}
	}
	b.arena.mu.Lock()
	loan := b.chunk.lend(b.start, b.n)
	b.arena.mu.Unlock()
	b.start, b.n = b.start+b.n, 0
	return loan, nil
}

// Discard throws the open frame away.
func (b *Builder) Discard() { b.n = 0 }

// Close throws the open frame away and gives its chunk back.
func (b *Builder) Close() {
	b.n = 0
	b.arena.mu.Lock()
	b.leave()
	b.arena.mu.Unlock()
}
