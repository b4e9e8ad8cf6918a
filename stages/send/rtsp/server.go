package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"

	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
)

// Server is an RTSP server for many channels. Mount gives each its place; the order of Mount,
// Start and the channels' Init does not matter.
type Server struct {
	cfg     Config
	log     *slog.Logger
	closing chan struct{}
	copies  *pool.Arena // blocks for players with channels of their own
	readers atomic.Int64

	// Set by Start.
	signal  *gortsplib.Server
	ports   *ports
	workers *pool.Workers
	own     *pool.Pool // nil where the workers are somebody else's

	mu      sync.Mutex
	mounts  map[string]*mount
	addr    net.Addr
	started bool
	closed  bool
	done    chan struct{} // closed when everything has ended
	result  error
}

// NewServer returns a server that does not listen yet. What is wrong with the settings Start
// says.
func NewServer(cfg Config) *Server {
	cfg = cfg.withDefaults()
	return &Server{
		cfg: cfg, log: cfg.Logger, closing: make(chan struct{}), done: make(chan struct{}), mounts: map[string]*mount{},
		copies: pool.NewArena(pool.ArenaConfig{Max: 32 << 20}),
	}
}

// Mount returns the stage that serves a channel at /NAME, for a branch bounded by Limit(). Its
// Open fails where another channel of that name is being served.
func (s *Server) Mount(name string) pipeline.Stage {
	return &mount{server: s, name: name, sessions: map[*reader]struct{}{}}
}

var errStarted = errors.New("rtsp: the server was started before")

// Start listens and serves. It takes all it needs or nothing.
func (s *Server) Start() (err error) {
	if err = s.cfg.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return errStarted
	}
	var undo []func()
	defer func() {
		for i := len(undo) - 1; i >= 0 && err != nil; i-- {
			undo[i]()
		}
	}()
	if err = s.takeWorkers(); err != nil {
		return err
	}
	undo = append(undo, s.freeWorkers)
	signal := &gortsplib.Server{
		Handler: &handler{s}, RTSPAddress: s.cfg.Listen, Listen: s.listen, DisableRTCPSenderReports: true,
		WriteQueueSize: 8, // reports of ours do not go through it
	}
	if s.cfg.UDP != UDPOff {
		if s.ports, err = s.openPorts(); err != nil {
			return err
		}
		undo = append(undo, func() { _ = s.ports.close() }) //nolint:errcheck // the failure that led here is reported
		s.ports.serve(signal)
	}
	s.signal = signal
	if err := signal.Start(); err != nil {
		return fmt.Errorf("rtsp: listen on %s: %w", s.cfg.Listen, err)
	}
	s.started = true
	s.addr = signal.NetListener().Addr()
	s.log.Info("rtsp server listens", "address", s.addr.String())
	return nil
}

func (s *Server) openPorts() (*ports, error) {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	if err != nil || s.cfg.UDP == "" {
		return listenPair(host, 0)
	}
	host, text, err := net.SplitHostPort(s.cfg.UDP)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	return listenPair(host, port)
}

func (s *Server) takeWorkers() error {
	if s.workers = s.cfg.Workers; s.workers != nil {
		return nil
	}
	p, err := pool.NewPool(s.cfg.MaxConns + 1)
	if err != nil {
		return err
	}
	s.own = p
	s.workers, err = p.Reserve(s.cfg.MaxConns + 1)
	return err
}

func (s *Server) freeWorkers() {
	if s.own != nil {
		s.workers.Close()
		if err := s.own.Close(time.Second); err != nil {
			s.log.Warn("rtsp workers did not leave", "cause", err.Error())
		}
	}
}

// Addr returns the address that the server listens on, nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Close stops listening, ends every session and waits until all is gone, or ctx ends: then it
// says so, and a later Close waits for the rest. Mounted channels run on, unwatched.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	started := s.started
	s.mu.Unlock()
	if first {
		close(s.closing)
		if !started {
			close(s.done)
		} else if err := s.workers.Go(func() error { s.signal.Close(); return nil }, func(err error) { s.result = err; close(s.done) }); err != nil {
			s.signal.Close() // no worker to be had: the caller's time
			close(s.done)
		}
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("rtsp: players or connections have not left: %w", context.Cause(ctx))
	}
	if first && started {
		s.freeWorkers()
	}
	return s.result
}

// enter makes a mount known.
func (s *Server) enter(m *mount) error {
	if err := pipeline.CheckName(m.name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.mounts[m.name]; other != nil && other != m {
		return fmt.Errorf("rtsp path /%s: %w", m.name, errTaken)
	}
	s.mounts[m.name] = m
	return nil
}

func (s *Server) leave(m *mount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mounts[m.name] == m {
		delete(s.mounts, m.name)
	}
}

// find returns what is served at a path, nil where nothing is.
func (s *Server) find(path string) *mount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mounts[strings.Trim(path, "/")]
}

// arenaBytes bounds a channel's blocks: what one player may have waiting, as all share the
// same ones, twice for the chunks that a stuck player holds on to, and what is kept for
// players that join.
func (s *Server) arenaBytes() int {
	return 2*s.cfg.ReaderBytes + 2*s.cfg.ReplayBytes + (8+s.cfg.MaxReaders)*(128<<10)
}
