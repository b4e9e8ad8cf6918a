package v4l2

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

const (
	// usualBuffers is how many pictures a camera has room for where nobody says.
	usualBuffers = 6
	// closeWait is how long Close waits for pictures on loan before it leaves the unmapping to
	// their last Release.
	closeWait = 500 * time.Millisecond
	// changeWait is how long a change of format waits for them: older drivers can begin anew only
	// when the old memory is free.
	changeWait = time.Second
	// setsWait is how long Open waits for the parameter sets of an encoded stream.
	setsWait = 3 * time.Second
)

// source is a camera that streams. One goroutine reads; Close, RequestKeyFrame, Stream and
// SourceStats may come from others.
type source struct {
	name    string // for messages
	node    node
	wake    *wake
	clock   *hal.Clock
	log     *slog.Logger
	target  Target
	typ     bufType
	buffers int
	arena   *pool.Arena

	closed  atomic.Bool
	wantKey atomic.Bool
	stream  atomic.Pointer[hal.Stream]
	stats   counters

	mu       sync.Mutex // held by Read for as long as it waits, and by what gives back
	gone     bool
	failed   error // what every further Read returns
	done     <-chan struct{}
	unfollow func() bool // ends the watch of done
	picture  picture
	rate     float64
	loans    *loans
	pending  hal.Frame // read by Open already
	changed  bool      // the driver says that its signal has another format
	timing   timing
	faults   faults
}

type counters struct {
	frames, bytes, lost, malformed, dropped, recovered atomic.Uint64
	fault                                              atomic.Pointer[string]
}

var (
	_ hal.Source    = (*source)(nil)
	_ hal.KeyFramer = (*source)(nil)
	_ hal.Reporter  = (*source)(nil)
)

// openSource negotiates with a node and starts it. The node is the source's from here on, on
// an error too.
func openSource(ctx context.Context, n node, name string, t Target, opts hal.Options) (*source, error) {
	s := &source{name: name, node: n, clock: opts.Clock, log: opts.Log.With("camera", name), target: t, arena: opts.Arena()}
	switch {
	case t.Buffers > 0:
		s.buffers = t.Buffers
	case opts.Buffers > 0:
		s.buffers = min(max(2, opts.Buffers), maxBuffers)
	default:
		s.buffers = usualBuffers
	}
	var err error
	if s.wake, err = newWake(); err != nil {
		_ = n.close() //nolint:errcheck // the first error counts
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if err := s.open(ctx); err != nil {
		_ = s.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return s, nil
}

func (s *source) open(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := ask(s.node)
	if err != nil {
		return err
	}
	if s.typ, err = captureType(&c); err != nil {
		return err
	}
	if err := subscribe(s.node); err != nil {
		return err
	}
	if err := s.begin(false); err != nil {
		return err
	}
	if s.picture.codec.IsInter() {
		return s.learnSets(ctx)
	}
	return nil
}

// begin negotiates, maps buffers and starts the stream. follow: of a signal that changed.
func (s *source) begin(follow bool) error {
	q := newQueue(s.node, s.typ)
	q.refused = s.gotOver
	n := negotiation{node: s.node, queue: q, target: s.target, follow: follow, log: s.log}
	var err error
	if s.picture, s.rate, err = n.run(); err != nil {
		return err
	}
	if s.picture.codec.IsInter() {
		_ = setControl(s.node, controlRepeatHeaders, 1) //nolint:errcheck // few cameras have it
	}
	if err := q.request(s.buffers); err != nil {
		return fmt.Errorf("%d buffers: %w", s.buffers, err)
	}
	s.loans = newLoans(q, s.wake, s.picture.sizes)
	if err := s.loans.start(); err != nil {
		return fmt.Errorf("start the stream: %w", signalError(err))
	}
	s.timing.restart()
	s.setStream(s.picture.track(s.rate))
	return nil
}

// setStream makes a stream of a track, unless it is the one there is.
func (s *source) setStream(t hal.Track) {
	next := &hal.Stream{Tracks: []hal.Track{t}}
	if now := s.stream.Load(); now == nil || !now.Equal(next) {
		s.stream.Store(next)
	}
}

// learnSets reads until the stream's parameter sets are known, so that they are from the start.
// A stream that hides them starts without.
func (s *source) learnSets(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, setsWait)
	defer cancel()
	for {
		f, err := s.next(limited)
		if err != nil {
			if limited.Err() != nil && ctx.Err() == nil {
				return nil
			}
			return err
		}
		if t := f.Info(); f.Key && t.SPS != nil && t.PPS != nil {
			s.pending = f
			return nil
		}
		f.Release()
		s.timing.gap = true
	}
}

// Stream implements hal.Source.
func (s *source) Stream() *hal.Stream { return s.stream.Load() }

// Live implements hal.Source.
func (s *source) Live() bool { return true }

// RequestKeyFrame implements hal.KeyFramer; cameras that encode take it.
func (s *source) RequestKeyFrame() {
	s.wantKey.Store(true)
	s.wake.set()
}

// SourceStats implements hal.Reporter.
func (s *source) SourceStats() hal.SourceStats {
	st := hal.SourceStats{
		Frames: s.stats.frames.Load(), Bytes: s.stats.bytes.Load(), Lost: s.stats.lost.Load(),
		Malformed: s.stats.malformed.Load(), Dropped: s.stats.dropped.Load(), Recovered: s.stats.recovered.Load(),
	}
	if f := s.stats.fault.Load(); f != nil {
		st.Fault = *f
	}
	return st
}

// Close implements hal.Source. It waits a little for pictures on loan; those that are held
// longer stay valid.
func (s *source) Close() error {
	s.closed.Store(true)
	s.wake.set()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil
	}
	s.gone = true
	s.follow(nil)
	s.pending.Release()
	s.pending = hal.Frame{}
	left := 0
	if s.loans != nil {
		left = s.loans.close(closeWait)
	}
	s.wake.close()
	if err := s.node.close(); err != nil {
		return fmt.Errorf("close %s: %w", s.name, err)
	}
	if left > 0 {
		s.log.Info("camera closed with pictures on loan", "pictures", left)
	}
	return nil
}

func (s *source) errClosed() error { return fmt.Errorf("%s: %w", s.name, fs.ErrClosed) }
