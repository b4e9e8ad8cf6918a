package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// acquireName is the name of every channel's first stage.
const acquireName = "acquire"

var (
	errBetter   = errors.New("a preferred source is back")
	errPaused   = errors.New("paused: the source is closed meanwhile")
	errReformat = errors.New("the source changed between raw and encoded")
)

// head is a channel's acquire stage: its worker reads the source and pushes what it read into
// the trunk, or straight into the tee. It fails over between sources and starts anew what fell.
type head struct {
	ch     *assembly
	origin Origin
	goOn   *gate // shut while there is nothing to read: before Start, after the end
	trunk  *trunk

	frames, gated, orphaned atomic.Uint64
	lastFrame               atomic.Int64 // clock
	took                    latency      // capture to handed over
	pictures                rate

	mu         sync.Mutex
	candidates []candidate
	current    int // index; −1: none
	run        uint32
	source     hal.Source
	cancel     context.CancelCauseFunc // ends the run
	stallAfter time.Duration           // 0: not watched
	fault      fault
}

// fault is what an operator sees of a failure.
type fault struct {
	cause string
	at    time.Time
	count int
}

func newHead(ch *assembly) *head {
	h := &head{ch: ch, origin: ch.def.origin, goOn: newGate(), current: -1}
	if h.origin.Settle <= 0 {
		h.origin.Settle = 2 * time.Second
	}
	if h.origin.OpenTimeout <= 0 {
		h.origin.OpenTimeout = 10 * time.Second
	}
	h.origin.Options.Clock, h.origin.Options.Reserve = ch.eng.clock, ch.eng.chunks
	h.origin.Options.Log = ch.log
	for _, c := range h.origin.Candidates {
		h.candidates = append(h.candidates, candidate{Candidate: c})
	}
	h.trunk = newTrunk(ch)
	return h
}

// loop is the worker: it leaves when ctx is done.
func (h *head) loop(ctx context.Context) {
	for h.goOn.pass(ctx) == nil {
		err := h.session(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			h.ch.machine.fire(onEnd, "the source came to its end", h.stop)
		default:
			h.ch.machine.fire(onUnsupported, err.Error(), h.stop)
		}
	}
}

// stop parks the worker until the next Start.
func (h *head) stop() { h.goOn.set(false) }

// session reads sources until one ends (nil), ctx is done, or none can ever work.
func (h *head) session(ctx context.Context) error {
	var ready *opened
	for {
		if h.origin.CloseOnPause {
			if err := h.ch.gate.pass(ctx); err != nil {
				return err
			}
		}
		if ready == nil {
			var err error
			if ready, err = h.pick(ctx); err != nil {
				return err
			}
		}
		now := ready
		ready = nil
		began := h.ch.eng.clock.Mono()
		better, err := h.runSource(ctx, now)
		lasted := time.Duration(h.ch.eng.clock.Mono() - began)
		var stage *StageError
		switch {
		case ctx.Err() != nil, ended(err):
			better.close()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		case errors.Is(err, errBetter):
			ready = better
		case errors.Is(err, errPaused), errors.Is(err, errReformat) && lasted >= h.origin.Settle:
			better.close()
		case errors.As(err, &stage):
			better.close()
			if left := h.trunk.restart(ctx, lasted); left != nil {
				return left
			}
		default:
			better.close()
			h.failed(now.index, err, lasted >= h.origin.Settle)
		}
	}
}

// runSource is one run: it reads until something ends it and says what. Where that was the
// return of a better source, it comes opened.
func (h *head) runSource(ctx context.Context, o *opened) (*opened, error) {
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beside *probe
	err := guard(func() error {
		stream, live := o.src.Stream(), o.src.Live()
		h.begin(o, stream, live, cancel)
		beside = h.startProbe(runCtx, o.index, cancel)
		if err := h.trunk.begin(stream, live, cancel); err != nil { //nolint:contextcheck // a stage outlives the run: it drains
			return err
		}
		return h.read(runCtx, o.src, stream)
	})
	if cause := context.Cause(runCtx); cause != nil {
		err = cause
	}
	better := beside.stop(cancel, err)
	h.letGo(o) // before the stages drain: those of a paused channel do so at the next Start
	var stage *StageError
	if drainErr := h.trunk.end(); drainErr != nil && !errors.As(err, &stage) && ctx.Err() == nil {
		err = drainErr
	}
	h.finish(err)
	return better, err
}

// begin makes o the source in use.
func (h *head) begin(o *opened, stream *hal.Stream, live bool, cancel context.CancelCauseFunc) {
	h.pictures.restart()
	h.lastFrame.Store(h.ch.eng.clock.Mono())
	h.mu.Lock()
	h.run++
	h.candidates[o.index].cause = ""
	h.current, h.source, h.cancel = o.index, o.src, cancel
	h.stallAfter = 0
	if live {
		h.stallAfter = stallLimit(stream)
		if w, ok := o.src.(hal.Watcher); ok {
			h.stallAfter += w.Silence()
		}
	}
	h.mu.Unlock()
	if !h.ch.gate.isOpen() { // a Pause that came while the source was being opened
		h.closeOnPause()
	}
	h.ch.holdBack(!live)
	h.setUrgent()
	if live {
		h.ch.eng.alarm.watch(h)
	}
	h.ch.log.Info("source opened", "channel", h.ch.Name(), "source", h.candidates[o.index].String(), "tracks", fmt.Sprint(stream.Tracks))
}

// letGo closes the source that was in use.
func (h *head) letGo(o *opened) {
	h.ch.eng.alarm.unwatch(h)
	h.mu.Lock()
	h.current, h.source, h.cancel = -1, nil, nil
	h.mu.Unlock()
	o.close()
}

// finish ends the run, of which the branches learn.
func (h *head) finish(err error) {
	if cause := why(err); cause != "" || errors.Is(err, errPaused) {
		h.ch.machine.setUp(false, cause)
	}
	h.noteLoss(err)
	h.ch.tee.mark()
}

// noteLoss says since when no frames come, and why.
func (h *head) noteLoss(err error) {
	since, stage := h.lastFrame.Load(), (*StageError)(nil)
	switch {
	case h.ch.soft.Err() != nil: // the exit is noted
	case ended(err):
		h.ch.lost.note(since, LostSource, "the source ended")
	case errors.Is(err, errPaused):
		h.ch.lost.note(since, LostPaused, err.Error())
	case errors.As(err, &stage):
		h.ch.lost.note(since, LostFailed, stage.Stage+": "+stage.Err.Error())
	case err != nil:
		h.ch.lost.note(since, LostSource, err.Error())
	}
}

// ended says whether the source came to its end. Only io.EOF itself says so: an error that
// wraps it is a connection that broke off, and is tried again.
func ended(err error) bool {
	return err == io.EOF //nolint:errorlint // see above
}

// why is the cause to show for the end of a run; empty for a mere hand-over.
func why(err error) string {
	if err == nil || errors.Is(err, errBetter) || errors.Is(err, errPaused) || ended(err) {
		return ""
	}
	return err.Error()
}

// stallLimit is how long a live source may be silent: max(2 s, 10 frames).
func stallLimit(s *hal.Stream) time.Duration {
	limit := 2 * time.Second
	if v := s.Video(); v >= 0 && s.Tracks[v].FrameRate > 0 {
		limit = max(limit, time.Duration(10*float64(time.Second)/s.Tracks[v].FrameRate))
	}
	return limit
}

// checkStall is the alarm's call, once a second. It judges silence up to now.
func (h *head) checkStall(now int64) {
	h.mu.Lock()
	cancel, limit := h.cancel, h.stallAfter
	h.mu.Unlock()
	silent := time.Duration(now - h.lastFrame.Load())
	if cancel != nil && limit > 0 && silent > limit {
		cancel(fmt.Errorf("%w: nothing for %s", hal.ErrStalled, silent.Round(100*time.Millisecond)))
	}
}

// closeOnPause ends the run where the channel is set so.
func (h *head) closeOnPause() {
	if !h.origin.CloseOnPause {
		return
	}
	h.mu.Lock()
	cancel := h.cancel
	h.mu.Unlock()
	if cancel != nil {
		cancel(errPaused)
	}
}

// setUrgent tells the source whether somebody waits for each frame. Of two calls at once the
// last word is what holds in the end.
func (h *head) setUrgent() {
	h.mu.Lock()
	src := h.source
	h.mu.Unlock()
	u, ok := src.(hal.Urgency)
	for said := false; ok && !said; {
		urgent := h.ch.urgent.Load()
		u.SetUrgent(urgent)
		said = h.ch.urgent.Load() == urgent
	}
}

// requestKeyFrame asks the encoder that is in use, else the source.
func (h *head) requestKeyFrame() {
	if h.trunk.requestKeyFrame() {
		return
	}
	h.mu.Lock()
	src := h.source
	h.mu.Unlock()
	if k, ok := src.(hal.KeyFramer); ok {
		k.RequestKeyFrame()
	}
}

// abandon closes the source under a Read that does not give up, on a worker of its own: a
// Close that hangs holds up no exit.
func (h *head) abandon() {
	h.mu.Lock()
	src := h.source
	h.mu.Unlock()
	if src != nil {
		h.ch.eng.beside(src.Close)
	}
}

// sourceStats returns the counters of a source that has some.
func sourceStats(src hal.Source) any {
	if r, ok := src.(hal.Reporter); ok {
		return r.SourceStats()
	}
	return nil
}
