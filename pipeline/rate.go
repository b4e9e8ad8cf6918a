package pipeline

import (
	"math"
	"sync/atomic"
	"time"
)

// rate measures pictures a second by when they were captured, over windows of a second and
// more. One writer, any readers; it never allocates.
type rate struct {
	began, last int64 // of the window, its first and its latest picture; the writer's own
	count       int
	perSecond   atomic.Uint64 // float64 bits
}

func (r *rate) add(captured int64) {
	if r.began == 0 || captured < r.last {
		r.began, r.last, r.count = captured, captured, 0
		return
	}
	r.last = captured
	r.count++
	if elapsed := captured - r.began; elapsed >= int64(time.Second) {
		r.perSecond.Store(math.Float64bits(float64(r.count) * float64(time.Second) / float64(elapsed)))
		r.began, r.count = captured, 0
	}
}

// restart forgets the window: what comes next follows a hole.
func (r *rate) restart() { r.began = 0 }

func (r *rate) value() float64 { return math.Float64frombits(r.perSecond.Load()) }
