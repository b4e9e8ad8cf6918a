package cloud

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// list is a playlist: what of its packages is in the store. The Cloud's mu guards it.
type list struct {
	ch      *Channel
	key     string
	event   bool
	entries []name
	// folders are looked through before it is written: a run before stored packages there. Only
	// those of only count, where it is not nil, else those of the full-time service.
	folders []string
	only    []string

	pending int  // packages on their way
	closed  bool // none is added any more
	dirty   bool
	flying  bool
	fresh   int64 // bytes of packages that it does not name yet
	since   int64 // Mono from which it is dirty
	due     int64 // Mono of the next attempt
	tries   int
	waiters []func(error)
	done    func() // once it is complete
}

// A playlist that grows is written anew once what it does not name outweighs it, so that it takes
// little of the link, or some time after.
const (
	outweighs = 20
	lineBytes = 190 // of a package
	between   = 10 * time.Second
	longest   = 5 * time.Minute
)

// newList makes a playlist. The caller holds mu.
func (c *Cloud) newList(ch *Channel, key string, event bool) *list {
	l := &list{ch: ch, key: key, event: event}
	ch.lists[key] = l
	return l
}

// hourList returns the playlist of a folder. The caller holds mu.
func (ch *Channel) hourList(folder string) *list {
	key := ch.root + fullFolder + folder + listExt
	if l, ok := ch.lists[key]; ok {
		return l
	}
	l := ch.cloud.newList(ch, key, false)
	l.done = func() { ch.forgetFolder(folder) }
	return l
}

// enters notes that a package is on its way into its hour's playlist. The caller holds mu.
func (ch *Channel) enters(p *pkg) {
	if p.full {
		ch.hourList(p.folder).pending++
	}
}

// leaves notes that a package is on its way no longer, and tells of each window that it was for.
// The caller holds mu.
func (c *Cloud) leaves(p *pkg, each func(*window)) {
	if p.full {
		l := p.ch.hourList(p.folder)
		l.pending--
		c.retire(l)
	}
	for _, w := range p.windows {
		w.pending--
		w.of.list.pending--
		each(w)
		c.settle(w)
		c.retire(w.of.list)
	}
	p.windows = nil
}

// closeHour says that no package follows in a folder. The caller holds mu.
func (c *Cloud) closeHour(ch *Channel, folder string) {
	if l, ok := ch.lists[ch.root+fullFolder+folder+listExt]; ok {
		l.closed = true
	}
}

// enlist adds a package that is in the store. The caller holds mu.
func (c *Cloud) enlist(l *list, n name, size int64) {
	if slices.ContainsFunc(l.entries, func(o name) bool { return o.number == n.number }) {
		return
	}
	l.entries = append(l.entries, n)
	l.fresh += size
	if !l.dirty {
		l.dirty, l.since = true, c.clock.Mono()
	}
}

// ready says whether a playlist is to be written now; else when. The caller holds mu.
func (l *list) ready(now int64, exiting bool) (bool, int64) {
	at := l.due
	switch {
	case !l.dirty || l.flying:
		return false, 0
	case l.tries == 0 && (len(l.waiters) > 0 || l.pending == 0 && (l.closed || exiting)):
		return true, 0
	case len(l.waiters) > 0, l.pending == 0 && (l.closed || exiting), l.fresh >= outweighs*lineBytes*int64(len(l.entries)):
	default:
		at = max(at, l.since+int64(longest))
	}
	return at <= now, at
}

// write makes a playlist and stores it.
func (c *Cloud) write(ctx context.Context, l *list) (waiters []func(error), err error) {
	if err := c.lookThrough(ctx, l); err != nil {
		return nil, err
	}
	c.mu.Lock()
	l.dirty, l.fresh = false, 0
	waiters, l.waiters = l.waiters, nil
	entries := slices.Clone(l.entries)
	c.mu.Unlock()
	if len(entries) == 0 {
		return waiters, nil
	}
	text := render(entries)
	class := BackfillClass
	if l.event {
		class = EventClass
	}
	return waiters, c.cfg.Store.Replace(ctx, class, l.key, "application/vnd.apple.mpegurl", c.gate.body(bytes.NewReader(text), int64(len(text)), ctx.Done()))
}

// lookThrough finds what a run before has stored.
func (c *Cloud) lookThrough(ctx context.Context, l *list) error {
	c.mu.Lock()
	folders := slices.Clone(l.folders)
	c.mu.Unlock()
	for _, folder := range folders {
		var found []name
		var sizes []int64
		err := c.cfg.Store.List(ctx, l.ch.root+mediaFolder+folder+"/", func(key string, size int64) error {
			dir, base, ok := splitKey(key)
			n, good := parseName(dir, base)
			if ok && good && (l.only == nil && n.full || slices.Contains(l.only, key)) {
				found, sizes = append(found, n), append(sizes, size)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("look for what is in the store: %w", err)
		}
		c.mu.Lock()
		for i, n := range found {
			c.enlist(l, n, sizes[i])
		}
		l.folders = slices.DeleteFunc(l.folders, func(f string) bool { return f == folder })
		c.mu.Unlock()
	}
	return nil
}

// wrote is where the writing of a playlist ends. The caller holds mu.
func (c *Cloud) wrote(l *list, waiters []func(error), err error) {
	l.flying = false
	now := c.clock.Mono()
	if err != nil {
		l.dirty, l.waiters, l.fresh = true, append(waiters, l.waiters...), math.MaxInt32
		l.due = now + int64(backoff(l.tries))
		l.tries++
		return
	}
	c.widen()
	l.tries = 0
	l.due = now + int64(between)
	for _, w := range waiters {
		c.after = append(c.after, func() { w(nil) })
	}
	c.retire(l)
}

// retire forgets a playlist that is complete. The caller holds mu.
func (c *Cloud) retire(l *list) {
	if l.closed && l.pending == 0 && !l.dirty && !l.flying && len(l.waiters) == 0 {
		delete(l.ch.lists, l.key)
		if l.done != nil {
			c.after = append(c.after, l.done)
		}
	}
}
