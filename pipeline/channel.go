package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/millrace-video/millrace/pool"
)

// Channel is one camera with its pipeline. Init, Start, Pause and Exit are its commands (P4);
// a second call of any of them is harmless. They may be called from any goroutine.
type Channel struct {
	eng     *Engine
	def     *Definition
	log     *slog.Logger
	machine *machine
	turn    chan struct{} // held by the command under way

	gate   *gate // shut: stages park
	urgent atomic.Bool
	saidNo sync.Once // the refusal of a priority

	mu      sync.Mutex // guards what Init replaces
	tee     *Tee
	head    *head
	workers *pool.Workers
	branch  []*branch
	soft    context.Context //nolint:containedctx // a run's life, made by Init and ended by Exit; stages get it as an argument
	hard    context.Context //nolint:containedctx // as above: the axe
	leave   context.CancelFunc
	axe     context.CancelCauseFunc
	left    chan struct{} // closed when the acquire worker has left
}

func newChannel(eng *Engine, def *Definition) *Channel {
	return &Channel{
		eng: eng, def: def, log: eng.cfg.Logger, gate: newGate(), turn: make(chan struct{}, 1),
		machine: &machine{channel: def.Name, clock: eng.clock, log: eng.cfg.Logger, tell: eng.cfg.OnEvent},
	}
}

// Name returns the channel's name.
func (c *Channel) Name() string { return c.def.Name }

// State returns what the channel is doing.
func (c *Channel) State() State {
	_, s, _, _ := c.machine.now()
	return s
}

// take waits for the command under way.
func (c *Channel) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("channel %s: another command is under way: %w", c.Name(), context.Cause(ctx))
	}
}

func (c *Channel) yield() { <-c.turn }

// Init takes every resource or none; afterwards all stages stand parked until Start. It fails
// with a *StageError that names the stage. A camera that is not there is no failure.
func (c *Channel) Init() error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	defer c.yield()
	if p, _, _, _ := c.machine.now(); p != phaseExited {
		if p == phaseExiting {
			return fmt.Errorf("channel %s: %w: %w", c.Name(), ErrExiting, c.notLeft())
		}
		return nil
	}
	if err := c.setUp(); err != nil {
		c.machine.because(err.Error())
		return err
	}
	c.machine.fire(cmdInit, "")
	return nil
}

// Start lets the frames flow, from the next key frame on where they flowed before.
func (c *Channel) Start() error {
	return c.command(cmdStart, func() {
		c.head.forgive()
		c.gate.set(true)
		c.head.goOn.set(true)
	})
}

// Pause parks every stage between two frames; queues keep what they hold. A live source stays
// alive and its frames are let go, counted as gated. It returns when the branches are parked,
// or after the engine's AxeTimeout where one is still at work on a frame: that one parks later.
func (c *Channel) Pause() error {
	return c.command(cmdPause, func() {
		if p, _, _, _ := c.machine.now(); p != phasePaused {
			return
		}
		c.gate.set(false)
		c.head.closeOnPause()
		c.wakeAll()
		c.gate.await(c.eng.cfg.AxeTimeout, c.allParked)
	})
}

// wakeAll has every stage that sleeps at its queue look up.
func (c *Channel) wakeAll() {
	c.head.trunk.interrupt()
	for _, b := range c.branch {
		b.in.Interrupt()
	}
}

func (c *Channel) allParked() bool {
	for _, b := range c.branch {
		if !b.run.parked.Load() && !b.isDown() {
			return false
		}
	}
	return true
}

func (c *Channel) command(t trigger, act func()) error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	defer c.yield()
	if !c.machine.fire(t, "command") {
		p, s, _, _ := c.machine.now()
		if p == phaseExiting {
			return fmt.Errorf("channel %s: %w: %w", c.Name(), ErrExiting, c.notLeft())
		}
		return fmt.Errorf("channel %s is %s: %w", c.Name(), s, ErrNotInitialised)
	}
	if p, _, _, _ := c.machine.now(); p != phaseExited {
		act()
	}
	return nil
}

// Exit ends the channel in order: the source, then every queue drains and every stage finishes
// what it holds, paused or not. When ctx ends first the rest is cancelled; a stage that then
// does not leave is named in the error (ErrNotLeft), and the channel stays Exiting until a
// later Exit finds it gone. Without a deadline the engine's ExitTimeout holds.
func (c *Channel) Exit(ctx context.Context) error {
	ctx, cancel := c.eng.exitContext(ctx)
	defer cancel()
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.yield()
	if p, _, _, _ := c.machine.now(); p == phaseExited {
		return nil
	}
	c.beginExit()
	return c.finishExit(ctx)
}

// beginExit tells every stage and wakes it.
func (c *Channel) beginExit() {
	if p, _, _, _ := c.machine.now(); p == phaseExited {
		return
	}
	c.machine.fire(cmdExit, "command")
	c.leave()
	c.gate.set(true)
}

// finishExit waits until each stage has left, then frees what Init took.
func (c *Channel) finishExit(ctx context.Context) error {
	gentle := c.await(ctx)
	if gentle != nil {
		c.cutOff()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.eng.cfg.AxeTimeout)
		defer cancel()
		if err := c.await(grace); err != nil {
			c.machine.because(err.Error())
			return err
		}
		gentle = fmt.Errorf("channel %s: %w: what was not yet done is dropped", c.Name(), context.Cause(ctx))
	}
	c.free()
	c.gate.set(false)
	c.machine.fire(onLeft, "")
	return gentle
}

// await waits until every worker has left; the error names those that have not.
func (c *Channel) await(ctx context.Context) error {
	select {
	case <-c.left:
	case <-ctx.Done():
		return c.notLeft()
	}
	c.tee.Close()
	for _, b := range c.branch {
		b.in.Close()
	}
	for _, b := range c.branch {
		select {
		case <-b.done:
		case <-ctx.Done():
			return c.notLeft()
		}
	}
	return nil
}

// notLeft names the stages whose workers have not left.
func (c *Channel) notLeft() error {
	var errs []error
	blame := func(stage string) {
		errs = append(errs, &StageError{Channel: c.Name(), Stage: stage, Err: ErrNotLeft})
	}
	if !closed(c.left) {
		if stuck := c.head.trunk.working(); len(stuck) > 0 {
			for _, s := range stuck {
				blame(s)
			}
		} else {
			blame(acquireName)
		}
	}
	for _, b := range c.branch {
		if !closed(b.done) {
			blame(b.name)
		}
	}
	return errors.Join(errs...)
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// cutOff drops what is still to do and closes the source under a Read.
func (c *Channel) cutOff() {
	c.axe(ErrExiting)
	c.head.trunk.cancel()
	for _, b := range c.branch {
		b.in.Cancel()
	}
	c.head.abandon()
}

// holdBack says whether the source that comes next can be held back: then every queue waits.
func (c *Channel) holdBack(waits bool) {
	c.tee.setWaits(waits)
	for _, b := range c.branch {
		b.in.setWaits(waits)
	}
}

func (c *Channel) softContext() context.Context { return c.soft }
func (c *Channel) hardContext() context.Context { return c.hard }
