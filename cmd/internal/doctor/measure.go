package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace-video/millrace/hal"
)

var (
	errTooLate = errors.New("no picture in time")
	errEnough  = errors.New("measured long enough")
)

// measure opens a camera, reads it for the duration and closes it.
func (d Doctor) measure(ctx context.Context, p Patient) Measurement {
	clock := hal.NewClock()
	t := tally{clock: clock, began: clock.Mono(), m: Measurement{URL: p.Shown, Odd: []string{}}}
	first, cancel := context.WithTimeoutCause(ctx, d.Timeout, errTooLate)
	defer cancel()
	src, err := d.open(first, p, clock)
	if err != nil {
		if first.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: nothing within %s (--timeout): %w", hal.ErrNoSignal, d.Timeout, err)
		}
		t.m.Error = err.Error()
		return t.m
	}
	t.opened(src)
	for err == nil && t.pictures == 0 {
		err = t.read(first, src)
	}
	if errors.Is(err, errTooLate) {
		err = fmt.Errorf("%w: open, but no picture within %s (--timeout)", hal.ErrNoSignal, d.Timeout)
	}
	if t.pictures > 0 {
		before := hal.CPUTime()
		rest, cancel := context.WithTimeoutCause(ctx, d.Duration, errEnough)
		for err == nil {
			err = t.read(rest, src)
		}
		cancel()
		t.endAt = clock.Mono()
		t.m.CPU = 100 * float64(hal.CPUTime()-before) / max(1, float64(t.endAt-t.firstAt))
	}
	t.counted(src)
	if closing := src.Close(); closing != nil {
		t.odd("it does not close cleanly: %v", closing)
	}
	switch {
	case errors.Is(err, io.EOF):
		t.m.Ended = true
	case err != nil && !errors.Is(err, errEnough):
		t.m.Error = err.Error()
	}
	return t.result()
}

// read takes one frame and looks at it.
func (t *tally) read(ctx context.Context, src hal.Source) error {
	if ctx.Err() != nil { // a source with frames at hand need not look
		return context.Cause(ctx)
	}
	f, err := src.Read(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	t.take(&f)
	f.Release()
	return nil
}

// opened notes what a source says of itself.
func (t *tally) opened(src hal.Source) {
	t.m.OpenMS = t.since(t.clock.Mono())
	t.live = src.Live()
	t.stream = src.Stream()
	if i := t.stream.Audio(); i >= 0 {
		t.m.Sound = t.stream.Tracks[i].String()
	}
	i := t.stream.Video()
	if i < 0 {
		return
	}
	v := t.stream.Tracks[i]
	t.m.Format, t.m.Width, t.m.Height, t.m.Announced = v.Codec.String(), v.Width, v.Height, v.FrameRate
	if v.Codec == hal.Raw {
		t.m.Format = v.Layout.Pixel.String()
	}
	t.codec = v.Codec
}

// counted notes what a source counted.
func (t *tally) counted(src hal.Source) {
	r, ok := src.(hal.Reporter)
	if !ok {
		return
	}
	s := r.SourceStats()
	t.m.Lost, t.m.Malformed, t.m.Dropped, t.m.Recovered, t.m.Fault = s.Lost, s.Malformed, s.Dropped, s.Recovered, s.Fault
}

func (t *tally) since(mono int64) float64 { return ms(mono - t.began) }

func ms(ns int64) float64 { return float64(ns) / float64(time.Millisecond) }
