package hal

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait before another attempt: First, then twice as long each time up to
// Max, each time up to Jitter of itself less, so that many do not return at once.
type Backoff struct {
	First  time.Duration
	Max    time.Duration
	Jitter float64        // 0 to 1
	Random func() float64 // chance, from 0 up to 1; default: random
}

// Or returns b with what is not set in it as in d.
func (b Backoff) Or(d Backoff) Backoff {
	if b.First == 0 {
		b.First = d.First
	}
	if b.Max == 0 {
		b.Max = d.Max
	}
	if b.Jitter == 0 {
		b.Jitter = d.Jitter
	}
	if b.Random == nil {
		b.Random = d.Random
	}
	return b
}

// Before returns the wait before try n, counted from 0.
func (b Backoff) Before(n int) time.Duration {
	d := b.Max
	if n < 32 && b.First<<n > 0 {
		d = min(b.Max, b.First<<n)
	}
	chance := b.Random
	if chance == nil {
		chance = rand.Float64
	}
	return d - time.Duration(float64(d)*b.Jitter*chance())
}
