package encode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
)

// Stage encodes what is raw. It implements pipeline.Stage, and hal.KeyFramer: it can be asked
// for a key frame from any goroutine.
type Stage struct {
	reg   *hal.Registry
	codec hal.Codec
	cfg   Config

	env     pipeline.Env
	arena   *pool.Arena
	outlet  *outlet
	entry   chan *session // to the reader
	reading chan struct{} // closed when the reader has left
	fell    error         // why, if it did not leave by itself
	axe     context.CancelFunc

	source   *hal.Stream // whose frames come
	alias    *hal.Stream // another pointer to an equal one
	track    int         // the raw one; −1: the stream is passed as it is
	run      uint32
	current  *session
	failures map[string]int
	except   []string // encoders that have failed too often
	gap      bool     // pictures were lost

	key   atomic.Bool
	using atomic.Pointer[hal.EncoderInfo]
	count counters
}

// patience is how often in a row an encoder may fail before the next one's turn comes; one that
// has delivered as many frames as settled has made up for its failures.
const (
	patience = 3
	settled  = 250
)

// To returns the stage that encodes to codec with the best encoder that reg has. Where codec is unknown
// that is H.264, or JPEG where there is no encoder for H.264, and nobody looks before the first raw
// picture: an encoder's library takes memory, which a channel that only passes frames does not need.
func To(reg *hal.Registry, codec hal.Codec, cfg Config) *Stage {
	return &Stage{reg: reg, codec: codec, cfg: cfg.withDefaults()}
}

// Name implements pipeline.Stage.
func (s *Stage) Name() string { return s.cfg.Name }

// Nice implements pipeline.Prioritised.
func (s *Stage) Nice() int { return s.cfg.Nice }

// Workers implements pipeline.Extra: the reader, and pictures that are encoded beside each other.
func (s *Stage) Workers() int {
	if (s.codec == hal.MJPEG || s.codec == hal.CodecUnknown) && s.cfg.Parallel > 1 {
		return 1 + s.cfg.Parallel
	}
	return 1
}

// Passes implements pipeline.Passer: what is not raw is not touched.
func (s *Stage) Passes(st *hal.Stream) bool { return raw(st) < 0 }

// raw returns the index of the track that is encoded, or −1.
func raw(st *hal.Stream) int {
	return slices.IndexFunc(st.Tracks, func(t hal.Track) bool { return t.Codec == hal.Raw })
}

// RequestKeyFrame implements hal.KeyFramer: the next picture becomes a key frame.
func (s *Stage) RequestKeyFrame() { s.key.Store(true) }

// Stats is what the stage has done since its channel was initialised.
type Stats struct {
	Encoder  string `json:"encoder"` // in use now
	Detail   string `json:"detail"`  // its library or device
	Hardware bool   `json:"hardware"`
	Pictures uint64 `json:"pictures"` // that came
	Frames   uint64 `json:"frames"`   // that went
	Bytes    uint64 `json:"bytes"`
	Lost     uint64 `json:"lost"`     // pictures and sound lost in here
	Failures uint64 `json:"failures"` // of encoders
}

// Stats implements pipeline.Counting.
func (s *Stage) Stats() any {
	c := &s.count
	st := Stats{
		Pictures: c.pictures.Load(), Frames: c.frames.Load(), Bytes: c.bytes.Load(),
		Lost: c.lost.Load(), Failures: c.failures.Load(),
	}
	if info := s.using.Load(); info != nil {
		st.Encoder, st.Detail, st.Hardware = info.Name, info.Detail, info.Hardware
	}
	return st
}

// Open implements pipeline.Stage. It needs an encoder for the codec, where one is asked for, to be
// there, whatever the pictures will be like; it is opened with the first of them.
func (s *Stage) Open(ctx context.Context, env pipeline.Env) error {
	if err := s.cfg.Validate(); err != nil {
		return fmt.Errorf("stage %s: %w", s.cfg.Name, err)
	}
	if env.Out == nil {
		return fmt.Errorf("stage %s: it passes frames on, so it must stand in the trunk", s.cfg.Name)
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Clock == nil {
		env.Clock = hal.NewClock()
	}
	s.env = env
	if s.codec != hal.CodecUnknown {
		codec, infos, err := s.encoders(ctx)
		if len(infos) == 0 {
			return errors.Join(fmt.Errorf("%w: stage %s: no encoder for %s on this machine", hal.ErrUnsupported, s.cfg.Name, codec), err)
		}
		if err != nil {
			env.Log.Warn("encoders that cannot be used", "cause", err)
		}
	}
	s.arena = pool.NewArena(pool.ArenaConfig{Max: s.cfg.ArenaMax, Reserve: env.Reserve})
	s.outlet = &outlet{out: env.Out, count: &s.count}
	s.source, s.alias, s.current, s.gap = nil, nil, nil, false
	s.failures, s.except = map[string]int{}, nil
	return s.startReader(ctx)
}

func (s *Stage) startReader(ctx context.Context) error {
	entry, left := make(chan *session), make(chan struct{})
	reading, axe := context.WithCancel(context.WithoutCancel(ctx))
	outlet := s.outlet
	err := s.env.Workers.Go(func() error {
		for one := range entry {
			one.read(reading, outlet)
		}
		return nil
	}, func(err error) {
		s.fell = err
		close(left)
	})
	if err != nil {
		axe()
		return fmt.Errorf("stage %s: a worker to read the encoder: %w", s.cfg.Name, err)
	}
	s.entry, s.reading, s.fell, s.axe = entry, left, nil, axe
	return nil
}

// Work implements pipeline.Stage.
func (s *Stage) Work(ctx context.Context, f hal.Frame) error {
	if f.Stream != s.source && f.Stream != s.alias || f.Stamp.Run != s.run {
		if err := s.change(ctx, f); err != nil {
			f.Release()
			return err
		}
	}
	switch {
	case s.track < 0:
		return s.outlet.pass(f)
	case f.Track == s.track:
		s.count.pictures.Add(1)
		return s.picture(ctx, f)
	case f.Info().Codec == hal.Raw: // a second camera in one stream: not ours
		s.count.lost.Add(1)
		f.Release()
		return nil
	}
	return s.outlet.sound(f)
}

// change finishes what was and notes what comes.
func (s *Stage) change(ctx context.Context, f hal.Frame) error {
	if s.source.Equal(f.Stream) && f.Stamp.Run == s.run {
		s.alias = f.Stream
		return nil
	}
	if err := s.finish(ctx, false); err != nil {
		return err
	}
	if !s.source.Equal(f.Stream) {
		clear(s.failures)
		s.except = nil
	}
	s.source, s.alias, s.run = f.Stream, f.Stream, f.Stamp.Run
	if s.track = raw(s.source); s.track >= 0 {
		s.outlet.begin(s.source, s.track)
	}
	return nil
}

// picture encodes one raw picture.
func (s *Stage) picture(ctx context.Context, f hal.Frame) error {
	if err := s.ready(ctx); err != nil {
		f.Release()
		return err
	}
	f.Gap = f.Gap || s.gap
	s.gap = true // unless it gets in
	one := s.current
	g, err := one.fit.fit(ctx, f)
	if err != nil {
		return fmt.Errorf("stage %s: %w", s.cfg.Name, err)
	}
	if s.key.Swap(false) {
		one.RequestKeyFrame()
	}
	s.outlet.wrote(g.Stamp.DTS)
	err = one.Write(ctx, g)
	if err == nil {
		s.gap = false
		one.written++
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.count.lost.Add(1)
	if errors.Is(err, pool.ErrArenaFull) { // not the encoder's fault: who takes its frames is slow
		return nil
	}
	return s.fail(err)
}

// ready sees to it that there is an encoder that works.
func (s *Stage) ready(ctx context.Context) error {
	if s.current != nil && s.current.ended() {
		if err := s.fail(nil); err != nil {
			return err
		}
	}
	if s.current != nil {
		return nil
	}
	return s.start(ctx)
}

// Flush implements pipeline.Stage: it drains the encoder. The next picture opens it anew.
func (s *Stage) Flush(ctx context.Context) error { return s.finish(ctx, true) }

// finish drains the encoder in use. Where ctx ends first, its tail is lost.
func (s *Stage) finish(ctx context.Context, good bool) error {
	one := s.current
	if one == nil {
		return s.outlet.end(good)
	}
	one.CloseInput()
	select {
	case <-one.done:
	case <-s.reading:
	case <-ctx.Done():
		s.drop()
		return context.Cause(ctx)
	}
	if one.err != nil || one.passing != nil || s.readerFell() != nil {
		if err := s.fail(nil); err != nil {
			return err
		}
	}
	s.drop()
	return s.outlet.end(good)
}

// Close implements pipeline.Stage.
func (s *Stage) Close() error {
	if s.entry == nil {
		return nil
	}
	s.axe()
	s.drop()
	close(s.entry)
	<-s.reading
	s.entry = nil
	s.outlet.discard()
	s.using.Store(nil)
	return nil
}
