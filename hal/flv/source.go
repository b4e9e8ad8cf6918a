package flv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Source is an FLV stream that runs.
type Source struct {
	explainer

	in    *body
	demux demuxer
	arena *pool.Arena
	log   *slog.Logger
	live  bool
	done  chan struct{} // closed by Close
	end   sync.Once
	stats counters

	current atomic.Pointer[hal.Stream]

	mu       sync.Mutex // held by Read and by what gives back
	gone     bool
	stream   *hal.Stream // nil until the tracks are known
	pictures track
	sound    track
	ready    []hal.Frame // of a stream that is not known yet Track is 0 for pictures, 1 for sound
	head     int
	failed   error
	zero     time.Duration // media time of the first frame
	zeroSet  bool
	patience time.Duration
}

type counters struct {
	frames, bytes, malformed, dropped, recovered atomic.Uint64

	fault atomic.Pointer[string]
}

func newSource(o *opening, in *body) *Source {
	s := &Source{
		explainer: o.explainer, in: in, arena: o.opts.Arena(), log: o.opts.Log,
		live: in.framing.length < 0, done: make(chan struct{}), patience: o.driver.Patience,
		pictures: track{index: -1}, sound: track{index: -1},
	}
	s.demux = demuxer{in: in, out: s, most: piece, build: pool.NewBuilder(s.arena)}
	if !s.live {
		s.demux.wait, s.demux.most = s.wait, largest
	}
	return s
}

// Stream implements hal.Source.
func (s *Source) Stream() *hal.Stream { return s.current.Load() }

// Live implements hal.Source. What comes with its length is a download, and no live source.
func (s *Source) Live() bool { return s.live }

// SourceStats implements hal.Reporter.
func (s *Source) SourceStats() hal.SourceStats {
	st := hal.SourceStats{
		Frames: s.stats.frames.Load(), Bytes: s.stats.bytes.Load(), Malformed: s.stats.malformed.Load(),
		Dropped: s.stats.dropped.Load(), Recovered: s.stats.recovered.Load(),
	}
	if fault := s.stats.fault.Load(); fault != nil {
		st.Fault = *fault
	}
	return st
}

// Read implements hal.Source. A download ends with io.EOF; a live stream that ends was broken off.
func (s *Source) Read(ctx context.Context) (hal.Frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.gone {
			return hal.Frame{}, s.explain(errClosed)
		}
		if f, ok := s.pop(); ok {
			return f, nil
		}
		if s.failed != nil {
			return hal.Frame{}, s.failed
		}
		err := s.demux.step(ctx)
		if err != nil && ctx.Err() != nil && !s.in.closed.Load() {
			return hal.Frame{}, context.Cause(ctx)
		}
		s.failed = s.judge(err)
	}
}

// judge says what an error of the connection is for who reads.
func (s *Source) judge(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errDone) && !s.live:
		return io.EOF
	case errors.Is(err, errDone):
		err = fmt.Errorf("%w: does the camera still publish?", errDone)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the server closed the connection after %d bytes", s.in.taken)
	}
	return s.explain(err)
}

// wait returns nil when memory came home. Where nothing is on loan nothing will: the limit is too small.
func (s *Source) wait(ctx context.Context, cause error) error {
	if !errors.Is(cause, pool.ErrArenaFull) {
		return cause
	}
	if !s.arena.Due() {
		return cause
	}
	select {
	case <-s.arena.Freed():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errClosed
	}
}

func (s *Source) push(f hal.Frame) { s.ready = append(s.ready, f) }

func (s *Source) pop() (hal.Frame, bool) {
	if s.head == len(s.ready) {
		return hal.Frame{}, false
	}
	f := s.ready[s.head]
	s.ready[s.head] = hal.Frame{}
	if s.head++; s.head == len(s.ready) {
		s.ready, s.head = s.ready[:0], 0
	}
	return f, true
}

// Close implements hal.Source.
func (s *Source) Close() error {
	err := s.in.close()
	s.end.Do(func() { close(s.done) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil
	}
	s.gone = true
	s.in.unobserve()
	for f, ok := s.pop(); ok; f, ok = s.pop() {
		f.Release()
	}
	s.demux.build.Close()
	if err != nil {
		return fmt.Errorf("%s: close: %w", s.name, err)
	}
	return nil
}

var (
	_ hal.Source   = (*Source)(nil)
	_ hal.Reporter = (*Source)(nil)
)
