package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// Cloud is the cloud storage of all channels: what waits, and what goes up next.
type Cloud struct {
	cfg   Config
	clock *hal.Clock
	log   *slog.Logger
	gate  gate

	mu       sync.Mutex
	phase    phase
	forced   bool
	channels []*Channel
	spooled  int64 // bytes in the spool
	live     int   // jobs of the present under way
	back     int   // jobs of the backlog under way
	most     int   // of them at once: one after the store was away, then more with each that goes well
	telling  int   // who makes the calls that a change led to
	turn     int   // whose backlog is next
	posting  int   // letters under way
	pictures int   // of them
	round    int   // whose letter is next
	fails    int   // attempts that failed since one went well
	hold     int64 // Mono before which nothing is tried
	cause    string
	since    time.Time // the cause is known
	rung     int64     // Mono at which the timer rings; 0: it does not
	timer    *time.Timer
	begin    func(job func(context.Context) error, done func(error)) error // on a worker, from Init to Exit
	cancel   context.CancelFunc                                            // of the jobs
	emptied  chan struct{}                                                 // closed when nothing is left while exiting
	after    []func()                                                      // to be called without mu
}

// phase is where a Cloud's life is.
type phase uint8

const (
	fresh phase = iota
	initialising
	running
	exiting
	exited
)

// New returns a Cloud without channels. Nothing happens before Init.
func New(cfg Config) (*Cloud, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Cloud{cfg: cfg, clock: cfg.Clock, log: cfg.Log}, nil
}

// Channel adds a channel, before Init.
func (c *Cloud) Channel(name string, cfg ChannelConfig) (*Channel, error) {
	if err := pipeline.CheckName(name); err != nil {
		return nil, fmt.Errorf("cloud: %w", err)
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cloud: channel %s: %w", name, err)
	}
	if cfg.Package == 0 {
		cfg.Package = defaultPackage
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.phase != fresh && c.phase != exited:
		return nil, fmt.Errorf("cloud: channel %s: %w", name, ErrInit)
	case slices.ContainsFunc(c.channels, func(o *Channel) bool { return o.name == name }):
		return nil, fmt.Errorf("cloud: a second channel named %s", name)
	}
	ch := &Channel{cloud: c, name: name, root: c.cfg.Prefix + name + "/", cfg: cfg}
	c.channels = append(c.channels, ch)
	return ch, nil
}

// refused says why a call comes at the wrong time (C1). The caller holds mu.
func (c *Cloud) refused() error {
	switch c.phase {
	case running:
		return nil
	case exiting:
		return ErrExiting
	case exited:
		return ErrExited
	case fresh, initialising:
	}
	return ErrNotInit
}

// Init opens what a run before left and begins to upload (C1). After an Exit it may be called
// again.
func (c *Cloud) Init(ctx context.Context) error {
	c.mu.Lock()
	if c.phase != fresh && c.phase != exited {
		defer c.mu.Unlock()
		if c.phase == exiting {
			return ErrExiting
		}
		return ErrInit
	}
	before := c.phase
	c.phase = initialising
	c.spooled, c.fails, c.hold, c.cause, c.forced = 0, 0, 0, "", false
	c.most = c.cfg.Parallel
	c.mu.Unlock()
	var err error
	for _, ch := range c.channels {
		if err = ch.init(); err != nil {
			err = fmt.Errorf("channel %s: %w", ch.name, err)
			break
		}
	}
	if err != nil {
		err = errors.Join(err, c.closeDisks())
		c.mu.Lock()
		c.phase = before
		c.mu.Unlock()
		return err
	}
	jobs, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.locked(func() {
		c.cancel, c.emptied = cancel, make(chan struct{})
		c.begin = func(job func(context.Context) error, done func(error)) error {
			return c.cfg.Workers.Go(func() error { return job(jobs) }, done)
		}
		c.phase = running
		for _, ch := range c.channels {
			if ch.cfg.FullTime || ch.cfg.Event {
				ch.on = [2]bool{ch.cfg.FullTime, ch.cfg.Event}
				env := ch.env
				c.after = append(c.after, func() { ch.stream(env, true) })
			}
		}
	})
	return nil
}

// init takes what a channel needs.
func (ch *Channel) init() error {
	ch.heads, ch.lists = map[string]*head{}, map[string]*list{}
	ch.waiting, ch.recent, ch.events, ch.losses, ch.noted = nil, nil, nil, nil, ""
	ch.inflight, ch.under, ch.reached, ch.hour = 0, nil, 0, hour{}
	ch.on, ch.expires, ch.figures = [2]bool{}, [2]time.Time{}, ChannelStats{}
	ch.letters, ch.posted = nil, 0
	if dir := ch.cloud.cfg.Dir; dir != "" {
		d, err := openDisk(filepath.Join(dir, ch.name))
		if err != nil {
			return err
		}
		ch.disk = d
	}
	return ch.restore()
}

func (c *Cloud) closeDisks() (err error) {
	for _, ch := range c.channels {
		c.mu.Lock()
		d := ch.disk
		ch.disk = nil
		c.mu.Unlock()
		if d != nil {
			err = errors.Join(err, d.close())
		}
	}
	return err
}

// over says that nothing is taken any more: the Cloud has left before a branch.
func (c *Cloud) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase != running && c.phase != exiting
}

// locked changes something, lets begin what can, and then makes the calls that this led to.
func (c *Cloud) locked(change func()) {
	c.mu.Lock()
	c.telling++
	change()
	c.dispatch()
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for _, f := range after {
		f()
	}
	c.mu.Lock()
	c.telling--
	c.empty()
	c.mu.Unlock()
}

// axe is how long jobs that were cancelled may take to end.
const axe = 800 * time.Millisecond

// Exit ends the Cloud (C1), after the channels' branches have left. Without force what was
// accepted goes up first, until ctx ends, which makes it a forced exit; with force it stops at
// once. What was left is returned, and stays in the spool where there is one. A second Exit is
// refused with ErrExiting; a forced one forces the one under way, which returns ErrForced.
func (c *Cloud) Exit(ctx context.Context, force bool) (Left, error) {
	c.mu.Lock()
	switch {
	case c.phase == exiting && force && !c.forced:
		c.force()
		emptied := c.emptied
		c.mu.Unlock()
		return c.leave(emptied, false)
	case c.phase != running:
		defer c.mu.Unlock()
		return Left{}, c.refused()
	}
	c.phase = exiting
	emptied := c.emptied
	if force {
		c.force()
	}
	c.mu.Unlock()
	c.locked(c.closeLists)
	if force {
		return c.leave(emptied, true)
	}
	select {
	case <-emptied:
		c.mu.Lock()
		forced := c.forced
		c.mu.Unlock()
		left, err := c.leave(emptied, true)
		if forced {
			err = errors.Join(ErrForced, err)
		}
		return left, err
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.force()
	c.mu.Unlock()
	left, err := c.leave(emptied, true)
	return left, errors.Join(fmt.Errorf("%w: %w", ErrForced, context.Cause(ctx)), err)
}

// closeLists says that nothing is added to any playlist. The caller holds mu.
func (c *Cloud) closeLists() {
	c.hold, c.fails = 0, 0
	c.resume()
	for _, ch := range c.channels {
		if env := ch.env; ch.on[FullTime] || ch.on[Event] {
			ch.on = [2]bool{}
			c.after = append(c.after, func() { ch.stream(env, false) })
		}
		for _, f := range ch.events {
			for _, w := range f.windows {
				w.passed, w.Over = true, true
				c.settle(w)
			}
		}
		for _, l := range ch.lists {
			l.closed = l.closed || l.event
			l.tries = 0
			c.retire(l)
		}
	}
}

// force gives up what is under way. The caller holds mu.
func (c *Cloud) force() {
	c.forced = true
	c.cancel()
	c.dispatch()
}

// leave waits for what was cancelled, and says what was left. Of two exits the first ends it.
func (c *Cloud) leave(emptied <-chan struct{}, first bool) (left Left, err error) {
	t := time.NewTimer(axe)
	defer t.Stop()
	select {
	case <-emptied:
	case <-t.C:
		err = errors.New("the store, or who is told of its answers, does not give up what is under way")
	}
	c.mu.Lock()
	left = c.left()
	if !first {
		c.mu.Unlock()
		return left, err
	}
	c.phase = exited
	c.cancel()
	if c.timer != nil {
		c.timer.Stop()
	}
	tell := c.abandon()
	c.mu.Unlock()
	for _, f := range tell {
		f()
	}
	return left, errors.Join(err, c.closeDisks())
}

// left says what is not in the store. The caller holds mu.
func (c *Cloud) left() Left {
	left := Left{Packages: []string{}, Letters: []string{}, Playlists: []string{}, Spooled: c.cfg.Spool}
	for _, ch := range c.channels {
		for _, p := range ch.waiting {
			left.Packages = append(left.Packages, p.key())
			left.Spooled = left.Spooled && p.body == nil
		}
		for _, p := range ch.letters {
			left.Letters = append(left.Letters, p.key())
			left.Spooled = left.Spooled && p.body == nil
		}
		for key, l := range ch.lists {
			if l.dirty || l.pending > 0 || l.flying {
				left.Playlists = append(left.Playlists, key)
			}
		}
	}
	slices.Sort(left.Playlists)
	left.Spooled = left.Spooled && len(left.Packages)+len(left.Letters) > 0
	return left
}

// abandon tells who waits for a window's footage that it is not in the store. The caller holds mu.
func (c *Cloud) abandon() (tell []func()) {
	for _, ch := range c.channels {
		for _, p := range ch.letters {
			c.tell(p, c.leftBehind(p))
		}
		for _, l := range ch.lists {
			for _, w := range l.waiters {
				tell = append(tell, func() { w(ErrExited) })
			}
			l.waiters = nil
		}
		for _, f := range ch.events {
			for _, w := range f.windows {
				if stored := w.stored; !w.done && stored != nil {
					tell = append(tell, func() { stored(ErrExited) })
				}
				w.done = true
			}
		}
	}
	tell, c.after = append(c.after, tell...), nil
	return tell
}
