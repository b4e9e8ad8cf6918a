package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// Service makes snapshots of channels. It starts nothing: who asks does the work, a few at once.
type Service struct {
	cfg   Config
	shelf *shelf
	press *press
	slots chan struct{} // one token for each picture that is being made

	mu      sync.Mutex
	cameras map[string]*Camera
	stats   Stats
}

// Stats is what a Service did.
type Stats struct {
	Asked   uint64         `json:"asked"`   // snapshots
	Cached  uint64         `json:"cached"`  // of them, that were there already
	Decodes uint64         `json:"decodes"` // key frames that were decoded, or tried
	Failed  uint64         `json:"failed"`
	Ways    map[Way]uint64 `json:"ways"`         // how those that were made came about
	Memory  int            `json:"memory_bytes"` // of key frames, pictures and files
}

// New returns a service without channels.
func New(cfg Config) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Service{
		cfg: cfg, shelf: newShelf(cfg), press: newPress(cfg), slots: make(chan struct{}, cfg.Parallel),
		cameras: map[string]*Camera{}, stats: Stats{Ways: map[Way]uint64{}},
	}, nil
}

// Camera returns the branch of a channel, with a queue as Limit says. A second one of a name
// takes the first one's place.
func (s *Service) Camera(channel string, cfg CameraConfig) *Camera {
	c := &Camera{name: channel, cfg: cfg, svc: s}
	s.mu.Lock()
	old := s.cameras[channel]
	s.cameras[channel] = c
	s.mu.Unlock()
	if old != nil {
		s.shelf.forget(old)
	}
	return c
}

// Close frees what is kept. Nobody asks any more.
func (s *Service) Close() {
	s.shelf.forget(nil)
	s.press.close()
	s.cfg.HTTP.CloseIdleConnections()
}

// Snapshot returns a picture of a channel: of its last key frame, or its next one where there is
// none yet. Width makes it narrower, its shape kept; 0 is the configuration's. Whoever asks
// while nothing newer came gets what was made before.
func (s *Service) Snapshot(ctx context.Context, channel string, width int) (Snapshot, error) {
	if err := CheckWidth(width); err != nil {
		return Snapshot{}, err
	}
	if width == 0 {
		width = s.cfg.Width
	}
	s.mu.Lock()
	c := s.cameras[channel]
	s.stats.Asked++
	s.mu.Unlock()
	if c == nil {
		return Snapshot{}, fmt.Errorf("channel %q: %w", channel, ErrNoChannel)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, fmt.Errorf("%w: within %s", ErrNoKeyFrame, s.cfg.Timeout))
	defer cancel()
	got, err := s.take(ctx, c, width)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.stats.Failed++
		return Snapshot{}, fmt.Errorf("channel %s: %w", channel, err)
	}
	return got, nil
}

func (s *Service) take(ctx context.Context, c *Camera, width int) (Snapshot, error) {
	sh, err := c.grab(ctx)
	if err != nil {
		if errors.Is(err, ErrNoKeyFrame) && context.Cause(ctx) != nil {
			return Snapshot{}, context.Cause(ctx)
		}
		return Snapshot{}, err
	}
	defer s.shelf.letGo(sh)
	select {
	case sh.busy <- struct{}{}:
		defer func() { <-sh.busy }()
	case <-ctx.Done():
		return Snapshot{}, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	if got, ok := sh.made[width]; ok {
		s.count(func(st *Stats) { st.Cached++ })
		return got, nil
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return Snapshot{}, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	got, err := s.make(ctx, sh, width)
	if err != nil {
		return Snapshot{}, err
	}
	got.Channel = c.name
	s.count(func(st *Stats) { st.Ways[got.Way]++ })
	c.tell(got.Way, got.Cause)
	sh.made[width] = got
	s.shelf.keep(sh, len(got.Data))
	return got, nil
}

func (s *Service) count(change func(*Stats)) {
	s.mu.Lock()
	change(&s.stats)
	s.mu.Unlock()
}

// Stats returns what the service did.
func (s *Service) Stats() Stats {
	s.mu.Lock()
	st := s.stats
	st.Ways = maps.Clone(s.stats.Ways)
	s.mu.Unlock()
	st.Memory = s.shelf.bytes()
	return st
}

// bytes is how much memory is taken.
func (s *shelf) bytes() int {
	s.mu.Lock()
	n := s.files
	s.mu.Unlock()
	return n + s.frames.Stats().Bytes + s.pictures.Stats().Bytes
}

var _ Taker = (*Service)(nil)

// isOurs says whether an error is the caller's giving up, and no judgement of a key frame.
func isOurs(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ErrBusy) || errors.Is(err, hal.ErrStalled)
}
