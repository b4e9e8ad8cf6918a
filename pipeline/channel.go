package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// Channel is one camera with its pipeline. Init, Start, Pause and Exit are its commands (P4);
// a second call of any of them is harmless. They may be called from any goroutine.
type Channel struct {
	eng     *Engine
	def     *Definition
	log     *slog.Logger
	machine *machine
	turn    chan struct{} // held by the command under way
	saidNo  sync.Once     // the refusal of a priority

	mu  sync.Mutex
	has *assembly // what the last Init took; nil before the first
}

func newChannel(eng *Engine, def *Definition) *Channel {
	return &Channel{
		eng: eng, def: def, log: eng.cfg.Logger, turn: make(chan struct{}, 1),
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

// assembly returns what the last Init took, or nil.
func (c *Channel) assembly() *assembly {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.has
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
			return fmt.Errorf("channel %s: %w: %w", c.Name(), ErrExiting, c.assembly().notLeft())
		}
		return nil
	}
	a, err := assemble(c)
	if err != nil {
		c.machine.because(err.Error())
		return err
	}
	c.mu.Lock()
	c.has = a
	c.mu.Unlock()
	c.machine.fire(cmdInit, "")
	return nil
}

// Start lets the frames flow, from the next key frame on where they flowed before.
func (c *Channel) Start() error {
	return c.command(cmdStart, func(a *assembly) {
		a.head.forgive()
		a.gate.set(true)
		a.head.goOn.set(true)
	})
}

// Pause parks every stage between two frames; queues keep what they hold. A live source stays
// alive and its frames are let go, counted as gated. It returns when the branches are parked,
// or after the engine's AxeTimeout where one is still at work on a frame: that one parks later.
func (c *Channel) Pause() error {
	return c.command(cmdPause, func(a *assembly) {
		if p, _, _, _ := c.machine.now(); p == phasePaused {
			a.park()
		}
	})
}

func (c *Channel) command(t trigger, act func(*assembly)) error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	defer c.yield()
	if !c.machine.fire(t, "") {
		p, s, _, _ := c.machine.now()
		if p == phaseExiting {
			return fmt.Errorf("channel %s: %w: %w", c.Name(), ErrExiting, c.assembly().notLeft())
		}
		return fmt.Errorf("channel %s is %s: %w", c.Name(), s, ErrNotInitialised)
	}
	if p, _, _, _ := c.machine.now(); p != phaseExited {
		act(c.assembly())
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
	c.machine.fire(cmdExit, "")
	c.assembly().dismiss()
}

// finishExit waits until each stage has left, then frees what Init took.
func (c *Channel) finishExit(ctx context.Context) error {
	a := c.assembly()
	gentle := a.await(ctx)
	if gentle != nil {
		a.cutOff()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.eng.cfg.AxeTimeout)
		defer cancel()
		if err := a.await(grace); err != nil {
			c.machine.because(err.Error())
			return err
		}
		gentle = fmt.Errorf("channel %s: %w: what was not yet done is dropped", c.Name(), context.Cause(ctx))
	}
	a.free()
	c.machine.fire(onLeft, "")
	return gentle
}
