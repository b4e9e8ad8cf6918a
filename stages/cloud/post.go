package cloud

import (
	"context"
	"errors"
	"io"
	"io/fs"
)

// How many letters go up at once, and how many of them may be pictures, so that a message never
// waits for a free one.
const (
	letterParallel  = 8
	pictureParallel = 6
)

// stubborn is after how many attempts a later letter is tried once, whatever is wrong.
const stubborn = 30

// beginLetter begins with a message, else with a picture, of the channel whose turn it is. The
// caller holds mu.
func (c *Cloud) beginLetter(now int64) bool {
	if c.posting >= letterParallel {
		return false
	}
	n := len(c.channels)
	for _, picture := range []bool{false, true} {
		if picture && c.pictures >= pictureParallel {
			break
		}
		for i := range n {
			at := (c.round + i) % n
			if p := c.nextLetter(c.channels[at], picture, now); p != nil {
				c.round = (at + 1) % n
				return c.flyLetter(p)
			}
		}
	}
	return false
}

// nextLetter returns a channel's next: its messages go one after the other in their order, and
// so do its pictures. One that keeps failing while the store takes others is passed over; to
// find out, another is tried from time to time.
func (c *Cloud) nextLetter(ch *Channel, picture bool, now int64) (next *letter) {
	passed := 0
	for _, p := range ch.letters {
		switch {
		case isPicture(p.name) != picture:
			continue
		case p.flying:
			return nil
		case next != nil:
			continue
		case p.due <= now:
			next = p
			continue
		}
		c.rouse(p.due)
		if passed++; passed >= looked || p.tries == 0 || p.tries%stubborn != 0 && (p.tries < suspicious || c.fails > 0) {
			return nil
		}
	}
	return next
}

// flyLetter begins an attempt, or returns false where no worker is free. The caller holds mu.
func (c *Cloud) flyLetter(p *letter) bool {
	attempt, body := make(chan context.CancelFunc, 1), p.body
	err := c.begin(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		attempt <- cancel
		return c.deliver(ctx, p, body)
	}, func(err error) {
		if err == nil && body == nil {
			p.ch.unspool(p.path())
		}
		c.locked(func() { c.delivered(p, err) })
	})
	if err != nil {
		return false
	}
	p.flying = true
	p.cancel = func() { (<-attempt)() } // the worker is there
	c.posting++
	if isPicture(p.name) {
		c.pictures++
	}
	if p.tries > 0 {
		p.ch.figures.Retries++
	}
	return true
}

// deliver is one attempt to store a letter.
func (c *Cloud) deliver(ctx context.Context, p *letter, body *io.SectionReader) (err error) {
	var from io.ReaderAt = body
	if body == nil {
		f, failed := p.ch.openSpooled(p.path())
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		from = f
	}
	sent, done := c.gate.present(from, p.size)
	defer done()
	return c.cfg.Store.Put(ctx, EventClass, p.key(), p.contentType(), sent)
}

// refusal is an error that says whether a store will never take an object, whatever becomes of
// the store.
type refusal interface{ Refused() bool }

func refusedForGood(err error) bool {
	var r refusal
	return errors.As(err, &r) && r.Refused()
}

// delivered is where an attempt ends. The caller holds mu.
func (c *Cloud) delivered(p *letter, err error) {
	p.flying, p.cancel = false, nil
	c.posting--
	if isPicture(p.name) {
		c.pictures--
	}
	switch {
	case err == nil:
		c.tried(nil)
		p.ch.forgetLetter(p)
		p.ch.figures.Letters++
		if p.body == nil {
			c.spooled -= p.size
		}
		c.tell(p, nil)
	case p.gone != nil:
		p.ch.forgetLetter(p)
		c.tell(p, p.gone)
	case errors.Is(err, errSpool) && errors.Is(err, fs.ErrNotExist):
		c.dropLetter(p, errors.New("its file is gone from the spool"))
	case refusedForGood(err):
		c.tried(nil) // it answered
		c.dropLetter(p, err)
	default:
		c.tried(err)
		p.due = c.clock.Mono() + int64(backoff(p.tries))
		p.tries++
	}
}

// resume lets every letter be tried: the store is back, or all ends. The caller holds mu.
func (c *Cloud) resume() {
	for _, ch := range c.channels {
		for _, p := range ch.letters {
			p.due = 0
		}
	}
}

// mail says whether any letter keeps an exit from ending. The caller holds mu.
func (c *Cloud) mail() bool {
	if c.posting > 0 {
		return true
	}
	for _, ch := range c.channels {
		if !c.forced && len(ch.letters) > 0 {
			return true
		}
	}
	return false
}
