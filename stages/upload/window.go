package upload

import (
	"math/bits"
	"time"
)

// window is how many uploads may be under way at once. It grows by one for each upload that was
// about as fast as when the link is free, by one for each windowful where they were slower or the
// store has asked to slow down, and shrinks by a part where the link or the store is the bottleneck: the store asks
// to slow down, an attempt times out, or uploads take twice as long as ones of their size do when
// the link is free. Where only the store's own delay limits, it stays at its most.
type window struct {
	most  float64
	limit float64
	base  [bases]time.Duration // of an upload of that size when the link is free
	cut   int64                // Mono of the latest cut
	cuts  uint64
	asked bool // by the store, or by attempts that failed, to be fewer: it grows slowly back to its most
}

// bases is how many sizes are told apart: powers of two from 32 KiB on.
const (
	bases     = 24
	smallest  = 15 // 1 << 15 is 32 KiB
	inflation = 2
	idle      = 1.25 // times the best is a link on which nobody waits
	few       = 4
	// settle is how long a cut is left to show its effect.
	settle = time.Second
)

func newWindow(most int) window { return window{most: float64(most), limit: float64(most)} }

func (w *window) now() int { return max(1, int(w.limit)) }

// went notes an upload that went well: its size, how long the store took, how many were under way
// with it, and when it ended.
func (w *window) went(size int64, took time.Duration, with int, now int64) {
	base := &w.base[min(bases-1, max(0, bits.Len64(uint64(size))-smallest))] //nolint:gosec // a size
	switch {
	case *base == 0 || took < *base:
		*base = took
	case w.limit <= few: // it is not we who make it slow: a link that has become slower is learnt
		*base += (took - *base) / 16
	}
	if took > inflation*(*base)+50*time.Millisecond {
		fitting := inflation * float64(*base) / float64(took)
		w.shrink(min(0.9, max(0.5, fitting)), max(settle, took), now)
		return
	}
	step := 1 / w.limit
	if float64(took) <= idle*float64(*base)+float64(10*time.Millisecond) && 2*with >= w.now() && !w.asked {
		step = 1 // it was not the link that made some slow, if there was a cut, but a machine out of breath
	}
	w.limit = min(w.most, w.limit+step)
	w.asked = w.asked && w.limit < w.most
}

// failed notes an attempt that failed for a reason that fewer at once may cure.
func (w *window) failed(k Kind, now int64) {
	switch k { //nolint:exhaustive // the others say nothing about the link
	case Throttled, TimedOut:
		w.asked = true
		w.shrink(0.5, settle, now)
	case Unreachable, Broken:
		w.asked = true
		w.shrink(0.7, settle, now)
	}
}

// shrink cuts once for all the attempts that suffered from the same.
func (w *window) shrink(factor float64, pause time.Duration, now int64) {
	if w.cuts > 0 && now-w.cut < int64(pause) {
		return
	}
	w.cut = now
	w.cuts++
	w.limit = max(1, w.limit*factor)
}
