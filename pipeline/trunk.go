package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// trunk is the stages between the source and the tee. Each has a worker and a queue for as
// long as a run needs it; a stream that a stage passes goes by.
type trunk struct {
	ch     *assembly
	stages []*trunkStage

	tries int // restarts in a row; the acquire worker's own

	mu     sync.Mutex // guards what statistics and key-frame requests read
	active []*trunkStage
	handed string // the stage that the acquire worker opens or closes
}

type trunkStage struct {
	stage Stage
	out   func(hal.Frame) error // set before the worker of a run starts
	run   *runner               // of the last run; nil before the first
	done  chan struct{}
	fell  *StageError // of the last run; its worker's, and the acquire worker's after done
	shut  bool        // closed after a failure and not yet opened again; the acquire worker's own
	fault fault
}

// rawQueue is how many pictures wait before a stage of the trunk: raw pictures are few. Sound
// that comes along has room of its own, or it and the pictures would push each other out.
const (
	rawQueue   = 2
	soundQueue = 128
	soundBytes = 256 << 10
)

// rawLimit is the bound of a queue in the trunk.
func rawLimit(s *hal.Stream, live bool) Limit {
	limit := Limit{Frames: rawQueue, Full: DropOldest}
	if v := s.Video(); v >= 0 && s.Audio() >= 0 && s.Tracks[v].Layout.Size > 0 {
		limit.Frames, limit.Bytes = rawQueue+soundQueue, rawQueue*s.Tracks[v].Layout.Size+soundBytes
	}
	if !live {
		limit.Full = Wait
	}
	return limit
}

func newTrunk(ch *assembly) *trunk {
	t := &trunk{ch: ch}
	for _, s := range ch.def.trunk {
		t.stages = append(t.stages, &trunkStage{stage: s})
	}
	return t
}

// env is what stage i gets at Open: its Out leads to wherever the run of the day says.
func (t *trunk) env(i int) Env {
	e := t.ch.env(t.stages[i].stage)
	e.Out = func(f hal.Frame) error { return t.stages[i].out(f) }
	return e
}

// takes says, as bits, which stages a stream needs.
func (t *trunk) takes(s *hal.Stream) (set uint64) {
	for i, ts := range t.stages {
		if p, ok := ts.stage.(Passer); !ok || !p.Passes(s) {
			set |= 1 << i
		}
	}
	return set
}

// begin starts a worker for each stage that the stream needs. A stage that fails cancels the
// run with a *StageError.
func (t *trunk) begin(s *hal.Stream, live bool, cancel context.CancelCauseFunc) error {
	set := t.takes(s)
	var active []*trunkStage
	for i, ts := range t.stages {
		if set&(1<<i) == 0 {
			continue
		}
		q, err := newQueue(ts.stage.Name(), rawLimit(s, live), nil)
		if err != nil {
			return err
		}
		q.losses = t.ch.lost
		run := &runner{stage: ts.stage, in: q, gate: t.ch.gate, clock: t.ch.eng.clock}
		if ts.run != nil {
			run.countOn(ts.run)
		}
		t.mu.Lock()
		ts.run = run
		t.mu.Unlock()
		ts.done, ts.fell = make(chan struct{}), nil
		ts.out = t.ch.tee.Push
		if len(active) > 0 {
			active[len(active)-1].out = q.Push
		}
		active = append(active, ts)
	}
	t.mu.Lock()
	t.active = active
	t.mu.Unlock()
	for i, ts := range active {
		if err := t.start(ts, cancel); err != nil {
			for _, never := range active[i:] {
				close(never.done)
			}
			return err
		}
	}
	return nil
}

func (t *trunk) start(ts *trunkStage, cancel context.CancelCauseFunc) error {
	hard := t.ch.hard
	err := t.ch.workers.GoThread(func(thread *pool.Thread) error {
		t.ch.prioritise(thread, ts.stage)
		return ts.run.run(hard)
	}, func(err error) {
		if err != nil {
			ts.fell = &StageError{Channel: t.ch.Name(), Stage: ts.stage.Name(), Err: err}
			cancel(ts.fell)
			ts.run.in.Cancel()
		}
		close(ts.done)
	})
	if err != nil {
		return fmt.Errorf("stage %s: %w", ts.stage.Name(), err)
	}
	return nil
}

// push hands a frame to the first stage in use, or to the tee. The acquire worker calls it.
func (t *trunk) push(f hal.Frame) error {
	if len(t.active) > 0 {
		return t.active[0].run.in.Push(f)
	}
	return t.ch.tee.pushInPlace(f)
}

// end drains the stages one after the other and waits until their workers have left.
func (t *trunk) end() error {
	errs := make([]error, 0, len(t.active))
	for _, ts := range t.active {
		ts.run.in.Close()
		<-ts.done
		if ts.fell != nil {
			errs = append(errs, ts.fell)
		}
	}
	t.mu.Lock()
	t.active = nil
	t.mu.Unlock()
	return errors.Join(errs...)
}

// cancel drops what the stages still have to do.
func (t *trunk) cancel() { t.each((*Queue).Cancel) }

// interrupt wakes the stages that sleep at their queues.
func (t *trunk) interrupt() { t.each((*Queue).Interrupt) }

func (t *trunk) each(do func(*Queue)) {
	t.mu.Lock()
	active := t.active
	t.mu.Unlock()
	for _, ts := range active {
		do(ts.run.in)
	}
}

// restart closes the stages that failed and opens them again, with back-off.
func (t *trunk) restart(ctx context.Context, lasted time.Duration) error {
	b := t.ch.eng.cfg.Backoff
	if lasted > 2*b.First {
		t.tries = 0
	}
	shut := 0
	for _, ts := range t.stages {
		if ts.fell == nil {
			continue
		}
		if !errors.Is(ts.fell.Err, ErrClosed) { // else it fell because the next one did
			t.note(ts, ts.fell.Err)
		}
		_ = t.hand(ts, ts.stage.Close) //nolint:errcheck // it has failed already
		ts.fell, ts.shut = nil, true
		shut++
	}
	for shut > 0 {
		if left := hal.Wait(ctx, b.Before(t.tries)); left != nil {
			return left
		}
		t.tries++
		for i, ts := range t.stages {
			if !ts.shut {
				continue
			}
			if err := t.hand(ts, func() error { return t.ch.openStage(ctx, ts.stage, t.env(i)) }); err != nil {
				t.note(ts, err)
				continue
			}
			ts.shut = false
			shut--
		}
	}
	return nil
}

// hand lets the acquire worker open or close a stage, under the stage's name.
func (t *trunk) hand(ts *trunkStage, do func() error) error {
	at := func(name string) {
		t.mu.Lock()
		t.handed = name
		t.mu.Unlock()
	}
	at(ts.stage.Name())
	defer at("")
	return guard(do)
}

func (t *trunk) note(ts *trunkStage, err error) {
	t.ch.lost.note(t.ch.eng.clock.Mono(), LostFailed, ts.stage.Name()+": "+err.Error())
	t.ch.log.Error("stage failed", "channel", t.ch.Name(), "stage", ts.stage.Name(), "cause", describe(err))
	t.mu.Lock()
	ts.fault = fault{cause: err.Error(), at: t.ch.eng.clock.Now(), count: ts.fault.count + 1}
	t.mu.Unlock()
}

// requestKeyFrame asks the last stage in use that can make one.
func (t *trunk) requestKeyFrame() bool {
	t.mu.Lock()
	active := t.active
	t.mu.Unlock()
	for _, ts := range slices.Backward(active) {
		if k, ok := ts.stage.(hal.KeyFramer); ok {
			k.RequestKeyFrame()
			return true
		}
	}
	return false
}

// working names the stages whose workers have not left the run.
func (t *trunk) working() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.handed != "" {
		return []string{t.handed}
	}
	var names []string
	for _, ts := range t.active {
		if !closed(ts.done) {
			names = append(names, ts.stage.Name())
		}
	}
	return names
}

// close gives back what the stages took.
func (t *trunk) close() {
	for _, ts := range t.stages {
		if ts.shut {
			continue
		}
		if err := t.hand(ts, ts.stage.Close); err != nil {
			t.note(ts, err)
		}
	}
}
