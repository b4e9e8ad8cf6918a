package cloud

import (
	"fmt"
	"slices"
	"time"
)

// footage is an event: its windows, and the playlist that they make together.
type footage struct {
	number  uint64
	list    *list
	windows []*window
	keys    []string // of its packages, for the next run
	noted   int      // of keys, on disk
}

// window is one that is not done.
type window struct {
	Window

	of      *footage
	ch      *Channel
	stored  func(error)
	pending int  // its packages on their way
	count   int  // its packages
	lost    int  // of them
	passed  bool // nothing more comes
	done    bool
}

// grace is how long after a window's end its footage may still come.
const grace = 10 * time.Second

// Record keeps the packages of an event's window. It neither blocks nor fails: stored, where it
// is not nil, is called once when the window is over and its packages and the event's playlist
// are in the store, or with why they are not.
func (ch *Channel) Record(w Window, stored func(error)) {
	c := ch.cloud
	c.mu.Lock()
	err := c.refused()
	if err == nil && !ch.on[Event] && !ch.has(w) {
		err = ErrOff
	}
	if err != nil {
		c.mu.Unlock()
		if stored != nil {
			stored(fmt.Errorf("channel %s, event %d: %w", ch.name, w.Event, err))
		}
		return
	}
	one := ch.window(w)
	one.Window = w
	if stored != nil {
		one.stored = stored
	}
	if ch.running {
		for _, p := range ch.recent {
			c.claimed(p)
		}
	}
	mark := ch.env.Mark
	c.mu.Unlock()
	if mark != nil {
		mark()
	}
	c.locked(func() { c.settle(one) })
}

// has says whether a window is known. The caller holds mu.
func (ch *Channel) has(w Window) bool {
	return slices.ContainsFunc(ch.events, func(f *footage) bool {
		return f.number == w.Event && slices.ContainsFunc(f.windows, func(o *window) bool { return o.Part == w.Part })
	})
}

// window finds one, or makes it. An event that is done is forgotten when the next one begins.
// The caller holds mu.
func (ch *Channel) window(w Window) *window {
	i := slices.IndexFunc(ch.events, func(f *footage) bool { return f.number == w.Event })
	if i < 0 {
		ch.forget()
		ch.events = append(ch.events, &footage{number: w.Event})
		i = len(ch.events) - 1
	}
	f := ch.events[i]
	for _, o := range f.windows {
		if o.Part == w.Part {
			return o
		}
	}
	one := &window{Window: w, of: f, ch: ch}
	f.windows = append(f.windows, one)
	return one
}

// forget drops the events that are done. The caller holds mu.
func (ch *Channel) forget() {
	ch.events = slices.DeleteFunc(ch.events, func(f *footage) bool {
		done := !slices.ContainsFunc(f.windows, func(w *window) bool { return !w.done })
		if done && f.list != nil {
			f.list.closed = true
		}
		return done
	})
}

// claimed gives a package to every window that wants it, and says whether one does. The caller
// holds mu.
func (c *Cloud) claimed(p *pkg) bool {
	for _, f := range p.ch.events {
		for _, w := range f.windows {
			if w.done || p.from >= w.To || p.to <= w.From || slices.Contains(p.windows, w) || slices.Contains(f.keys, p.key()) {
				continue
			}
			c.give(p, w)
		}
	}
	return p.event
}

// give makes a package a window's. The caller holds mu.
func (c *Cloud) give(p *pkg, w *window) {
	f := w.of
	if f.list == nil {
		key := fmt.Sprintf("%s%s%012d-%s-event-%d%s", p.ch.root, eventFolder, p.number, p.start.UTC().Format(stampLayout), f.number, listExt)
		f.list = c.newList(p.ch, key, true)
		f.list.event = true
	}
	f.keys = append(f.keys, p.key())
	p.event = true
	w.count++
	switch p.stage {
	case stored:
		c.enlist(f.list, p.name, p.size)
	case lost:
		w.lost++
	case kept, waiting, flying:
		p.windows = append(p.windows, w)
		w.pending++
		f.list.pending++
	}
}

// endWindows ends them all, because the service was switched off: what was filmed goes its way.
// The caller holds mu.
func (c *Cloud) endWindows(ch *Channel) {
	now := c.clock.Mono()
	for _, f := range ch.events {
		for _, w := range f.windows {
			w.To = min(w.To, now)
		}
	}
}

// settle tells of a window that is done. The caller holds mu.
func (c *Cloud) settle(w *window) {
	if w.done || !w.Over || w.stored == nil || w.pending > 0 {
		return
	}
	if now := c.clock.Mono(); !w.passed && w.ch.reached < w.To && now < w.To+int64(grace) {
		c.rouse(w.To + int64(grace))
		return
	}
	w.done = true
	stored, of, ch := w.stored, w.of.number, w.ch.name
	tell := func(err error) {
		if err != nil {
			err = fmt.Errorf("channel %s, event %d: %w", ch, of, err)
		}
		stored(err)
	}
	var err error
	switch {
	case w.count == 0:
		err = ErrNoFootage
	case w.lost > 0:
		err = fmt.Errorf("%w: %d of %d packages", ErrLost, w.lost, w.count)
	}
	if w.of.list == nil || w.lost == w.count {
		c.after = append(c.after, func() { tell(err) })
		return
	}
	l := w.of.list
	l.dirty = true
	l.waiters = append(l.waiters, func(failed error) {
		if failed == nil {
			failed = err
		}
		tell(failed)
	})
}

// overdue settles a channel's windows whose footage is all there, or does not come any more. The
// caller holds mu.
func (c *Cloud) overdue(ch *Channel) {
	for _, f := range ch.events {
		for _, w := range f.windows {
			c.settle(w)
		}
	}
}
