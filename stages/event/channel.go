package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Channel is the event handling of one channel. Its methods may be called from anywhere, at any
// rate; none but Init and Exit waits for anything.
type Channel struct {
	h    *Handling
	name string

	mu           sync.Mutex
	initialising bool
	session      *session // nil: not running
}

// Ends are what events lead to. What is nil is not there: messages go nowhere, nothing is
// recorded; where there is no Uploader there may be no Capture.
type Ends struct {
	Recorder Recorder
	Messages Messages
	Uploader Uploader

	Callbacks

	// Last returns the number of the channel's last event, of a run before; nil: there was none.
	Last func(ctx context.Context) (uint64, error)
}

// axe is how long a forced exit waits for the application to take the results.
const axe = 900 * time.Millisecond

// NewChannel returns a channel that does nothing before Init.
func NewChannel(h *Handling, name string) *Channel { return &Channel{h: h, name: name} }

// Name returns the channel's name.
func (c *Channel) Name() string { return c.name }

// Init begins event handling, with both services off. It fails where the configuration is wrong
// or the last event's number cannot be had, and with ErrExists where it is running.
func (c *Channel) Init(ctx context.Context, cfg Config, ends Ends) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("events of channel %s: %w", c.name, err)
	}
	if ends.Capture != nil && ends.Uploader == nil {
		return fmt.Errorf("events of channel %s: pictures without an uploader", c.name)
	}
	c.mu.Lock()
	if c.session != nil || c.initialising {
		c.mu.Unlock()
		return fmt.Errorf("channel %s: %w", c.name, ErrExists)
	}
	c.initialising = true
	c.mu.Unlock()
	var last uint64
	var err error
	if ends.Last != nil {
		last, err = ends.Last(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.initialising = false
	if err != nil {
		return fmt.Errorf("events of channel %s: the last one's number: %w", c.name, err)
	}
	c.session = newSession(context.WithoutCancel(ctx), c, newMachine(c.name, cfg, last), ends)
	c.h.join(c)
	return nil
}

// Trigger says that something happened (C6): set has the one bit of its source, at is its time in
// ms since 1970, UTC. It is refused with ErrSource, ErrOff, ErrFull, ErrNotRunning or ErrExiting.
func (c *Channel) Trigger(set uint32, at int64) error {
	now := c.h.now()
	return c.with(func(s *session) error { return s.machine.trigger(now, set, at) })
}

// Serve switches a service on or off, and passes the notice on (C4, C5). Off ends the open event
// and its recording at once; messages, pictures and video of what was goes on its way.
func (c *Channel) Serve(n Notice) error {
	if n.Service > PictureService {
		return fmt.Errorf("service %d is none of events", n.Service)
	}
	return c.with(func(s *session) error {
		if s.machine.leaving {
			return ErrExiting
		}
		s.machine.serve(c.h.now(), n)
		return nil
	})
}

// Status returns what is going on (C4). Where event handling is not running it is all zero.
func (c *Channel) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return Status{Initialising: c.initialising}
	}
	s := c.session.machine.status(c.h.now())
	c.session.settle()
	return s
}

// with does something with the session under way, and has the timer look at what follows.
func (c *Channel) with(do func(*session) error) error {
	c.mu.Lock()
	s := c.session
	if s == nil {
		c.mu.Unlock()
		return fmt.Errorf("channel %s: %w", c.name, ErrNotRunning)
	}
	err := do(s)
	todo, due := s.pending()
	c.mu.Unlock()
	c.h.poke(todo, due)
	if err != nil {
		return fmt.Errorf("channel %s: %w", c.name, err)
	}
	return nil
}

// Exit ends event handling (C1). Without force it takes no more triggers, ends what is being
// recorded, and waits until all messages, pictures and video have gone; when ctx ends first it
// becomes forced. With force it stops at once: every picture gets its result, and what was left
// is returned. A second exit is refused with ErrExiting; a forced one forces the one under way,
// which then returns ErrForced.
func (c *Channel) Exit(ctx context.Context, force bool) (Left, error) {
	c.mu.Lock()
	s := c.session
	switch {
	case s == nil:
		c.mu.Unlock()
		return Left{}, fmt.Errorf("channel %s: %w", c.name, ErrNotRunning)
	case s.machine.leaving && (!force || s.forced):
		c.mu.Unlock()
		return Left{}, fmt.Errorf("channel %s: %w", c.name, ErrExiting)
	}
	if force {
		s.force(c.h.now())
	} else {
		s.machine.leave(c.h.now(), false)
	}
	s.settle()
	todo, due := s.pending()
	c.mu.Unlock()
	c.h.poke(todo, due)
	if force {
		return c.finish(s), nil
	}
	select {
	case <-s.done:
		left := c.finish(s)
		if c.wasForced(s) {
			return left, fmt.Errorf("channel %s: %w", c.name, ErrForced)
		}
		return left, nil
	case <-ctx.Done():
	}
	left, err := c.Exit(ctx, true)
	if errors.Is(err, ErrExiting) || errors.Is(err, ErrNotRunning) { // somebody else has forced it
		return c.finish(s), fmt.Errorf("channel %s: %w", c.name, ErrForced)
	}
	return left, fmt.Errorf("channel %s: %w: %w", c.name, ErrForced, context.Cause(ctx))
}

// finish waits until a session that leaves has left, but not for ever, and forgets it.
func (c *Channel) finish(s *session) Left {
	t := time.NewTimer(axe)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
		c.h.log.Error("an application's callback does not return", "channel", c.name)
	}
	c.mu.Lock()
	left, mine := s.left, c.session == s
	if mine {
		c.session = nil
	}
	c.mu.Unlock()
	if mine {
		s.cancel()
		c.h.part(c)
	}
	return left
}

func (c *Channel) wasForced(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.forced
}

// turn is the timer's look: when the channel is due, and its session where it wants a worker.
func (c *Channel) turn(now Instant) (due int64, job *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.session
	if s == nil {
		return never, nil
	}
	s.machine.tick(now)
	if s.settle(); len(s.machine.out) > 0 && !s.busy {
		s.busy = true
		job = s
	}
	return s.machine.due, job
}

// noWorker takes back that a session has a worker.
func (c *Channel) noWorker(s *session) {
	c.mu.Lock()
	s.busy = false
	c.mu.Unlock()
}
