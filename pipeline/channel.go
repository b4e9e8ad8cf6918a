package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// Channel is one camera with its pipeline. Init, Start, Pause and Exit are its commands (P4);
// a second call of any of them is harmless. They may be called from any goroutine.
type Channel struct {
	eng     *Engine
	def     *Definition
	log     *slog.Logger
	machine *machine
	turn    chan struct{}          // held by the command under way
	removed bool                   // the engine has forgotten it; who holds the turn reads and writes it
	saidNo  sync.Once              // the refusal of a priority
	opening atomic.Pointer[string] // the stage that Init opens
	lost    *losses                // why frames did not come, to any branch
	lostIn  map[string]*losses     // and to each by its name; never changed

	mu  sync.Mutex
	has *assembly // what the last Init took; nil before the first
}

func newChannel(eng *Engine, def *Definition) *Channel {
	c := &Channel{
		eng: eng, def: def, log: eng.cfg.Logger, turn: make(chan struct{}, 1),
		machine: &machine{channel: def.Name, clock: eng.clock, log: eng.cfg.Logger, tell: eng.cfg.OnEvent},
		lost:    &losses{}, lostIn: map[string]*losses{},
	}
	for _, b := range def.branches {
		c.lostIn[b.name] = &losses{}
	}
	c.lost.note(eng.clock.Mono(), LostExit, "the channel was not initialised")
	return c
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
	if c.tryTake() {
		return nil
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		err := fmt.Errorf("channel %s: another command is under way: %w", c.Name(), context.Cause(ctx))
		if stage := c.opening.Load(); stage != nil {
			err = fmt.Errorf("%w: %w", err, &StageError{Channel: c.Name(), Stage: *stage, Err: errStillOpening})
		}
		return err
	}
}

// tryTake takes the turn where no command is under way.
func (c *Channel) tryTake() bool {
	select {
	case c.turn <- struct{}{}:
		return true
	default:
		return false
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
	return c.initialise()
}

// initialise is Init for who holds the turn.
func (c *Channel) initialise() error {
	if c.removed {
		return fmt.Errorf("channel %q: %w", c.Name(), ErrNoChannel)
	}
	if p, _, _, _ := c.machine.now(); p != phaseExited {
		if p == phaseExiting {
			return c.stillExiting()
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
	c.lost.flow(c.eng.clock.Mono())
	c.machine.fire(cmdInit, "")
	return nil
}

// Start lets the frames flow, from the next key frame on where they flowed before.
func (c *Channel) Start() error {
	return c.command(cmdStart, (*assembly).unpark, func(*assembly) {})
}

// Pause parks every stage between two frames; queues keep what they hold. A live source stays
// alive and its frames are let go, counted as gated. It returns when the branches are parked,
// or after the engine's AxeTimeout where one is still at work on a frame: that one parks later.
func (c *Channel) Pause() error {
	return c.command(cmdPause, func(*assembly) {}, func(a *assembly) {
		if p, _, _, _ := c.machine.now(); p == phasePaused {
			a.park()
		}
	})
}

// command fires a trigger with what belongs to the same step, and then does the rest.
func (c *Channel) command(t trigger, step, rest func(*assembly)) error {
	if err := c.take(context.Background()); err != nil {
		return err
	}
	defer c.yield()
	a := c.assembly()
	if !c.machine.fire(t, "", func() { step(a) }) {
		p, s, _, _ := c.machine.now()
		if p == phaseExiting {
			return c.stillExiting()
		}
		return fmt.Errorf("channel %s is %s: %w", c.Name(), s, ErrNotInitialised)
	}
	rest(a)
	return nil
}

// stillExiting is the answer to a command that comes before the exit is through.
func (c *Channel) stillExiting() error {
	if stuck := c.assembly().notLeft(); stuck != nil {
		return fmt.Errorf("channel %s: %w: %w", c.Name(), ErrExiting, stuck)
	}
	return fmt.Errorf("channel %s: %w: every stage has left by now; exit it once more", c.Name(), ErrExiting)
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
	c.beginExit()
	return finishExit(ctx, c)
}

// beginExit tells every stage and wakes it.
func (c *Channel) beginExit() {
	if c.State() == Exited {
		return
	}
	c.machine.fire(cmdExit, "")
	c.lost.note(c.eng.clock.Mono(), LostExit, "the channel was exited")
	c.assembly().dismiss()
}

// finishExit waits until each stage of these channels has left, then frees what Init took. The
// time they are given, and the grace after it, is for all of them together.
func finishExit(ctx context.Context, leaving ...*Channel) error {
	cut := map[*Channel]bool{}
	for _, c := range leaving {
		if c.State() != Exited && c.assembly().await(ctx) != nil {
			cut[c] = true
			c.assembly().cutOff()
		}
	}
	var errs []error
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if len(cut) > 0 {
		grace, cancel = context.WithTimeout(grace, leaving[0].eng.cfg.AxeTimeout)
		defer cancel()
	}
	for _, c := range leaving {
		if c.State() == Exited {
			continue
		}
		if err := c.assembly().await(grace); err != nil {
			c.machine.because(err.Error())
			errs = append(errs, err)
			continue
		}
		c.assembly().free()
		c.machine.fire(onLeft, "")
		if cut[c] {
			errs = append(errs, fmt.Errorf("channel %s: %w: what was not yet done is dropped", c.Name(), context.Cause(ctx)))
		}
	}
	return errors.Join(errs...)
}
