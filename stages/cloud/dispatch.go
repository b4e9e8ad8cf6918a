package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// The waits after attempts that failed.
const (
	firstWait   = 500 * time.Millisecond
	longestWait = 10 * time.Second
	liveWait    = time.Second // at most, of a package of the present
	// suspicious is after how many failures in a row the store itself is doubted: then one
	// attempt at a time finds out.
	suspicious = 4
	// looked is how many packages of a channel that wait for another attempt are passed over.
	looked = 16
)

var errSpool = errors.New("the spool")

// backoff is the wait before another attempt, half of it chance.
func backoff(tries int) time.Duration {
	return hal.Backoff{First: firstWait, Max: longestWait, Jitter: 0.5}.Before(tries)
}

// dispatch lets begin what can. The caller holds mu.
func (c *Cloud) dispatch() {
	if c.phase != running && c.phase != exiting {
		return
	}
	now := c.clock.Mono()
	for !c.forced && now >= c.hold {
		if c.fails >= suspicious && c.live+c.back+c.posting > 0 {
			break
		}
		begun := c.beginLetter(now) || c.live < liveParallel && c.beginLive(now) || c.back < c.most && (c.beginList(now) || c.beginBacklog(now))
		if !begun {
			break
		}
	}
	if c.hold > now {
		c.rouse(c.hold)
	}
	c.empty()
}

// rouse has dispatch come again at a time at the latest. The caller holds mu.
func (c *Cloud) rouse(at int64) {
	if c.rung != 0 && c.rung <= at {
		return
	}
	c.rung = at
	wait := max(time.Millisecond, time.Duration(at-c.clock.Mono()))
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, c.ring)
		return
	}
	c.timer.Reset(wait)
}

func (c *Cloud) ring() {
	c.locked(func() {
		c.rung = 0
		if c.phase == running {
			for _, ch := range c.channels {
				c.overdue(ch)
			}
		}
	})
}

// beginLive begins with the most important package of the present, the oldest first.
func (c *Cloud) beginLive(now int64) bool {
	var best *pkg
	for _, ch := range c.channels {
		if !c.may(ch) {
			continue
		}
		var first *pkg
		for _, p := range slices.Backward(ch.waiting) {
			if !p.live(now) {
				break
			}
			if (p.event || c.live < fullParallel) && c.due(p, now) {
				first = p
			}
		}
		if first != nil && (best == nil || first.event && !best.event || first.event == best.event && first.accepted < best.accepted) {
			best = first
		}
	}
	return best != nil && c.fly(best, now)
}

// may says whether a channel may have one more under way: without a spool one goes after the
// other, so that memory holds no more than C3 says.
func (c *Cloud) may(ch *Channel) bool {
	return len(ch.waiting) > 0 && (c.cfg.Spool || ch.inflight == 0)
}

// due says whether a package's next attempt may begin.
func (c *Cloud) due(p *pkg, now int64) bool {
	if p.due > now {
		c.rouse(p.due)
		return false
	}
	return true
}

// beginBacklog begins with the oldest package of an event, else the oldest, of the channel whose
// turn it is.
func (c *Cloud) beginBacklog(now int64) bool {
	var best *pkg
	n := len(c.channels)
	for i := range n {
		ch := c.channels[(c.turn+i)%n]
		if !c.may(ch) {
			continue
		}
		p := c.oldest(ch, now)
		if p != nil && (best == nil || p.event && !best.event) {
			best = p
		}
	}
	if best == nil || !c.fly(best, now) {
		return false
	}
	c.turn = (slices.Index(c.channels, best.ch) + 1) % n
	return true
}

// oldest returns a channel's package of the backlog that is next. A later one of an event
// overtakes only those within sight.
func (c *Cloud) oldest(ch *Channel, now int64) (first *pkg) {
	for _, p := range ch.waiting[:min(looked, len(ch.waiting))] {
		switch {
		case p.live(now):
			return first
		case !c.due(p, now):
		case p.event:
			return p
		case first == nil:
			first = p
		}
	}
	return first
}

// fly begins an attempt, or returns false where no worker is free.
func (c *Cloud) fly(p *pkg, now int64) bool {
	class := p.class(now)
	body := p.body
	err := c.begin(func(ctx context.Context) error { return c.carry(ctx, p, body, class) }, func(err error) {
		if err == nil && body == nil {
			c.unspool(p)
		}
		c.locked(func() { c.landed(p, class, err) })
	})
	if err != nil {
		return false
	}
	if class == BackfillClass {
		c.back++
	} else {
		c.live++
	}
	p.ch.waiting = slices.DeleteFunc(p.ch.waiting, func(o *pkg) bool { return o == p })
	p.ch.inflight++
	p.stage = flying
	p.ch.under = append(p.ch.under, p)
	if p.tries > 0 {
		p.ch.figures.Retries++
	}
	return true
}

// carry is one attempt to store a package, and before it what it begins with.
func (c *Cloud) carry(ctx context.Context, p *pkg, body []byte, class Class) (err error) {
	if err = c.carryHead(ctx, p, class); err != nil {
		return err
	}
	var from io.ReaderAt = bytes.NewReader(body)
	if body == nil {
		f, failed := p.ch.openSpooled(spoolPath(p))
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		from = f
	}
	sent := c.gate.body(from, p.size, ctx.Done())
	if class != BackfillClass {
		var done func()
		sent, done = c.gate.present(from, p.size)
		defer done()
	}
	return c.cfg.Store.Put(ctx, class, p.key(), "video/iso.segment", sent)
}

func (c *Cloud) carryHead(ctx context.Context, p *pkg, class Class) error {
	c.mu.Lock()
	h := p.ch.heads[p.head]
	sent := h == nil || h.sent
	c.mu.Unlock()
	if sent {
		return nil
	}
	body := io.NewSectionReader(bytes.NewReader(h.body), 0, int64(len(h.body)))
	if err := c.cfg.Store.Put(ctx, class, p.ch.root+initFolder+p.head+".mp4", "video/mp4", body); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h.sent = true
	return nil
}

// landed is where an attempt ends. The caller holds mu.
func (c *Cloud) landed(p *pkg, class Class, err error) {
	ch := p.ch
	ch.inflight--
	ch.under = slices.DeleteFunc(ch.under, func(o *pkg) bool { return o == p })
	if class == BackfillClass {
		c.back--
	} else {
		c.live--
	}
	c.tried(err)
	if errors.Is(err, errSpool) && errors.Is(err, fs.ErrNotExist) {
		c.drop(p, "its file is gone from the spool")
		return
	}
	if err != nil {
		now := c.clock.Mono()
		wait := backoff(p.tries)
		if p.live(now) { // it is to be there while it is of the present
			wait = min(wait, liveWait)
		}
		p.due = now + int64(wait)
		p.tries++
		c.wait(p)
		return
	}
	if class == BackfillClass {
		c.widen()
	}
	if p.body == nil {
		c.spooled -= p.size
	}
	p.stage, p.body = stored, nil
	ch.figures.Stored++
	ch.figures.StoredBytes += uint64(p.size) //nolint:gosec // a size
	if p.full {
		c.enlist(ch.hourList(p.folder), p.name, p.size)
	}
	c.leaves(p, func(w *window) { c.enlist(w.of.list, p.name, p.size) })
}

// widen lets more of the backlog be under way, now that some of it went well. The caller holds mu.
func (c *Cloud) widen() { c.most = min(2*c.most, c.cfg.Parallel) }

// tried notes how an attempt ended. The caller holds mu.
func (c *Cloud) tried(err error) {
	if err == nil {
		if c.fails >= suspicious {
			c.resume()
		}
		c.fails, c.hold, c.cause = 0, 0, ""
		return
	}
	if c.forced {
		return
	}
	c.fails++
	if c.cause != err.Error() {
		c.cause, c.since = err.Error(), c.clock.Now()
	}
	if c.fails >= suspicious {
		// A link that comes back slow is not filled with backlog before it is known to be: what is of
		// the present would stand behind it.
		c.most = 1
		c.hold = c.clock.Mono() + int64(backoff(c.fails-suspicious))
	}
}

// beginList begins to write a playlist that is due.
func (c *Cloud) beginList(now int64) bool {
	for _, ch := range c.channels {
		for _, l := range ch.lists {
			ready, due := l.ready(now, c.phase == exiting)
			switch {
			case ready && c.flyList(l):
				return true
			case !ready && due > 0:
				c.rouse(due)
			}
		}
	}
	return false
}

func (c *Cloud) flyList(l *list) bool {
	var waiters []func(error)
	err := c.begin(func(ctx context.Context) (err error) {
		waiters, err = c.write(ctx, l)
		return err
	}, func(err error) {
		c.locked(func() {
			c.back--
			c.tried(err)
			c.wrote(l, waiters, err)
		})
	})
	if err != nil {
		return false
	}
	l.flying = true
	c.back++
	return true
}

// empty tells the exit under way that nothing is left to wait for. The caller holds mu.
func (c *Cloud) empty() {
	if c.phase != exiting || c.live+c.back+c.telling > 0 || c.mail() {
		return
	}
	for _, ch := range c.channels {
		if c.forced {
			break
		}
		if len(ch.waiting) > 0 {
			return
		}
		for _, l := range ch.lists {
			if l.dirty || l.flying {
				return
			}
		}
	}
	select {
	case <-c.emptied:
	default:
		close(c.emptied)
	}
}
