package haltest

import (
	"context"
	"errors"
	"io"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// Config is a source under test and what is true of it.
type Config struct {
	// Driver and URL name the source. Open replaces them where a test opens it itself; what it
	// opens must be the same each time.
	Driver hal.SourceDriver
	URL    string
	Open   func(ctx context.Context, opts hal.Options) (hal.Source, error)

	Options hal.Options // given to Open; Clock is set where it is nil

	Live   bool      // what Live returns
	Codec  hal.Codec // of the pictures; CodecUnknown: any, or none
	Frames int       // pictures until io.EOF; 0: there is no end
	Reads  int       // how many frames to look at where there is no end; default 60
	Hold   int       // frames held at once by the test of what outlives Close; default 2

	// MaxAllocs is how many allocations a Read may make in the steady state, measured over
	// AllocReads reads (default 30) after WarmUp (default 20) others, averaged and rounded down.
	// A finite source must be long enough, or is not measured where NoAllocs is set.
	MaxAllocs          float64
	WarmUp, AllocReads int
	NoAllocs           bool

	// Pause is how long a source that is not live is held back: default 1.2 s, longer than what
	// is live may wait for its reader.
	Pause time.Duration

	// WrongURLs are refused by Check and by Open. Where one has a password, let it be "secret":
	// no error may show it.
	WrongURLs []string
	// Faults are URLs whose source must fail in a certain way, in Open or in a Read.
	Faults []Fault

	// Patience bounds whatever must come promptly; default 10 s, because machines are busy.
	Patience time.Duration
}

// Fault is a source that fails, and the error that says what to do about it.
type Fault struct {
	URL  string
	Want error
}

// Source runs the suite. Nothing may be left of the source after any of the subtests: no
// goroutine and no open file.
func Source(t *testing.T, cfg Config) {
	t.Helper()
	s := suite{cfg: cfg.withDefaults()}
	for _, c := range []struct {
		rule string
		run  func(t *testing.T)
		when bool
	}{
		{"the stream is known before the first frame", s.knowsItsStream, true},
		{"every frame is in order and well formed", s.frames, true},
		{"the end is io.EOF after the last frame", s.ends, cfg.Frames > 0},
		{"a frame is one reference that outlives Close", s.references, true},
		{"Read gives up when its context ends", s.cancelled, true},
		{"Close ends a Read under way", s.closedWhileReading, true},
		{"a second Close is harmless and Read fails after it", s.closedTwice, true},
		{"what was closed opens again", s.reopened, true},
		{"a source that is not live loses nothing when held back", s.heldBack, !cfg.Live},
		{"a live source comes at its own pace", s.paced, cfg.Live},
		{"Read allocates nothing in the steady state", s.allocations, !cfg.NoAllocs},
		{"a wrong URL is refused without its password", s.wrongURLs, len(cfg.WrongURLs) > 0},
		{"a fault ends in the error that decides", s.faults, len(cfg.Faults) > 0},
	} {
		if c.when {
			t.Run(c.rule, func(t *testing.T) {
				leaves := nothingLeft(t, s.cfg.Patience)
				c.run(t)
				leaves()
			})
		}
	}
}

func (c Config) withDefaults() Config {
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.Pause == 0 {
		c.Pause = 1200 * time.Millisecond
	}
	if c.Reads == 0 {
		c.Reads = 60
	}
	if c.Hold == 0 {
		c.Hold = 2
	}
	if c.WarmUp == 0 {
		c.WarmUp = 20
	}
	if c.AllocReads == 0 {
		c.AllocReads = 30
	}
	c.Options = c.Options.WithDefaults()
	if c.Open == nil {
		reg := hal.NewRegistry(c.Driver)
		c.Open = func(ctx context.Context, opts hal.Options) (hal.Source, error) { return reg.Open(ctx, c.URL, opts) }
	}
	return c
}

type suite struct {
	cfg Config
}

// open opens the source under a context that ends at once afterwards: it bounds the opening
// alone.
func (s *suite) open(t *testing.T) hal.Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.cfg.Patience)
	defer cancel()
	src, err := s.cfg.Open(ctx, s.cfg.Options)
	require.NoError(t, err)
	return src
}

// read returns the next frame, within the patience of the test.
func (s *suite) read(t *testing.T, src hal.Source) (hal.Frame, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.cfg.Patience)
	defer cancel()
	f, err := src.Read(ctx)
	if err != nil {
		require.NotErrorIs(t, err, context.DeadlineExceeded, "no frame in %v", s.cfg.Patience)
		require.True(t, f.Buf.IsZero(), "a frame beside an error")
	}
	return f, err
}

func (s *suite) knowsItsStream(t *testing.T) {
	t.Helper()
	src := s.open(t)
	stream := src.Stream()
	require.NotNil(t, stream)
	require.NotEmpty(t, stream.Tracks)
	for _, track := range stream.Tracks {
		require.NoError(t, Track(track))
	}
	if s.cfg.Codec != hal.CodecUnknown {
		require.GreaterOrEqual(t, stream.Video(), 0, "no pictures in %v", stream.Tracks)
		require.Equal(t, s.cfg.Codec, stream.Tracks[stream.Video()].Codec)
	}
	require.Equal(t, s.cfg.Live, src.Live())
	require.NoError(t, src.Close())
}

func (s *suite) frames(t *testing.T) {
	t.Helper()
	opened := s.cfg.Options.Clock.Mono()
	src := s.open(t)
	order := NewOrder(src.Stream(), s.cfg.Options.Clock, opened)
	for i := 0; s.cfg.Frames > 0 || i < s.cfg.Reads; i++ {
		f, err := s.read(t, src)
		if errors.Is(err, io.EOF) && s.cfg.Frames > 0 {
			break
		}
		require.NoError(t, err)
		require.NoError(t, order.Next(f), "frame %d", i)
		require.NoError(t, Payload(f), "frame %d", i)
		f.Release()
	}
	require.NoError(t, src.Close())
}

func (s *suite) ends(t *testing.T) {
	t.Helper()
	src := s.open(t)
	pictures := 0
	for {
		f, err := s.read(t, src)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if f.Track == f.Stream.Video() {
			pictures++
		}
		f.Release()
	}
	require.Equal(t, s.cfg.Frames, pictures)
	_, err := s.read(t, src)
	require.ErrorIs(t, err, io.EOF, "the second time too")
	require.NoError(t, src.Close())
}

func (s *suite) reopened(t *testing.T) {
	t.Helper()
	var before *hal.Stream
	for range 3 {
		src := s.open(t)
		if before == nil {
			before = src.Stream()
		}
		require.True(t, before.Equal(src.Stream()), "another stream: %v, then %v", before.Tracks, src.Stream().Tracks)
		f, err := s.read(t, src)
		require.NoError(t, err)
		f.Release()
		require.NoError(t, src.Close())
	}
}

func (s *suite) wrongURLs(t *testing.T) {
	t.Helper()
	for _, wrong := range s.cfg.WrongURLs {
		u, err := url.Parse(wrong)
		require.NoError(t, err, "of the test itself: Check takes what parses")
		err = s.cfg.Driver.Check(u)
		require.Error(t, err, "Check(%s)", wrong)
		require.NotContains(t, err.Error(), "secret")
		src, err := hal.NewRegistry(s.cfg.Driver).Open(t.Context(), wrong, s.cfg.Options)
		require.Error(t, err, "Open(%s)", wrong)
		require.Nil(t, src)
		require.NotContains(t, err.Error(), "secret")
	}
}

func (s *suite) faults(t *testing.T) {
	t.Helper()
	for _, fault := range s.cfg.Faults {
		src, err := hal.NewRegistry(s.cfg.Driver).Open(t.Context(), fault.URL, s.cfg.Options)
		if err == nil {
			for err == nil {
				var f hal.Frame
				f, err = s.read(t, src)
				f.Release()
			}
			require.NoError(t, src.Close())
		}
		require.ErrorIs(t, err, fault.Want, "%s", hal.Redact(fault.URL))
		require.NotContains(t, err.Error(), "secret")
	}
}
