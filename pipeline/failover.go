package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// candidate is a source of the list and how it did so far. head.mu guards it.
type candidate struct {
	Candidate
	cause string // why it is not in use; empty while nothing is known against it
	tries int    // in a row that failed
	next  int64  // clock: not before then
	soon  int64  // clock: not before then even where it is plugged in, once hurries are used up
	gone  bool   // its device was not there
	never bool   // unsupported: not again until the channel is started anew

	hurries     int   // how often it was tried at once since hurriedFrom
	hurriedFrom int64 // clock
}

// maxHurries is how often within the longest back-off a source is tried at once because a device
// has come. A device announces itself more than once, and not each time can it be opened yet.
const maxHurries = 3

// opened is a source that is ready to be read.
type opened struct {
	index int
	src   hal.Source
}

func (o *opened) close() {
	if o != nil {
		_ = guard(o.src.Close) //nolint:errcheck // nothing can be done about a source that does not close
	}
}

// pick opens the first source that can be opened, waiting for the back-off of each. It gives
// up only where none can ever work, or when ctx is done.
func (h *head) pick(ctx context.Context) (*opened, error) {
	for {
		for i := range h.candidates {
			if wait, never := h.waitFor(i); never || wait > 0 {
				continue
			}
			src, err := h.open(ctx, i)
			if err == nil {
				return &opened{i, src}, nil
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			h.ch.lost.note(h.ch.eng.clock.Mono(), LostSource, err.Error())
			h.failed(i, err, false)
		}
		wait, err := h.earliest(len(h.candidates))
		if err != nil {
			return nil, err
		}
		if err := h.rest(ctx, len(h.candidates), wait); err != nil {
			return nil, err
		}
	}
}

// rest waits for the back-off to pass, or for one of the first n candidates to be plugged in.
func (h *head) rest(ctx context.Context, n int, wait time.Duration) error {
	until := h.ch.eng.clock.Mono() + int64(wait)
	for i := range n {
		a, ok := h.candidates[i].Candidate.(Awaiter)
		if !ok || !h.isGone(i) {
			continue
		}
		timed, cancel := context.WithTimeout(ctx, wait)
		err := guard(func() error { return a.Await(timed) })
		over := timed.Err() != nil
		cancel()
		if err == nil {
			until = min(until, h.pluggedIn(i))
		}
		if err == nil || over {
			break
		}
	}
	return hal.Wait(ctx, time.Duration(until-h.ch.eng.clock.Mono()))
}

// isGone says that a candidate waits for its device.
func (h *head) isGone(i int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.candidates[i].gone && !h.candidates[i].never
}

// pluggedIn lets a candidate be tried although its back-off is not over, and returns when: at
// once, but for one that came often of late and has only just failed. So a device that is there
// and yet cannot be opened is not tried all the time.
func (h *head) pluggedIn(i int) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, now := &h.candidates[i], h.ch.eng.clock.Mono()
	if now-c.hurriedFrom > int64(h.ch.eng.cfg.Backoff.Max) {
		c.hurries, c.hurriedFrom = 0, now
	}
	if c.hurries++; c.hurries <= maxHurries {
		c.next = min(c.next, now)
	} else {
		c.next = min(c.next, c.soon)
	}
	return c.next
}

func (h *head) open(ctx context.Context, i int) (src hal.Source, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.origin.OpenTimeout)
	defer cancel()
	err = guard(func() (err error) {
		src, err = h.candidates[i].Open(ctx, h.origin.Options)
		return err
	})
	return src, err
}

// waitFor returns how long candidate i is not to be tried, or that it never is.
func (h *head) waitFor(i int) (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.candidates[i]
	return time.Duration(c.next - h.ch.eng.clock.Mono()), c.never
}

// earliest returns how long to wait for the first of the first n candidates, or an error
// where none of them can ever work.
func (h *head) earliest(n int) (time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := false
	var at int64
	for _, c := range h.candidates[:n] {
		if !c.never && (!found || c.next < at) {
			at, found = c.next, true
		}
	}
	if !found {
		causes := make([]error, 0, n)
		for _, c := range h.candidates[:n] {
			causes = append(causes, fmt.Errorf("%s: %s", c.String(), c.cause))
		}
		return 0, fmt.Errorf("%w: %w", hal.ErrUnsupported, errors.Join(causes...))
	}
	return max(0, time.Duration(at-h.ch.eng.clock.Mono())), nil
}

// failed takes note of a source's failure and of when to try it again. One that had run well
// starts its back-off from the beginning.
func (h *head) failed(i int, err error, ranWell bool) {
	h.mu.Lock()
	c := &h.candidates[i]
	if ranWell {
		c.tries = 0
	}
	wait := h.ch.eng.cfg.Backoff.Before(c.tries)
	c.tries++
	c.cause = err.Error()
	c.next = h.ch.eng.clock.Mono() + int64(wait)
	c.soon = h.ch.eng.clock.Mono() + int64(min(wait, h.ch.eng.cfg.Backoff.First))
	c.gone = errors.Is(err, hal.ErrNoDevice)
	c.never = errors.Is(err, hal.ErrUnsupported)
	again := c.tries > 1
	h.fault = fault{cause: err.Error(), at: h.ch.eng.clock.Now(), count: h.fault.count + 1}
	h.mu.Unlock()
	if again {
		h.ch.log.Debug("source failed again", "channel", h.ch.Name(), "source", h.candidates[i].String(), "cause", describe(err), "next_try_s", wait.Round(100*time.Millisecond).Seconds())
	} else {
		h.ch.log.Warn("source failed", "channel", h.ch.Name(), "source", h.candidates[i].String(), "cause", describe(err), "next_try_s", wait.Round(100*time.Millisecond).Seconds())
		h.ch.machine.because(err.Error())
	}
}

// forgive forgets what is known against the sources: the channel is started anew.
func (h *head) forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.candidates {
		c := &h.candidates[i]
		c.never, c.tries, c.next = false, 0, 0
	}
}

// probe looks, beside a run, whether a better source is back.
type probe struct {
	done  chan struct{}
	found *opened
}

// startProbe starts looking for a source before index. It cancels the run with errBetter when
// one has delivered for the settling time.
func (h *head) startProbe(ctx context.Context, index int, cancel context.CancelCauseFunc) *probe {
	p := &probe{done: make(chan struct{})}
	if index == 0 {
		close(p.done)
		return p
	}
	err := h.ch.workers.Go(func() error {
		found, err := h.lookForBetter(ctx, index)
		if err == nil {
			p.found = found
			cancel(errBetter)
		}
		return nil
	}, func(error) { close(p.done) })
	if err != nil {
		close(p.done)
	}
	return p
}

// stop ends the looking and returns what was found.
func (p *probe) stop(cancel context.CancelCauseFunc, err error) *opened {
	cancel(err)
	if p == nil { // the run fell before it began to look
		return nil
	}
	<-p.done
	return p.found
}

func (h *head) lookForBetter(ctx context.Context, index int) (*opened, error) {
	for {
		wait, err := h.earliest(index)
		if err != nil {
			return nil, err
		}
		if err := h.rest(ctx, index, wait); err != nil {
			return nil, err
		}
		for i := range index {
			if wait, never := h.waitFor(i); never || wait > 0 {
				continue
			}
			src, err := h.open(ctx, i)
			if err == nil {
				err = h.settle(ctx, src)
			}
			if err == nil {
				return &opened{i, src}, nil
			}
			if src != nil {
				(&opened{i, src}).close()
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			h.failed(i, err, false)
		}
	}
}

// settle reads a source for the settling time and lets its frames go.
func (h *head) settle(ctx context.Context, src hal.Source) error {
	until := h.ch.eng.clock.Mono() + int64(h.origin.Settle)
	return guard(func() error {
		if !src.Live() {
			return nil // what is read here would be lost
		}
		timed, cancel := context.WithTimeoutCause(ctx, h.origin.Settle+stallLimit(src.Stream()), hal.ErrStalled)
		defer cancel()
		for h.ch.eng.clock.Mono() < until {
			f, err := src.Read(timed)
			if err != nil {
				return err
			}
			f.Release()
		}
		return nil
	})
}
