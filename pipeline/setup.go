package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/millrace-video/millrace/pool"
)

// assembly is what Init takes and Exit gives back: the channel's workers, queues and stages
// from one Init to the next Exit. Its fields do not change once it is made.
type assembly struct {
	*Channel

	workers  *pool.Workers
	gate     *gate // shut: stages park
	tee      *Tee
	head     *head
	branches []*branch
	urgent   atomic.Bool // some branch waits for each frame

	soft  context.Context //nolint:containedctx // the life of the workers, which get it as an argument: done, they leave in order
	hard  context.Context //nolint:containedctx // as above: done, they drop what they hold
	leave context.CancelFunc
	axe   context.CancelCauseFunc
	left  chan struct{} // closed when the acquire worker has left
}

// assemble is Init's work: all or nothing. What was taken is given back in reverse where one
// stage cannot start.
func assemble(c *Channel) (_ *assembly, err error) {
	var undo []func()
	defer func() {
		if err != nil {
			for _, giveBack := range slices.Backward(undo) {
				giveBack()
			}
		}
	}()
	workers, err := c.eng.reserve(c.def.workers())
	if err != nil {
		return nil, fmt.Errorf("channel %s: %w", c.Name(), err)
	}
	undo = append(undo, workers.Close)
	a, err := build(c, workers)
	if err != nil {
		return nil, err
	}
	undo = append(undo, func() { a.axe(nil); a.leave() })
	defer c.opening.Store(nil)
	for i, ts := range a.head.trunk.stages {
		name := ts.stage.Name()
		c.opening.Store(&name)
		if err := a.openStage(a.hard, ts.stage, a.head.trunk.env(i)); err != nil {
			return nil, err
		}
		undo = append(undo, func() { _ = guard(ts.stage.Close) }) //nolint:errcheck // the failure that led here is reported
	}
	for _, b := range a.branches {
		c.opening.Store(&b.name)
		if err := a.openBranch(b); err != nil {
			return nil, err
		}
		undo = append(undo, func() {
			if !closed(b.done) { // whose worker ran has closed it
				_ = guard(b.stage.Close) //nolint:errcheck // as above
			}
		})
	}
	return a, a.startWorkers()
}

// build makes what a channel needs before its stages are opened.
func build(c *Channel, workers *pool.Workers) (*assembly, error) {
	keep := 0
	if c.def.keepsTail() {
		keep = c.eng.cfg.Replay
	}
	a := &assembly{Channel: c, workers: workers, gate: newGate(), tee: NewTee(keep), left: make(chan struct{})}
	for _, d := range c.def.branches {
		b, err := newBranch(a, d)
		if err != nil {
			return nil, &StageError{Channel: c.Name(), Stage: d.name, Err: err}
		}
		a.branches = append(a.branches, b)
	}
	a.soft, a.leave = context.WithCancel(context.Background())
	a.hard, a.axe = context.WithCancelCause(context.Background())
	a.head = newHead(a)
	a.tee.onUrgency = func(urgent bool) {
		a.urgent.Store(urgent)
		a.head.setUrgent()
	}
	return a, nil
}

// openBranch opens a branch's stage and joins it, unless it is to be asked for.
func (a *assembly) openBranch(b *branch) error {
	if err := a.openStage(a.hard, b.stage, b.env()); err != nil {
		if at, ok := errors.AsType[*StageError](err); ok {
			at.Stage = b.name
		}
		return err
	}
	if !b.in.limit.OnDemand {
		a.tee.Join(b.in)
	}
	return nil
}

// startWorkers starts every stage's loop, parked. Workers are reserved, so that this fails
// only where the engine is leaving; then those that run are told to leave too.
func (a *assembly) startWorkers() error {
	started := 0
	for _, b := range a.branches {
		if err := b.start(); err != nil {
			return a.unwind(started, fmt.Errorf("channel %s, branch %s: %w", a.Name(), b.name, err))
		}
		started++
	}
	err := a.workers.GoThread(func(t *pool.Thread) error {
		if nice := a.head.origin.Nice; nice != 0 {
			a.renice(t, acquireName, nice)
		}
		a.head.loop(a.soft)
		return nil
	}, func(err error) {
		if err != nil {
			a.log.Error("acquire worker failed", "channel", a.Name(), "cause", describe(err))
		}
		a.head.trunk.close()
		a.endBranches()
		close(a.left)
	})
	if err != nil {
		return a.unwind(started, fmt.Errorf("channel %s: %w", a.Name(), err))
	}
	return nil
}

func (a *assembly) unwind(started int, err error) error {
	a.axe(err)
	for _, b := range a.branches[:started] {
		b.in.Cancel()
		<-b.done
	}
	return err
}

// openStage opens a stage within the engine's InitTimeout; the error names it.
func (a *assembly) openStage(ctx context.Context, s Stage, env Env) error {
	ctx, cancel := context.WithTimeout(ctx, a.eng.cfg.InitTimeout)
	defer cancel()
	if err := guard(func() error { return s.Open(ctx, env) }); err != nil {
		return &StageError{Channel: a.Name(), Stage: s.Name(), Err: err}
	}
	return nil
}

// env is what every stage gets; queues and demand come on top.
func (a *assembly) env(s Stage) Env {
	return Env{
		Channel: a.Name(), Workers: a.workers, Clock: a.eng.clock, Reserve: a.eng.chunks,
		Log:             a.log.With("channel", a.Name(), "stage", s.Name()),
		Want:            func(bool) {},
		Losses:          func(int64) []Loss { return nil },
		Mark:            func() {},
		Resume:          func() {},
		RequestKeyFrame: a.head.requestKeyFrame,
	}
}

// prioritise gives a stage's thread the nice value that the stage asks for.
func (a *assembly) prioritise(t *pool.Thread, s Stage) {
	if p, ok := s.(Prioritised); ok && p.Nice() != 0 {
		a.renice(t, s.Name(), p.Nice())
	}
}

// renice says once for a channel that the system refuses a priority; the stage runs on (P5).
func (a *assembly) renice(t *pool.Thread, stage string, nice int) {
	if err := t.SetNice(nice); err != nil {
		a.saidNo.Do(func() {
			a.log.Warn("priority refused; the stage runs at the usual one", "channel", a.Name(), "stage", stage, "nice", nice,
				"cause", err.Error(), "remedy", "run with CAP_SYS_NICE, or set the stage's nice to 0")
		})
	}
}

// holdBack says whether the source that comes next can be held back: then every queue waits.
func (a *assembly) holdBack(waits bool) {
	a.tee.setWaits(waits)
	for _, b := range a.branches {
		b.in.setWaits(waits)
	}
}
