package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Source plays one file. It is a hal.Source and a hal.Reporter.
type Source struct {
	file   io.Closer
	demux  demuxer
	clock  *hal.Clock
	counts *counters
	first  *hal.Stream

	// One goroutine reads; these are its own.
	live   bool
	passes int // left, the one under way included; endless
	lap    lap
	wait   waiter
	held   sample // read but not yet due
	have   bool
	failed error // what every further Read returns

	done chan struct{} // closed by Close

	mu      sync.Mutex
	reading bool
	closed  bool
}

// Stream returns the tracks at the beginning of the file.
func (s *Source) Stream() *hal.Stream { return s.first }

// Live is false in both paces: a file can be held back and loses nothing (P6).
func (s *Source) Live() bool { return false }

// SourceStats returns what was read so far. Lost counts TS packets by their continuity
// counters, Malformed the units that were left out because they made no sense.
func (s *Source) SourceStats() hal.SourceStats { return s.counts.stats() }

// Read returns the next frame: when it is due (pace=live), or as soon as it is read
// (pace=fast). A frame that was not due when ctx ended comes with the next Read. Where the
// file is damaged it returns a *DamagedError, after the good part.
func (s *Source) Read(ctx context.Context) (hal.Frame, error) {
	if !s.enter() {
		return hal.Frame{}, fmt.Errorf("read a closed file source: %w", os.ErrClosed)
	}
	defer s.leave()
	if s.failed != nil {
		return hal.Frame{}, s.failed
	}
	if err := s.fetch(ctx); err != nil {
		return hal.Frame{}, s.fail(ctx, err)
	}
	if s.live {
		if err := s.wait.until(ctx, s.clock, s.held.dts, s.done); err != nil {
			return hal.Frame{}, err
		}
	}
	m := s.held
	s.held, s.have = sample{}, false
	s.counts.frames.Add(1)
	s.counts.bytes.Add(uint64(m.buf.Len()))
	return hal.Frame{
		Buf: m.buf, Stream: m.stream, Track: m.track, Key: m.key, Gap: m.gap,
		Stamp: hal.Stamp{DTS: m.dts, PTS: m.pts, Mono: s.clock.Mono()},
	}, nil
}

// fail keeps an error for good, but for those that pass.
func (s *Source) fail(ctx context.Context, err error) error {
	if ctx.Err() == nil && !errors.Is(err, os.ErrClosed) {
		s.failed = err
	}
	return err
}

// fetch makes held the next sample, on the time line of all passes.
func (s *Source) fetch(ctx context.Context) error {
	if s.have {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m, err := s.demux.next(ctx)
	if errors.Is(err, io.EOF) && s.another() {
		m, err = s.demux.next(ctx)
	}
	if err != nil {
		return err
	}
	s.held, s.have = s.lap.place(m), true
	return nil
}

// another starts the next pass where there is one. A pass without a frame is the last.
func (s *Source) another() bool {
	if s.passes == 1 || !s.lap.next() {
		return false
	}
	if s.passes != endless {
		s.passes--
	}
	s.demux.rewind()
	return true
}

func (s *Source) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.reading = true
	return true
}

func (s *Source) leave() {
	s.mu.Lock()
	s.reading = false
	closed := s.closed
	s.mu.Unlock()
	if closed {
		s.free()
	}
}

// free gives everything back. Whoever comes last of Close and Read calls it.
func (s *Source) free() {
	if s.have {
		s.held.buf.Release()
		s.held, s.have = sample{}, false
	}
	s.demux.close()
	s.wait.stop()
}

// Close ends a Read under way and frees everything but the frames on loan. A second call is
// harmless.
func (s *Source) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	reading := s.reading
	s.mu.Unlock()
	close(s.done)
	if !reading {
		s.free()
	}
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// lateness is how far behind its schedule a file may fall and still catch up. What is held
// back longer was held back on purpose: the schedule moves.
const lateness = time.Second

// waiter keeps real time.
type waiter struct {
	started bool
	base    int64 // on the clock, of the file's time 0
	timer   *time.Timer
}

// until returns when dts is due.
func (w *waiter) until(ctx context.Context, clock *hal.Clock, dts time.Duration, done <-chan struct{}) error {
	now := clock.Mono()
	if !w.started {
		w.base, w.started = now-int64(dts), true
	}
	delay := time.Duration(w.base + int64(dts) - now)
	if delay < -lateness {
		w.base = now - int64(dts)
	}
	if delay <= 0 {
		return nil
	}
	if w.timer == nil {
		w.timer = time.NewTimer(delay)
	} else {
		w.timer.Reset(delay)
	}
	select {
	case <-w.timer.C:
		return nil
	case <-ctx.Done():
		w.timer.Stop()
		return ctx.Err()
	case <-done:
		return fmt.Errorf("read a closed file source: %w", os.ErrClosed)
	}
}

func (w *waiter) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
