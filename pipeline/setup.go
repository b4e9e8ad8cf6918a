package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/pool"
)

// setUp is Init's work: all or nothing. What was taken is given back in reverse where one
// stage cannot start.
func (c *Channel) setUp() (err error) {
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	workers, err := c.eng.reserve(c.def.workers())
	if err != nil {
		return fmt.Errorf("channel %s: %w", c.Name(), err)
	}
	undo = append(undo, workers.Close)
	if err := c.build(workers); err != nil {
		return err
	}
	undo = append(undo, func() { c.axe(nil); c.leave() })
	for i, ts := range c.head.trunk.stages {
		if err := c.openStage(ts.stage, c.head.trunk.env(i)); err != nil {
			return err
		}
		undo = append(undo, func() { _ = guard(ts.stage.Close) }) //nolint:errcheck // the failure that led here is reported
	}
	for _, b := range c.branch {
		if err := c.openBranch(b); err != nil {
			return err
		}
		undo = append(undo, func() { _ = guard(b.stage.Close) }) //nolint:errcheck // as above
	}
	return c.startWorkers()
}

// build makes what a channel needs before its stages are opened.
func (c *Channel) build(workers *pool.Workers) error {
	keep := 0
	if c.def.keepsTail() {
		keep = c.eng.cfg.Replay
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers = workers
	c.soft, c.leave = context.WithCancel(context.Background())
	c.hard, c.axe = context.WithCancelCause(context.Background())
	c.left = make(chan struct{})
	c.urgent.Store(false)
	c.tee = NewTee(keep)
	c.branch = nil
	for _, d := range c.def.branches {
		b, err := newBranch(c, d)
		if err != nil {
			return &StageError{Channel: c.Name(), Stage: d.name, Err: err}
		}
		c.branch = append(c.branch, b)
	}
	c.head = newHead(c)
	c.tee.onUrgency = func(urgent bool) {
		c.urgent.Store(urgent)
		c.head.setUrgent(urgent)
	}
	return nil
}

// openBranch opens a branch's stage and joins it, unless it is to be asked for.
func (c *Channel) openBranch(b *branch) error {
	if err := c.openStage(b.stage, b.env()); err != nil {
		var at *StageError
		if errors.As(err, &at) {
			at.Stage = b.name
		}
		return err
	}
	if !b.in.limit.OnDemand {
		c.tee.Join(b.in)
	}
	return nil
}

// startWorkers starts every stage's loop, parked. Workers are reserved, so that this fails
// only where the engine is leaving; then those that run are told to leave too.
func (c *Channel) startWorkers() error {
	started := 0
	for _, b := range c.branch {
		if err := b.start(); err != nil {
			return c.unwind(started, fmt.Errorf("channel %s, branch %s: %w", c.Name(), b.name, err))
		}
		started++
	}
	head := c.head
	soft := c.soft
	left := c.left
	err := c.workers.GoThread(func(t *pool.Thread) error {
		if head.origin.Nice != 0 {
			c.renice(t, acquireName, head.origin.Nice)
		}
		return head.loop(soft)
	}, func(err error) {
		if err != nil {
			c.log.Error("acquire worker failed", "channel", c.Name(), "cause", describe(err))
		}
		head.trunk.close()
		close(left)
	})
	if err != nil {
		return c.unwind(started, fmt.Errorf("channel %s: %w", c.Name(), err))
	}
	return nil
}

func (c *Channel) unwind(started int, err error) error {
	c.axe(err)
	for _, b := range c.branch[:started] {
		b.in.Cancel()
		<-b.done
	}
	return err
}

// free gives back what Init took.
func (c *Channel) free() {
	for _, b := range c.branch {
		b.in.Cancel()
	}
	c.axe(nil)
	c.workers.Close()
}

// openStage opens a stage within the engine's InitTimeout; the error names it.
func (c *Channel) openStage(s Stage, env Env) error {
	ctx, cancel := context.WithTimeout(c.hard, c.eng.cfg.InitTimeout)
	defer cancel()
	if err := guard(func() error { return s.Open(ctx, env) }); err != nil {
		return &StageError{Channel: c.Name(), Stage: s.Name(), Err: err}
	}
	return nil
}

// env is what every stage gets; queues and demand come on top.
func (c *Channel) env(s Stage) Env {
	head := c.head
	return Env{
		Channel: c.Name(), Workers: c.workers, Clock: c.eng.clock,
		Log:             c.log.With("channel", c.Name(), "stage", s.Name()),
		Want:            func(bool) {},
		RequestKeyFrame: func() { head.requestKeyFrame() },
	}
}

// prioritise gives a stage's thread the nice value that the stage asks for.
func (c *Channel) prioritise(t *pool.Thread, s Stage) {
	if p, ok := s.(Prioritised); ok && p.Nice() != 0 {
		c.renice(t, s.Name(), p.Nice())
	}
}

// renice says once for a channel that the system refuses a priority; the stage runs on (P5).
func (c *Channel) renice(t *pool.Thread, stage string, nice int) {
	if err := t.SetNice(nice); err != nil {
		c.saidNo.Do(func() {
			c.log.Warn("priority refused; the stage runs at the usual one", "channel", c.Name(), "stage", stage, "nice", nice,
				"cause", err.Error(), "remedy", "run with CAP_SYS_NICE, or set the stage's nice to 0")
		})
	}
}
