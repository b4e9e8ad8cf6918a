package pool

import (
	"fmt"
	"sync/atomic"
)

// Home takes a slot back when its last reference is released. Return is called from
// whichever worker released last, and must not block.
type Home interface {
	Return(s *Slot)
}

// Slot is a piece of memory that its owner lends out as Buffers, one loan at a time.
// A driver makes one for each of its mapped buffers; Buffers and Arena make their own.
type Slot struct {
	home  Home
	state atomic.Uint64 // generation in the upper half, references in the lower
	bytes []byte
	more  *more // nil for most: frames are many
}

// more is what only the memory of a device has.
type more struct {
	owner  any
	number int
	planes [][]byte // memory of its own for each plane; nil where bytes holds them all
}

// SetOwner says whose memory the slot is, and the owner's number for it: by it a driver knows it again,
// for one of its devices to read what another wrote. It is called before the first loan.
func (s *Slot) SetOwner(owner any, number int) {
	s.mustBeHome()
	m := s.extend()
	m.owner, m.number = owner, number
}

// Owner is what SetOwner said; nil where nobody did.
func (s *Slot) Owner() (owner any, number int) {
	if s.more == nil {
		return nil, 0
	}
	return s.more.owner, s.more.number
}

func (s *Slot) extend() *more {
	if s.more == nil {
		s.more = &more{}
	}
	return s.more
}

// NewSlot makes a slot of memory that belongs to home. More than one plane means that the
// planes of a picture lie in separate memory (V4L2 multi-planar).
func NewSlot(home Home, planes ...[]byte) *Slot {
	s := &Slot{home: home}
	s.SetPlanes(planes...)
	return s
}

// SetPlanes replaces the slot's memory. It panics while the slot is on loan.
func (s *Slot) SetPlanes(planes ...[]byte) {
	s.mustBeHome()
	s.bytes = nil
	if s.more != nil {
		s.more.planes = nil
	}
	if len(planes) > 0 {
		s.bytes = planes[0]
	}
	if len(planes) > 1 {
		s.extend().planes = planes
	}
}

// planes are the separate pieces of memory that hold the content; nil where one does.
func (s *Slot) planes() [][]byte {
	if s.more == nil {
		return nil
	}
	return s.more.planes
}

// Lend starts a loan with one reference. It panics while the slot is on loan: an owner
// that lends twice has a bug.
func (s *Slot) Lend() Buffer {
	st := s.state.Add(1)
	if uint32(st) != 1 {
		s.state.Add(^uint64(0))
		panic("pool: slot is still on loan")
	}
	return Buffer{slot: s, gen: uint32(st >> 32)}
}

// OnLoan says whether somebody holds a reference.
func (s *Slot) OnLoan() bool { return uint32(s.state.Load()) != 0 }

func (s *Slot) mustBeHome() {
	if s.OnLoan() {
		panic("pool: slot is still on loan")
	}
}

// Buffer is one reference to bytes on loan. It is passed by value; who holds it owns one
// reference and releases it exactly once. What is shared is read-only. A Buffer whose loan
// has ended panics on every use, even when the memory is on loan again. The zero Buffer
// holds nothing.
type Buffer struct {
	slot *Slot
	gen  uint32
}

// IsZero says whether b holds nothing at all.
func (b Buffer) IsZero() bool { return b.slot == nil }

// Bytes returns the content; of a picture in separate planes, the first.
func (b Buffer) Bytes() []byte {
	b.check()
	return b.slot.bytes
}

// Len returns the length of Bytes.
func (b Buffer) Len() int { return len(b.Bytes()) }

// Planes returns how many separate pieces of memory hold the content: mostly 1.
func (b Buffer) Planes() int {
	b.check()
	return max(1, len(b.slot.planes()))
}

// Plane returns piece i, counted from 0.
func (b Buffer) Plane(i int) []byte {
	b.check()
	planes := b.slot.planes()
	if planes == nil && i == 0 {
		return b.slot.bytes
	}
	return planes[i]
}

// Slot returns the memory behind b, for its owner alone.
func (b Buffer) Slot() *Slot {
	b.check()
	return b.slot
}

// Shorten cuts the content to n bytes. Only the sole holder may call it.
func (b Buffer) Shorten(n int) {
	b.check()
	if refs := uint32(b.slot.state.Load()); refs != 1 {
		panic(fmt.Sprintf("pool: Shorten of a buffer with %d references", refs))
	}
	b.slot.bytes = b.slot.bytes[:n]
}

// Retain adds a reference and returns it.
func (b Buffer) Retain() Buffer {
	for {
		st := b.slot.state.Load()
		if uint32(st>>32) != b.gen || uint32(st) == 0 {
			panic("pool: Retain after the last Release")
		}
		if b.slot.state.CompareAndSwap(st, st+1) {
			return b
		}
	}
}

// Release gives the reference back. The last one sends the memory home.
func (b Buffer) Release() {
	for {
		st := b.slot.state.Load()
		if uint32(st>>32) != b.gen || uint32(st) == 0 {
			panic("pool: Release after the last Release")
		}
		next := st - 1
		if uint32(next) == 0 {
			next += 1 << 32
		}
		if !b.slot.state.CompareAndSwap(st, next) {
			continue
		}
		if uint32(next) == 0 {
			b.slot.home.Return(b.slot)
		}
		return
	}
}

func (b Buffer) check() {
	if st := b.slot.state.Load(); uint32(st>>32) != b.gen || uint32(st) == 0 {
		panic("pool: use of a buffer after its last Release")
	}
}
