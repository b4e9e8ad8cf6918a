package pipeline

import (
	"fmt"
	"time"
)

// Growth is how a ring's capacity follows the need (R1). A write that is larger than the free
// space doubles the capacity, as often as needed, up to Limit.Bytes; one that needs more than
// that is dropped, up to the next key frame that finds room, and the mark RingFull says so.
type Growth struct {
	Start int // bytes at first, and at least; 0: the queue is no ring
	Step  int // adds so many bytes instead of doubling; 0: doubles

	// Piece is the largest piece of a write: a larger frame is taken piece by piece, each of which
	// may grow the ring by itself. It lies in the arena whole and is handed over whole. Default
	// 4 MiB, or Limit.Bytes where that is less.
	Piece int

	// ShrinkAfter is how long less than a quarter of the capacity must have been used for it to
	// be halved, or lessened by Step. Default 30 s.
	ShrinkAfter time.Duration
}

// Pace is how often a ring is read (R2): the engine's one timer looks at the ring at an interval
// and hands over what is there once it is worth while.
type Pace struct {
	Initial time.Duration // the interval at first, and when data or Env.Resume ends an idle time; default 100 ms
	Floor   time.Duration // the shortest; default 20 ms
	Max     time.Duration // the longest: one that would rise above it makes the ring idle; default 30 s
	Empty   int           // reads in a row that find nothing and double the interval; default 10, at least 2

	// Threshold is the part of the capacity past which a read that finds data halves the interval
	// and hands over at once. So does, without handing over, data in a ring whose capacity is at
	// its maximum. Default 0.75.
	Threshold float64
}

// ring fills in what is not set of a ring.
func (l Limit) ring() Limit {
	l.Frames = orElse(l.Frames, max(64, l.Bytes>>10))
	l.WakeAge = orElse(l.WakeAge, time.Second)
	g, p := &l.Growth, &l.Pace
	g.Piece = orElse(g.Piece, min(4<<20, l.Bytes))
	g.ShrinkAfter = orElse(g.ShrinkAfter, 30*time.Second)
	p.Initial = orElse(p.Initial, 100*time.Millisecond)
	p.Floor = orElse(p.Floor, min(20*time.Millisecond, p.Initial))
	p.Max = orElse(p.Max, max(30*time.Second, p.Initial))
	p.Empty = orElse(p.Empty, 10)
	p.Threshold = orElse(p.Threshold, 0.75)
	return l
}

func orElse[T comparable](v, otherwise T) T {
	if v == *new(T) {
		return otherwise
	}
	return v
}

func (l Limit) validateRing() error {
	g, p := l.Growth, l.Pace
	switch {
	case g.Start < 1 || g.Step < 0 || g.Piece < 1:
		return fmt.Errorf("a ring's sizes: start %d, step %d, piece %d: start and piece are at least 1, step 0 or more", g.Start, g.Step, g.Piece)
	case g.Start > l.Bytes:
		return fmt.Errorf("a ring that starts at %d bytes with a maximum of %d: it starts at most as large", g.Start, l.Bytes)
	case g.Piece > l.Bytes:
		return fmt.Errorf("pieces of %d bytes for a ring of at most %d: a piece is at most as large", g.Piece, l.Bytes)
	case g.ShrinkAfter < 0:
		return fmt.Errorf("a ring that shrinks after %s: 0 or more", g.ShrinkAfter)
	case l.Full != DropUntilKey || l.WakeBytes != 0:
		return fmt.Errorf("a ring drops until the next key frame and wakes by its threshold: policy %s and %d bytes to wake have no place", l.Full, l.WakeBytes)
	case p.Floor < time.Millisecond || p.Floor > p.Initial || p.Initial > p.Max:
		return fmt.Errorf("a ring read every %s at first, every %s at the shortest, every %s at the longest: at least 1ms, and floor ≤ initial ≤ max",
			p.Initial, p.Floor, p.Max)
	case p.Empty < 2:
		return fmt.Errorf("%d empty reads double a ring's interval: at least 2", p.Empty)
	case p.Threshold <= 0 || p.Threshold > 1:
		return fmt.Errorf("a ring's threshold of %v: above 0, at most 1", p.Threshold)
	}
	return nil
}
