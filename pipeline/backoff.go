package pipeline

import (
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait before what fell is tried again: First, then twice as long each
// time up to Max, each time up to Jitter of itself less, so that many do not return at once.
type Backoff struct {
	First  time.Duration // default 1 s (P8)
	Max    time.Duration // default 30 s
	Jitter float64       // 0 to 1; default 0.2
}

func (b Backoff) withDefaults() Backoff {
	if b.First <= 0 {
		b.First = time.Second
	}
	if b.Max <= 0 {
		b.Max = 30 * time.Second
	}
	if b.Jitter <= 0 {
		b.Jitter = 0.2
	}
	return b
}

// delay returns the wait before try n, counted from 0.
func (b Backoff) delay(n int) time.Duration {
	d := b.Max
	if n < 32 && b.First<<n > 0 {
		d = min(b.Max, b.First<<n)
	}
	return d - time.Duration(float64(d)*b.Jitter*rand.Float64()) //nolint:gosec // not a secret
}
