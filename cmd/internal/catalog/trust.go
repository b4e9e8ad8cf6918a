package catalog

import (
	"time"

	"github.com/millrace-video/millrace/stages/record"
)

// epoch is before every time at which this program can run: a clock that shows an earlier one is
// not set.
func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// trustClock looks whether the wall clock can be trusted: it is synchronised, or not before the
// newest label that could be. With that, what this boot labelled before is put right.
func (c *Catalog) trustClock() {
	if c.store == nil {
		return
	}
	now := c.present()
	c.local(&now)
	n := c.anchors.get(now.Anchor)
	if n.Trusted {
		return
	}
	newest := epoch().UnixNano()
	c.mu.Lock()
	for _, ch := range c.order {
		if end := ch.state.End; c.anchors.get(end.Anchor).Trusted {
			newest = max(newest, end.Wall)
		}
	}
	c.mu.Unlock()
	if !c.cfg.Synchronised() && now.Wall < newest {
		return
	}
	n.Mono, n.Wall, n.Trusted = now.Mono, now.Wall, true
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.order {
		if end := ch.state.End; c.anchors.sameBoot(end, now) && !c.anchors.get(end.Anchor).Trusted {
			trusted := n
			ch.notes = append(ch.notes, line{Kind: lineAnchor, Anchor: &trusted})
		}
	}
	c.anchors.put(n)
	c.log.Info("the wall clock is trusted", "time", now.Time())
}

// Pin keeps what a channel recorded, or will, from one time to another, longer than the rest: up
// to until, or, where that is zero, as long as the channel keeps events.
func (c *Catalog) Pin(channel string, from, to, until time.Time, why string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.channels[channel]
	if ch == nil {
		return ErrNoChannel
	}
	anchor := c.anchors.find(c.cfg.Clock.Anchor().Number, c.start)
	at := func(t time.Time) record.Instant {
		a := c.anchors.get(anchor)
		return record.Instant{Wall: t.UnixNano(), Mono: t.UnixNano() - a.Wall + a.Mono, Anchor: anchor}
	}
	p := Pin{From: at(from), To: at(to), Why: why}
	if !until.IsZero() {
		p.Until = until.UnixNano()
	}
	ch.pinned++
	p.ID = ch.pinned
	ch.notes = append(ch.notes, line{Kind: linePin, Pin: &p})
	c.rouse()
	return nil
}

// LastNumber returns the highest number that a file of a channel ever had, as far as is known.
func (c *Catalog) LastNumber(channel string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.channels[channel]; ch != nil {
		return ch.state.Last
	}
	return 0
}
