package hal

import (
	"math"
	"sync"
	"time"
)

// Clock is the one place that reads time. Mono orders and measures; Wall only labels. It maps
// one to the other and never lets the label jump for an error under a second: that is slewed
// at 500 ppm (NTP's own rate). A larger one opens a new anchor.
type Clock struct {
	begun instant

	mu     sync.Mutex
	anchor Anchor
}

// Anchor ties wall time to the monotonic clock. Its number rises whenever the wall clock was
// stepped; times of different anchors do not compare.
type Anchor struct {
	Number uint32
	Mono   int64
	Wall   time.Time
}

const (
	slewPPM   = 500
	stepLimit = time.Second
)

// NewClock returns a clock anchored at the present.
func NewClock() *Clock {
	c := &Clock{begun: met(time.Now, monotonic)} //nolint:forbidigo // this is the clock
	c.anchor = Anchor{Number: 1, Mono: c.begun.ns, Wall: c.begun.at.Round(0)}
	return c
}

// Mono returns CLOCK_MONOTONIC in ns, the clock of Stamp.Mono.
func (c *Clock) Mono() int64 {
	return c.begun.ns + int64(time.Since(c.begun.at)) //nolint:forbidigo // this is the clock
}

// instant is one moment on Go's clock and on CLOCK_MONOTONIC.
type instant struct {
	at time.Time
	ns int64
}

const (
	near  = time.Microsecond // between the two readings of an instant
	tries = 100              // to read both without being interrupted
)

// met reads two clocks at the same moment. One is read after the other, and whoever is interrupted
// in between has them apart by that: the nearest of some tries counts. What comes of it is behind
// monotonic by less than they were apart, and never ahead: no frame gets a time that is still to come.
func met(now func() time.Time, monotonic func() int64) (best instant) {
	least := time.Duration(math.MaxInt64)
	for range tries {
		before, ns, after := now(), monotonic(), now()
		if apart := after.Sub(before); apart < least {
			best, least = instant{after, ns}, apart
		}
		if least <= near {
			break
		}
	}
	return best
}

// Now returns the wall time that belongs to this instant.
func (c *Clock) Now() time.Time { return c.Wall(c.Mono()) }

// Wall returns the wall time that belongs to a Mono of this boot.
func (c *Clock) Wall(mono int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchor.at(mono)
}

// Anchor returns the map in force.
func (c *Clock) Anchor() Anchor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchor
}

func (a Anchor) at(mono int64) time.Time {
	return a.Wall.Add(time.Duration(mono - a.Mono))
}

// Sync compares the map with the system's wall clock and corrects it. It returns true where
// the wall clock was stepped and a new anchor begins.
func (c *Clock) Sync() bool {
	return c.Observe(c.Mono(), time.Now().Round(0)) //nolint:forbidigo // this is the clock
}

// Observe is Sync with an observation from elsewhere: wall was the time at mono.
func (c *Clock) Observe(mono int64, wall time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	off := wall.Sub(c.anchor.at(mono))
	if off.Abs() > stepLimit {
		c.anchor = Anchor{Number: c.anchor.Number + 1, Mono: mono, Wall: wall}
		return true
	}
	room := max(0, time.Duration(mono-c.anchor.Mono)*slewPPM/1_000_000)
	c.anchor.Wall = c.anchor.at(mono).Add(min(max(off, -room), room))
	c.anchor.Mono = mono
	return false
}
