package pool

import (
	"context"
	"fmt"
)

// Buffers is a fixed set of equal buffers, allocated once, handed out and taken back first
// in, first out (P3). It is safe for concurrent use.
type Buffers struct {
	size int
	all  []*Slot
	free chan *Slot
}

// NewBuffers allocates count buffers of size bytes each, in one piece of memory.
func NewBuffers(count, size int) (*Buffers, error) {
	if count < 1 || size < 1 {
		return nil, fmt.Errorf("a set of %d buffers of %d bytes: both must be at least 1", count, size)
	}
	p := &Buffers{size: size, free: make(chan *Slot, count)}
	memory := make([]byte, count*size)
	for i := range count {
		s := NewSlot(p, memory[i*size:(i+1)*size:(i+1)*size])
		s.SetOwner(p, i)
		p.all = append(p.all, s)
		p.free <- s
	}
	return p, nil
}

// Take waits for a free buffer and returns it at its full size, its content undefined.
// The only error is the context's.
func (p *Buffers) Take(ctx context.Context) (Buffer, error) {
	if b, ok := p.TryTake(); ok {
		return b, nil
	}
	select {
	case s := <-p.free:
		return p.lend(s), nil
	case <-ctx.Done():
		return Buffer{}, context.Cause(ctx)
	}
}

// TryTake returns a free buffer, or false where every one is on loan.
func (p *Buffers) TryTake() (Buffer, bool) {
	select {
	case s := <-p.free:
		return p.lend(s), true
	default:
		return Buffer{}, false
	}
}

func (p *Buffers) lend(s *Slot) Buffer {
	s.bytes = s.bytes[:p.size]
	return s.Lend()
}

// Return implements Home.
func (p *Buffers) Return(s *Slot) { p.free <- s }

// Count returns how many buffers there are, Held how many of them are on loan.
func (p *Buffers) Count() int { return len(p.all) }

// Held returns how many buffers are on loan.
func (p *Buffers) Held() int { return len(p.all) - len(p.free) }

// Size returns the bytes in one buffer.
func (p *Buffers) Size() int { return p.size }
