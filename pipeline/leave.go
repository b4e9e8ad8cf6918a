package pipeline

import (
	"context"
	"errors"
)

// unpark lets everything go on, sources that failed or ended too.
func (a *assembly) unpark() {
	a.head.forgive()
	a.gate.set(true)
	a.head.goOn.set(true)
}

// park shuts the gate and returns when the branches stand before it, or after AxeTimeout.
func (a *assembly) park() {
	a.gate.set(false)
	a.head.closeOnPause()
	a.head.trunk.interrupt()
	for _, b := range a.branches {
		b.in.Interrupt()
	}
	a.gate.await(a.eng.cfg.AxeTimeout, a.allParked)
}

func (a *assembly) allParked() bool {
	for _, b := range a.branches {
		if !b.run.parked.Load() && !b.isDown() {
			return false
		}
	}
	return true
}

// dismiss tells every stage to leave in order, and wakes it.
func (a *assembly) dismiss() {
	a.leave()
	a.gate.set(true)
}

// endBranches ends the branches' streams: the acquire worker has left, nothing more comes.
func (a *assembly) endBranches() {
	a.tee.Close()
	for _, b := range a.branches {
		b.in.Close()
	}
}

// await waits until every worker has left; the error names those that have not.
func (a *assembly) await(ctx context.Context) error {
	all := append(make([]<-chan struct{}, 0, 1+len(a.branches)), a.left)
	for _, b := range a.branches {
		all = append(all, b.done)
	}
	for _, left := range all {
		select {
		case <-left:
		case <-ctx.Done():
			return a.notLeft() // nil where they have by now
		}
	}
	return nil
}

// notLeft names the stages whose workers have not left.
func (a *assembly) notLeft() error {
	var errs []error
	blame := func(stage string) {
		errs = append(errs, &StageError{Channel: a.Name(), Stage: stage, Err: ErrNotLeft})
	}
	if !closed(a.left) {
		stuck := a.head.trunk.working()
		if len(stuck) == 0 {
			stuck = []string{acquireName}
		}
		for _, s := range stuck {
			blame(s)
		}
	}
	for _, b := range a.branches {
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
func (a *assembly) cutOff() {
	a.axe(ErrExiting)
	a.head.trunk.cancel()
	for _, b := range a.branches {
		b.in.Cancel()
	}
	a.head.abandon()
}

// free gives back what Init took.
func (a *assembly) free() {
	for _, b := range a.branches {
		b.in.Cancel()
	}
	a.axe(nil)
	a.workers.Close()
}
