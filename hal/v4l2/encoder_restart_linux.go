package v4l2

import (
	"context"
	"errors"
	"fmt"
)

// errNoDrain says that the driver cannot be told to yield all that it has.
var errNoDrain = errors.New("it cannot be drained")

// switchOn gives the driver its buffers for frames and starts both queues.
func (e *encoder) switchOn() error {
	for i := range e.coded.buffers {
		if err := e.coded.enqueue(e.coded.argument(i)); err != nil {
			return encoderError("a buffer for frames", err)
		}
	}
	for _, q := range [...]*queue{e.raw, e.coded} {
		if err := twice(func() error { return q.stream(true) }, nil); err != nil {
			return encoderError("to start", err)
		}
	}
	e.streaming = true
	return nil
}

// restart drains the driver, switches both queues off, makes a change and switches them on
// again. No picture is lost by it; the next one becomes a key frame. It waits for the reader to
// take what comes out until then. Given up by ctx it goes on with the next call.
func (e *encoder) restart(ctx context.Context, change func() error) error {
	if !e.resting {
		e.pause(true)
		if err := e.drain(); err != nil {
			e.pause(false)
			return fmt.Errorf("%w: %w", errNoDrain, err)
		}
		e.resting = true
		e.wake.set()
	}
	select {
	case <-e.paused:
	case <-e.closed:
		return errEncoderClosed("write to", e.name)
	case <-e.broken:
		return e.why
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := e.anew(change)
	if err != nil {
		e.given = 0
	}
	e.resting = false
	e.pause(false)
	select {
	case e.resumed <- struct{}{}:
	default: // one is there that was not needed
	}
	return err
}

func (e *encoder) pause(begin bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pausing, e.drained, e.eos = begin, false, false
}

// anew is restart's work while the reader waits.
func (e *encoder) anew(change func() error) error {
	for _, q := range [...]*queue{e.raw, e.coded} {
		if err := q.stream(false); err != nil {
			return encoderError("to stop", err)
		}
	}
	e.streaming = false
	e.letGo()
	e.mu.Lock()
	e.counted.lost.Add(uint64(e.inside.count))
	for e.inside.count > 0 {
		e.inside.drop()
	}
	e.mu.Unlock()
	e.takeCredits()
	if change == nil {
		e.giveCredits(e.given)
	} else if err := change(); err != nil {
		return err
	}
	e.fresh = true
	return e.switchOn()
}

// quiet says whether every picture has come out as a frame.
func (e *encoder) quiet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.flying == 0 && e.inside.count == 0
}

// blink switches the raw queue off and on, which has all its pictures back. The reader goes on
// meanwhile.
func (e *encoder) blink() error {
	if err := e.raw.stream(false); err != nil {
		return encoderError("a pause", err)
	}
	if err := e.raw.stream(true); err != nil {
		return encoderError("to go on", err)
	}
	e.fresh = true
	e.giveCredits(e.given)
	return nil
}

// takeCredits takes what credits there are.
func (e *encoder) takeCredits() {
	for {
		select {
		case <-e.credits:
		default:
			return
		}
	}
}
