package upload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Uplink is the one governor of everything that leaves the machine. Bytes are handed out from a
// bucket that fills at the rate in force: to the most important class that asks, and within a
// class to who asked first. A class that the hours hold waits before its next request; what has
// begun goes on, so that no server loses patience. It is safe for concurrent use.
type Uplink struct {
	cfg   UplinkConfig
	clock *hal.Clock

	mu      sync.Mutex
	rule    rule
	ruled   bool
	tokens  float64
	filled  int64 // Mono
	waiting [classes][]*claim
	sent    [classes]uint64
	stood   [classes]time.Duration
	timer   *time.Timer
	changed []func() // told when another rule holds
}

// claim is who waits for n bytes, or for its class (n is 0).
type claim struct {
	n       int
	since   int64
	granted chan struct{}
}

// grain is how many bytes are claimed at once: a class that is more important waits for no more.
const grain = 16 << 10

// NewUplink returns a governor. A nil clock is the real one.
func NewUplink(cfg UplinkConfig, clock *hal.Clock) (*Uplink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	if clock == nil {
		clock = hal.NewClock()
	}
	u := &Uplink{cfg: cfg, clock: clock, filled: clock.Mono()}
	return u, nil
}

// burst is how much may leave at once after a pause: a tenth of a second's worth.
func (r rule) burst() float64 { return max(4*grain, float64(r.rate)/10) }

// refresh looks up the rule and fills the bucket. The caller holds mu.
func (u *Uplink) refresh() {
	now := u.clock.Mono()
	passed := time.Duration(now - u.filled).Seconds()
	u.filled = now
	if u.ruled {
		u.tokens = min(u.rule.burst(), u.tokens+passed*float64(u.rule.rate))
	}
	wall := u.clock.Now()
	if !u.ruled || !wall.Before(u.rule.until) || wall.Before(u.rule.until.Add(-25*time.Hour)) {
		u.rule = u.cfg.at(wall)
		if !u.ruled {
			u.tokens = u.rule.burst()
		}
		u.ruled = true
	}
}

// take waits until n bytes of the class may leave; 0: until a request may begin.
func (u *Uplink) take(ctx context.Context, c Class, n int) error {
	u.mu.Lock()
	if u.free(c, n) {
		u.mu.Unlock()
		return nil
	}
	mine := &claim{n: n, since: u.clock.Mono(), granted: make(chan struct{})}
	u.waiting[c] = append(u.waiting[c], mine)
	u.grant()
	u.mu.Unlock()
	select {
	case <-mine.granted:
		return nil
	default:
	}
	select {
	case <-mine.granted:
		return nil
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.Index(u.waiting[c], mine); i >= 0 {
		u.waiting[c] = slices.Delete(u.waiting[c], i, i+1)
		u.stood[c] += time.Duration(u.clock.Mono() - mine.since)
		u.grant()
	}
	return context.Cause(ctx)
}

// free passes who need not wait. The caller holds mu.
func (u *Uplink) free(c Class, n int) bool {
	u.refresh()
	if n == 0 && u.rule.hold[c] || n > 0 && u.rule.rate > 0 {
		return false
	}
	u.sent[c] += uint64(n) //nolint:gosec // a length
	return true
}

// grant hands out what there is, and sets the timer for what there is not. The caller holds mu.
func (u *Uplink) grant() {
	u.refresh()
	wait := time.Duration(0)
	for c := range classes {
		var short bool
		if wait, short = u.grantClass(c); short {
			break // strictly: who is less important gets nothing before
		}
	}
	u.arm(wait)
}

// grantClass serves one class in the order of asking. It returns how long the next one has to
// wait for bytes, if it has to.
func (u *Uplink) grantClass(c Class) (time.Duration, bool) {
	kept := u.waiting[c][:0]
	queue := u.waiting[c]
	for i, w := range queue {
		switch {
		case w.n == 0 && u.rule.hold[c]:
			kept = append(kept, w)
			continue
		case u.rule.rate > 0 && u.tokens < float64(w.n):
			kept = append(kept, queue[i:]...)
			u.settle(c, kept)
			return time.Duration((float64(w.n) - u.tokens) / float64(u.rule.rate) * float64(time.Second)), true
		}
		if u.rule.rate > 0 {
			u.tokens -= float64(w.n)
		}
		u.sent[c] += uint64(w.n) //nolint:gosec // a length
		u.stood[c] += time.Duration(u.clock.Mono() - w.since)
		close(w.granted)
	}
	u.settle(c, kept)
	return 0, false
}

func (u *Uplink) settle(c Class, kept []*claim) {
	clear(u.waiting[c][len(kept):])
	u.waiting[c] = kept
}

// arm has the bucket looked at again: when there are bytes enough, or when another rule holds.
func (u *Uplink) arm(wait time.Duration) {
	held := slices.Contains(u.rule.hold[:], true)
	change := u.rule.until.Sub(u.clock.Now())
	switch {
	case wait > 0 && (!held || wait < change):
	case held:
		wait = min(change, time.Minute) // the wall clock may be set meanwhile
	default:
		return
	}
	wait = max(wait, time.Millisecond)
	if u.timer == nil {
		u.timer = time.AfterFunc(wait, u.tick)
		return
	}
	u.timer.Reset(wait)
}

func (u *Uplink) tick() {
	u.mu.Lock()
	before := u.rule.hold
	u.grant()
	var tell []func()
	if before != u.rule.hold {
		tell = slices.Clone(u.changed)
	}
	u.mu.Unlock()
	for _, f := range tell {
		f()
	}
}

// watch has f called whenever other classes are held than before.
func (u *Uplink) watch(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.changed = append(u.changed, f)
}

// held says whether a class waits for other hours.
func (u *Uplink) held(c Class) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.rule.hold
	u.refresh()
	if u.rule.hold != before {
		u.arm(time.Millisecond) // the others are told
	} else if u.rule.hold[c] {
		u.arm(0)
	}
	return u.rule.hold[c]
}

// UplinkStats is what leaves the machine, and what waits and why.
type UplinkStats struct {
	BytesPerSecond int64         `json:"bytes_per_second"` // in force; 0: no limit
	Hours          bool          `json:"hours"`            // by the hours of the day
	Until          time.Time     `json:"until,omitzero"`   // when another rule may hold
	Classes        []ClassUplink `json:"classes"`
}

// ClassUplink is one class's part.
type ClassUplink struct {
	Class   string  `json:"class"`
	Sent    uint64  `json:"sent_bytes"`
	Waiting int     `json:"waiting"`       // requests that wait now
	Waited  float64 `json:"waited_s"`      // all requests together, those that wait now too
	Why     string  `json:"why,omitempty"` // the waiting ones do
}

// Stats returns what holds now.
func (u *Uplink) Stats() UplinkStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.refresh()
	s := UplinkStats{BytesPerSecond: u.rule.rate, Hours: u.rule.hours, Classes: make([]ClassUplink, 0, classes)}
	if len(u.cfg.Hours) > 0 {
		s.Until = u.rule.until
	}
	above := ""
	for c := range classes {
		one := ClassUplink{Class: c.String(), Sent: u.sent[c], Waiting: len(u.waiting[c])}
		stood := u.stood[c]
		for _, w := range u.waiting[c] {
			stood += time.Duration(u.clock.Mono() - w.since)
		}
		one.Waited = stood.Seconds()
		switch {
		case u.rule.hold[c]:
			one.Why = "held by the hours until " + u.rule.until.Format("15:04")
		case one.Waiting > 0 && above != "":
			one.Why = "behind " + above
		case one.Waiting > 0:
			one.Why = "the limit of bytes a second"
		}
		if one.Waiting > 0 && !u.rule.hold[c] {
			above = c.String()
		}
		s.Classes = append(s.Classes, one)
	}
	return s
}
