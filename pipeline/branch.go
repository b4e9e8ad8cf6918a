package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/millrace-video/millrace/pool"
)

// branch is a stage with a queue of its own under the tee. What fails in it is started again
// with back-off; meanwhile its queue fills and drops by its policy.
type branch struct {
	ch    *assembly
	name  string
	stage Stage
	in    *Queue
	lost  *losses // its own
	run   *runner
	done  chan struct{} // closed when the worker has left

	mu    sync.Mutex
	down  bool
	fault fault
}

func newBranch(ch *assembly, d branchDefinition) (*branch, error) {
	q, err := newQueue(d.name, d.bound, ch.eng.alarm)
	if err != nil {
		return nil, err
	}
	b := &branch{ch: ch, name: d.name, stage: d.stage, in: q, lost: ch.lostIn[d.name], done: make(chan struct{})}
	q.losses = b.lost
	b.run = &runner{stage: d.stage, in: q, gate: ch.gate, clock: ch.eng.clock}
	if b.isPrompt() {
		q.inPlace = b.workInPlace
	}
	return b, nil
}

// env is what the stage gets at Open.
func (b *branch) env() Env {
	e := b.ch.env(b.stage)
	if b.in.limit.OnDemand {
		e.Want = func(on bool) {
			if on {
				b.ch.tee.Join(b.in)
			} else {
				b.ch.tee.Leave(b.in)
			}
		}
	}
	e.Losses = func(since int64) []Loss { return lossesSince(since, b.ch.lost, b.lost) }
	e.Mark = func() { b.in.mark(Asked) }
	e.Resume = b.in.resume
	return e
}

func (b *branch) start() error {
	return b.ch.workers.GoThread(func(t *pool.Thread) error {
		b.ch.prioritise(t, b.stage)
		b.loop(b.ch.hard)
		return nil
	}, func(error) { close(b.done) })
}

// loop runs the stage until its queue ends or ctx is done, starting anew what fails.
func (b *branch) loop(ctx context.Context) {
	for tries := 0; ; tries++ {
		began := b.ch.eng.clock.Mono()
		err := b.run.run(ctx)
		if err != nil && ctx.Err() == nil {
			b.fell(err)
		}
		_ = guard(b.stage.Close) //nolint:errcheck // what was written is written; the run's own error is what counts
		if err == nil || ctx.Err() != nil || b.in.hasEnded() {
			return
		}
		if time.Duration(b.ch.eng.clock.Mono()-began) > 2*b.ch.eng.cfg.Backoff.First {
			tries = 0
		}
		if !b.reopen(ctx, &tries) {
			b.in.Cancel()
			return
		}
		b.rose()
	}
}

// reopen opens the stage again, with back-off, or returns false when the channel leaves first.
func (b *branch) reopen(ctx context.Context, tries *int) bool {
	for {
		b.waitFor(ctx, b.ch.eng.cfg.Backoff.Before(*tries))
		if ctx.Err() != nil {
			return false
		}
		err := b.ch.openStage(ctx, b.stage, b.env())
		if err == nil {
			b.run.lost = ^uint64(0)
			return true
		}
		if b.ch.soft.Err() != nil {
			return false
		}
		b.note(err)
		*tries++
	}
}

// waitFor sleeps, but not into an exit.
func (b *branch) waitFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-b.ch.soft.Done():
	}
}

func (b *branch) isDown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

func (b *branch) fell(err error) {
	b.note(err)
	b.mu.Lock()
	b.down = true
	b.mu.Unlock()
	b.ch.gate.report() // a Pause does not wait for it
	b.ch.machine.branchDown(1, "branch "+b.name+": "+err.Error())
}

func (b *branch) rose() {
	b.mu.Lock()
	b.down = false
	b.mu.Unlock()
	b.lost.flow(b.ch.eng.clock.Mono())
	b.ch.machine.branchDown(-1, "")
}

func (b *branch) note(err error) {
	b.lost.note(b.ch.eng.clock.Mono(), LostFailed, err.Error())
	b.ch.log.Error("branch failed", "channel", b.ch.Name(), "branch", b.name, "cause", describe(err))
	b.mu.Lock()
	b.fault = fault{cause: err.Error(), at: b.ch.eng.clock.Now(), count: b.fault.count + 1}
	b.mu.Unlock()
}
