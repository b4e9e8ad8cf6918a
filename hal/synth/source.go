package synth

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

const (
	// patience is how late pictures may be read before they are dropped, as by a camera with a
	// second of memory.
	patience = time.Second
	// soundDelay is how long a piece of sound may wait for the next picture, so that one
	// wake-up serves both.
	soundDelay     = 100 * time.Millisecond
	defaultBuffers = 4
	videoTrack     = 0
	audioTrack     = 1
)

// source is an open synthetic camera. One goroutine reads; Close, RequestKeyFrame and
// SourceStats may come from others.
type source struct {
	cfg    Config
	clock  *hal.Clock
	stream *hal.Stream
	layout hal.Layout

	// Of the reader alone.
	begun    bool
	start    int64 // Mono of frame 0
	timer    *time.Timer
	video    int // the next picture
	audio    int // the next piece of sound
	gap      [2]bool
	broken   bool // the coder is ahead of the reader: a key frame comes next
	coder    *coder
	sound    *sound
	arena    *pool.Arena
	pictures *pool.Buffers

	wantKey atomic.Bool
	frames  atomic.Uint64
	bytes   atomic.Uint64
	dropped atomic.Uint64

	closed chan struct{}
	mu     sync.Mutex
	ended  bool
	cancel context.CancelFunc // of a wait for a free buffer under way
}

var (
	_ hal.Source    = (*source)(nil)
	_ hal.KeyFramer = (*source)(nil)
	_ hal.Reporter  = (*source)(nil)
)

func newSource(cfg Config, opts hal.Options) (*source, error) {
	s := &source{cfg: cfg, clock: opts.Clock, stream: &hal.Stream{}, arena: opts.Arena(), closed: make(chan struct{})}
	t := hal.Track{
		Codec: cfg.Codec, TimeScale: 90000, Width: cfg.Width, Height: cfg.Height, FrameRate: cfg.Rate.Float(),
		Colour: hal.Colour{Primaries: 1, Transfer: 1, Matrix: 1},
	}
	if cfg.Codec == hal.Raw {
		if err := s.openRaw(opts.Buffers); err != nil {
			return nil, err
		}
		t.Layout = s.layout
	} else {
		t.SPS, t.PPS = sequenceParameterSet(cfg), pictureParameterSet()
		s.coder = newCoder(cfg)
	}
	s.stream.Tracks = append(s.stream.Tracks, t)
	if cfg.Audio != hal.CodecUnknown {
		s.sound = newSound(cfg.Audio)
		s.stream.Tracks = append(s.stream.Tracks, s.sound.track)
	}
	return s, nil
}

func (s *source) openRaw(buffers int) error {
	var err error
	if s.layout, err = hal.PackedLayout(s.cfg.Pixel, s.cfg.Width, s.cfg.Height); err != nil {
		return err
	}
	if buffers <= 0 {
		buffers = defaultBuffers
	}
	s.pictures, err = pool.NewBuffers(buffers, s.layout.Size)
	return err
}

// Stream implements hal.Source.
func (s *source) Stream() *hal.Stream { return s.stream }

// Live implements hal.Source.
func (s *source) Live() bool { return !s.cfg.Fast }

// RequestKeyFrame implements hal.KeyFramer.
func (s *source) RequestKeyFrame() { s.wantKey.Store(true) }

// SourceStats implements hal.Reporter.
func (s *source) SourceStats() hal.SourceStats {
	return hal.SourceStats{Frames: s.frames.Load(), Bytes: s.bytes.Load(), Dropped: s.dropped.Load()}
}

// Close implements hal.Source.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	close(s.closed)
	if s.cancel != nil {
		s.cancel()
	}
	return nil
}

// Read implements hal.Source.
func (s *source) Read(ctx context.Context) (hal.Frame, error) {
	for {
		if err := s.over(ctx); err != nil {
			return hal.Frame{}, err
		}
		at := s.cfg.Time(s.video)
		if s.sound != nil {
			if t := s.sound.time(s.audio); t < at {
				f, ok, err := s.readSound(ctx, t, at)
				if ok || err != nil {
					return f, err
				}
				continue
			}
		}
		if s.cfg.Frames > 0 && s.video >= s.cfg.Frames {
			return hal.Frame{}, io.EOF
		}
		if err := s.trials(ctx); err != nil {
			return hal.Frame{}, err
		}
		if err := s.wait(ctx, at); err != nil {
			return hal.Frame{}, err
		}
		if s.catchUp(at) {
			continue
		}
		f, ok, err := s.readPicture(ctx, at)
		if ok || err != nil {
			return f, err
		}
	}
}

// over returns an error once the context or the source has ended.
func (s *source) over(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.closed:
		return errClosed()
	default:
		return nil
	}
}

func errClosed() error { return fmt.Errorf("synthetic camera: %w", fs.ErrClosed) }

// trials plays the fault that the URL asks for after so many pictures.
func (s *source) trials(ctx context.Context) error {
	due := func(t Trial) bool { return t.On && s.video >= t.After }
	switch {
	case due(s.cfg.Panic):
		panic(fmt.Sprintf("synthetic camera: panic=after:%d", s.cfg.Panic.After))
	case due(s.cfg.Fail):
		return fmt.Errorf("synthetic camera with fail=after:%d: %w", s.cfg.Fail.After, hal.ErrNoSignal)
	case due(s.cfg.Stall):
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.closed:
			return errClosed()
		}
	}
	return nil
}

// wait blocks until an instant of the camera's time has come.
func (s *source) wait(ctx context.Context, at time.Duration) error {
	if !s.begun {
		s.begun, s.start = true, s.clock.Mono()
	}
	if s.cfg.Fast {
		return nil
	}
	left := at - s.elapsed()
	if left <= 0 {
		return nil
	}
	if s.timer == nil {
		s.timer = time.NewTimer(left)
	} else {
		s.timer.Reset(left)
	}
	select {
	case <-s.timer.C:
		return nil
	case <-ctx.Done():
		s.timer.Stop()
		return context.Cause(ctx)
	case <-s.closed:
		s.timer.Stop()
		return errClosed()
	}
}

func (s *source) elapsed() time.Duration { return time.Duration(s.clock.Mono() - s.start) }

// catchUp drops the pictures that nobody read in time, and their sound.
func (s *source) catchUp(at time.Duration) bool {
	if s.cfg.Fast || s.elapsed()-at <= patience {
		return false
	}
	next := s.cfg.Rate.Frame(s.elapsed() - patience)
	if s.cfg.Frames > 0 {
		next = min(next, s.cfg.Frames)
	}
	if next <= s.video {
		return false
	}
	s.drop(next - s.video)
	s.video = next
	for s.sound != nil && s.sound.time(s.audio) < s.cfg.Time(next) {
		s.audio++
		s.gap[audioTrack] = true
	}
	return true
}

func (s *source) drop(pictures int) {
	s.dropped.Add(uint64(pictures))
	s.gap[videoTrack] = true
}

// stamp places a frame: a live camera's at the instant it was due, which is when it was taken.
func (s *source) stamp(at time.Duration) hal.Stamp {
	if s.cfg.Fast {
		return hal.Stamp{DTS: at, PTS: at, Mono: s.clock.Mono()}
	}
	return hal.Stamp{DTS: at, PTS: at, Mono: s.start + int64(at)}
}

// frame hands a buffer out.
func (s *source) frame(b pool.Buffer, track int, at time.Duration, key bool) hal.Frame {
	f := hal.Frame{Buf: b, Stream: s.stream, Track: track, Stamp: s.stamp(at), Key: key, Gap: s.gap[track]}
	s.gap[track] = false
	s.frames.Add(1)
	s.bytes.Add(uint64(b.Len()))
	return f
}

// readSound returns the next piece of sound, which begins at t, before the picture at next. It
// comes after it was heard, with the picture where that is soon.
func (s *source) readSound(ctx context.Context, t, next time.Duration) (hal.Frame, bool, error) {
	if next-t > soundDelay {
		next = s.sound.time(s.audio + 1)
	}
	if err := s.wait(ctx, next); err != nil {
		return hal.Frame{}, false, err
	}
	if s.catchUp(next) {
		return hal.Frame{}, false, nil
	}
	piece := s.sound.piece(s.audio)
	b, err := s.room(ctx, len(piece))
	if err != nil {
		if s.cfg.Fast {
			return hal.Frame{}, false, err
		}
		s.audio++
		s.dropped.Add(1)
		s.gap[audioTrack] = true
		return hal.Frame{}, false, nil
	}
	copy(b.Bytes(), piece)
	s.audio++
	return s.frame(b, audioTrack, t, true), true, nil
}

// readPicture returns the next picture. ok is false where a live one had no room.
func (s *source) readPicture(ctx context.Context, at time.Duration) (f hal.Frame, ok bool, err error) {
	if s.cfg.Codec == hal.Raw {
		return s.readRaw(ctx, at)
	}
	forced := s.wantKey.Swap(false)
	size, key := s.coder.encode(s.video, forced || s.broken)
	b, err := s.room(ctx, size)
	if err != nil {
		s.broken = true
		if s.cfg.Fast {
			return hal.Frame{}, false, err
		}
		s.drop(1)
		s.video++
		return hal.Frame{}, false, nil
	}
	s.coder.write(b.Bytes())
	s.broken = false
	s.video++
	return s.frame(b, videoTrack, at, key), true, nil
}

// room returns memory for an encoded frame. Where there is none, a source that is not live
// waits until some comes home.
func (s *source) room(ctx context.Context, size int) (pool.Buffer, error) {
	for {
		b, err := s.arena.Get(size)
		if err == nil || !s.cfg.Fast {
			return b, err
		}
		if !s.arena.Due() {
			return b, fmt.Errorf("synthetic camera: a larger arena is needed: %w", err)
		}
		select {
		case <-s.arena.Freed():
		case <-ctx.Done():
			return b, context.Cause(ctx)
		case <-s.closed:
			return b, errClosed()
		}
	}
}

func (s *source) readRaw(ctx context.Context, at time.Duration) (f hal.Frame, ok bool, err error) {
	b, ok := s.pictures.TryTake()
	if !ok {
		if !s.cfg.Fast {
			s.drop(1)
			s.video++
			return hal.Frame{}, false, nil
		}
		if b, err = s.takePicture(ctx); err != nil {
			return hal.Frame{}, false, err
		}
	}
	if err := s.cfg.Paint(b.Bytes(), s.layout, s.video); err != nil {
		b.Release()
		return hal.Frame{}, false, err
	}
	s.video++
	return s.frame(b, videoTrack, at, true), true, nil
}

// takePicture waits for a free buffer, until the source is closed.
func (s *source) takePicture(ctx context.Context) (pool.Buffer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return pool.Buffer{}, errClosed()
	}
	s.cancel = func() { cancel(errClosed()) }
	s.mu.Unlock()
	b, err := s.pictures.Take(ctx)
	s.mu.Lock()
	s.cancel = nil
	s.mu.Unlock()
	return b, err
}
