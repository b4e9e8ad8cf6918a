package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Config is an engine's settings. The zero value works.
type Config struct {
	Logger      *slog.Logger  // default: silent
	Clock       *hal.Clock    // default: the system's
	Workers     int           // threads of all channels together; default 65,536
	Replay      int           // bytes since the last key frame kept for a branch that joins; default 2 MiB, −1 keeps none
	Backoff     hal.Backoff   // of sources and stages that fell; default 1 s to 30 s, a fifth of it chance (P8)
	InitTimeout time.Duration // for opening one stage; default 10 s
	ExitTimeout time.Duration // for an Exit whose context has no deadline; default 10 s
	AxeTimeout  time.Duration // for leaving once cancelled; default 1 s
	OnEvent     func(Event)   // told every change of a channel's state, in their order; must not block, may not command the channel
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = hal.NewClock()
	}
	switch {
	case c.Replay < 0:
		c.Replay = 0
	case c.Replay == 0:
		c.Replay = 2 << 20
	}
	orDefault := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	orDefault(&c.InitTimeout, 10*time.Second)
	orDefault(&c.ExitTimeout, 10*time.Second)
	orDefault(&c.AxeTimeout, time.Second)
	c.Backoff = c.Backoff.Or(hal.Backoff{First: time.Second, Max: 30 * time.Second, Jitter: 0.2})
	return c
}

// Engine is many channels side by side: their threads, their one timer, their ordered exit.
type Engine struct {
	cfg   Config
	clock *hal.Clock
	alarm *alarm

	chunks *pool.Reserve // memory of all channels' encoded frames

	turn chan struct{} // held by the Exit under way

	mu       sync.Mutex
	channels map[string]*Channel
	exiting  bool

	startMu   sync.Mutex // guards the start and the end of what follows
	pool      *pool.Pool
	own       *pool.Workers // the alarm's share
	stopAlarm context.CancelFunc
}

// NewEngine returns an engine without channels. Nothing runs before the first Init.
func NewEngine(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	return &Engine{cfg: cfg, clock: cfg.Clock, alarm: newAlarm(cfg.Clock), chunks: pool.NewReserve(), turn: make(chan struct{}, 1), channels: map[string]*Channel{}}
}

// Define adds a channel without initialising it.
func (e *Engine) Define(def *Definition) (*Channel, error) {
	if err := def.Validate(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.exiting {
		return nil, ErrExiting
	}
	if _, ok := e.channels[def.Name]; ok {
		return nil, fmt.Errorf("channel %s: %w", def.Name, ErrExists)
	}
	c := newChannel(e, def)
	e.channels[def.Name] = c
	return c, nil
}

// Add adds a channel and initialises it. Where Init fails the channel is not added.
func (e *Engine) Add(def *Definition) (*Channel, error) {
	c, err := e.Define(def)
	if err != nil {
		return nil, err
	}
	if err := c.take(context.Background()); err != nil {
		return nil, err
	}
	defer c.yield()
	if err := c.initialise(); err != nil {
		e.forget(c)
		return nil, err
	}
	return c, nil
}

// forget takes an exited channel out. The caller holds its turn; it cannot be initialised again.
func (e *Engine) forget(c *Channel) {
	c.removed = true
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.channels[c.Name()] == c {
		delete(e.channels, c.Name())
	}
}

// Remove exits a channel and forgets it. Where the exit has an error the channel stays.
func (e *Engine) Remove(ctx context.Context, name string) error {
	c, err := e.Channel(name)
	if err != nil {
		return err
	}
	ctx, cancel := e.exitContext(ctx)
	defer cancel()
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.yield()
	c.beginExit()
	if err := finishExit(ctx, c); err != nil {
		return err
	}
	e.forget(c)
	return nil
}

// Channel returns the channel of that name, or ErrNoChannel.
func (e *Engine) Channel(name string) (*Channel, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.channels[name]
	if !ok {
		return nil, fmt.Errorf("channel %q: %w", name, ErrNoChannel)
	}
	return c, nil
}

// Channels returns all channels, by name.
func (e *Engine) Channels() []*Channel {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*Channel, 0, len(e.channels))
	for _, c := range e.channels {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Channel) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// Exit ends all channels at once, each in order, and then the engine's own threads. The error
// names every stage that did not leave. No channel can be added or initialised any more.
func (e *Engine) Exit(ctx context.Context) error {
	ctx, cancel := e.exitContext(ctx)
	defer cancel()
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrExiting, context.Cause(ctx))
	}
	e.mu.Lock()
	e.exiting = true
	e.mu.Unlock()
	var errs []error
	var leaving, busy []*Channel
	for _, c := range e.Channels() {
		if !c.tryTake() {
			busy = append(busy, c) // its command holds up no other channel
			continue
		}
		c.beginExit()
		leaving = append(leaving, c)
	}
	for _, c := range busy {
		if err := c.take(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		c.beginExit()
		leaving = append(leaving, c)
	}
	errs = append(errs, finishExit(ctx, leaving...))
	for _, c := range leaving {
		c.yield()
	}
	errs = append(errs, e.stop())
	e.chunks.Release()
	return errors.Join(errs...)
}

// exitContext gives ctx the engine's deadline where it has none of its own.
func (e *Engine) exitContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, e.cfg.ExitTimeout, fmt.Errorf("exit took longer than %s", e.cfg.ExitTimeout))
}

// reserve sets a share of workers aside, starting the engine's threads with the first.
func (e *Engine) reserve(n int) (*pool.Workers, error) {
	e.startMu.Lock()
	defer e.startMu.Unlock()
	if e.isExiting() { // asked here: once stop has had the lock nothing starts again
		return nil, ErrExiting
	}
	if e.pool == nil {
		if err := e.start(); err != nil {
			return nil, err
		}
	}
	return e.pool.Reserve(n)
}

func (e *Engine) isExiting() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.exiting
}

// beside runs what may hang on a worker that belongs to no channel. Its error is nobody's.
func (e *Engine) beside(job func() error) {
	e.startMu.Lock()
	defer e.startMu.Unlock()
	if e.pool == nil {
		return
	}
	spare, err := e.pool.Reserve(1)
	if err != nil {
		e.cfg.Logger.Warn("no worker is left to close a source that does not give up", "cause", err.Error())
		return
	}
	defer spare.Close() // given back when the job is done
	if err := spare.Go(job, nil); err != nil {
		e.cfg.Logger.Warn("a source that does not give up is not closed", "cause", err.Error())
	}
}

func (e *Engine) start() error {
	p, err := pool.NewPool(e.cfg.Workers)
	if err != nil {
		return err
	}
	own, err := p.Reserve(1)
	if err != nil {
		return errors.Join(err, p.Close(time.Second))
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := own.Go(func() error { return e.alarm.run(ctx) }, nil); err != nil {
		cancel()
		return errors.Join(err, p.Close(time.Second))
	}
	e.pool, e.own, e.stopAlarm = p, own, cancel
	return nil
}

// stop ends the engine's own threads. Those of a stage that did not leave stay.
func (e *Engine) stop() error {
	e.startMu.Lock()
	threads := e.pool
	e.pool = nil
	e.startMu.Unlock()
	if threads == nil {
		return nil
	}
	e.stopAlarm()
	e.own.Wait()
	e.own.Close()
	return threads.Close(e.cfg.AxeTimeout)
}
