package hal

import (
	"sync"
	"time"
)

// Clock is the one place that reads time. Mono orders and measures; Wall only labels. It maps
// one to the other and never lets the label jump for an error under a second: that is slewed
// at 500 ppm (NTP's own rate). A larger one opens a new anchor.
type Clock struct {
	start time.Time
	base  int64 // CLOCK_MONOTONIC at start

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
	now := time.Now() //nolint:forbidigo // this is the clock
	c := &Clock{start: now, base: monotonic()}
	c.anchor = Anchor{Number: 1, Mono: c.base, Wall: now.Round(0)}
	return c
}

// Mono returns CLOCK_MONOTONIC in ns, the clock of Stamp.Mono.
func (c *Clock) Mono() int64 {
	return c.base + int64(time.Since(c.start)) //nolint:forbidigo // this is the clock
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
