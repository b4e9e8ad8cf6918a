package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// MinInterval is the shortest interval of a schedule (S1).
const MinInterval = time.Minute

// Receiver takes snapshots. Send returns when the snapshot has arrived, or is given up.
type Receiver interface {
	Send(ctx context.Context, s Snapshot) error
}

// Taker makes a snapshot of a channel. A Service is one.
type Taker interface {
	Snapshot(ctx context.Context, channel string, width int) (Snapshot, error)
}

// SchedulerConfig is a Scheduler's settings.
type SchedulerConfig struct {
	Interval time.Duration // from one snapshot of a channel to the next; at least a minute (S1)
	Parallel int           // snapshots on their way at once; default 256
	Taker    Taker
	Receiver Receiver
	Clock    *hal.Clock   // default: the system's
	Logger   *slog.Logger // default: silent
}

// Scheduler sends each online channel's snapshot to a receiver once an interval. It has one
// timer for all channels. What the receiver is too slow for is dropped and counted.
type Scheduler struct {
	cfg     SchedulerConfig
	workers *pool.Workers
	wake    chan struct{} // holds one token: the schedule is another

	mu       sync.Mutex
	schedule *Schedule
	stats    SchedulerStats
	told     map[string]string // by channel, why no picture was made of it; told once
	trouble  string            // the receiver's; told once
}

// SchedulerStats is what a Scheduler does.
type SchedulerStats struct {
	Interval float64 `json:"interval_s"`
	Online   int     `json:"online"`          // channels
	Left     int     `json:"left"`            // of them, whose turn is still to come in this interval
	Missed   uint64  `json:"missed"`          // turns that passed while nothing could be done
	Due      uint64  `json:"due"`             // turns that came; each is sent, failed or dropped
	Sent     uint64  `json:"sent"`            // snapshots that arrived
	Bytes    uint64  `json:"sent_bytes"`      // of them
	Dropped  uint64  `json:"dropped"`         // because too many were on their way
	NoPic    uint64  `json:"no_picture"`      // of which no picture could be made
	Failed   uint64  `json:"failed"`          // that the receiver did not take
	Flying   int     `json:"on_their_way"`    // now
	Cause    string  `json:"cause,omitempty"` // why the receiver took the latest one not
}

// NewScheduler returns a scheduler with a share of the pool's workers of its own; nothing runs
// before Start.
func NewScheduler(threads *pool.Pool, cfg SchedulerConfig) (*Scheduler, error) {
	switch {
	case cfg.Interval < MinInterval:
		return nil, fmt.Errorf("snapshots every %s: at least every %s", cfg.Interval, MinInterval)
	case cfg.Parallel < 0 || cfg.Parallel > 4096:
		return nil, fmt.Errorf("%d snapshots at once: 1 to 4096", cfg.Parallel)
	case cfg.Taker == nil || cfg.Receiver == nil:
		return nil, errors.New("a scheduler of snapshots needs who makes and who takes them")
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 256
	}
	if cfg.Clock == nil {
		cfg.Clock = hal.NewClock()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	workers, err := threads.Reserve(cfg.Parallel + 1)
	if err != nil {
		return nil, fmt.Errorf("scheduler of snapshots: %w", err)
	}
	return &Scheduler{
		cfg: cfg, workers: workers, wake: make(chan struct{}, 1),
		schedule: NewSchedule(cfg.Interval), told: map[string]string{},
	}, nil
}

// Set says that a channel is online, or is not. It never blocks, and is safe from any goroutine.
func (s *Scheduler) Set(channel string, online bool) {
	s.mu.Lock()
	s.schedule.Set(s.cfg.Clock.Mono(), channel, online)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Start begins; ctx ends it, and Wait says when the last snapshot has left.
func (s *Scheduler) Start(ctx context.Context) error {
	return s.workers.Go(func() error { return s.run(ctx) }, nil)
}

// Wait returns when ctx of Start is done and nothing is on its way any more.
func (s *Scheduler) Wait() {
	s.workers.Wait()
	s.workers.Close()
}

func (s *Scheduler) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.wake:
		}
		due, ok := s.serve(ctx)
		if !ok {
			timer.Stop()
			continue
		}
		timer.Reset(max(0, time.Duration(due-s.cfg.Clock.Mono())))
	}
}

// serve sends off whose turn it is, and returns when there is more to do.
func (s *Scheduler) serve(ctx context.Context) (due int64, ok bool) {
	for {
		s.mu.Lock()
		name, found := s.schedule.Take(s.cfg.Clock.Mono())
		if !found {
			defer s.mu.Unlock()
			return s.schedule.Next()
		}
		s.stats.Due++
		s.stats.Flying++
		s.mu.Unlock()
		err := s.workers.Go(func() error { return s.send(ctx, name) }, func(err error) { s.done(name, err) })
		if err != nil {
			s.done(name, errTooMany)
		}
	}
}

var (
	errTooMany = errors.New("too many snapshots are on their way: the receiver is too slow")
	errPicture = errors.New("no picture")
	errLate    = errors.New("not taken within an interval, and the next one is newer")
)

// send makes one snapshot and brings it to the receiver, both within an interval.
func (s *Scheduler) send(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Interval, errLate)
	defer cancel()
	shot, err := s.cfg.Taker.Snapshot(ctx, name, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", errPicture, err)
	}
	if err := s.cfg.Receiver.Send(ctx, shot); err != nil {
		if errors.Is(context.Cause(ctx), errLate) && !errors.Is(err, errLate) {
			return fmt.Errorf("%w: %w", errLate, err)
		}
		return err
	}
	s.mu.Lock()
	s.stats.Bytes += uint64(len(shot.Data))
	s.mu.Unlock()
	return nil
}

// done counts how a snapshot ended. What goes wrong is told once, until it goes right again.
func (s *Scheduler) done(name string, err error) {
	s.mu.Lock()
	s.stats.Flying--
	var tell func()
	switch {
	case err == nil:
		s.stats.Sent++
		delete(s.told, name)
		tell = s.receiverSays("")
	case errors.Is(err, context.Canceled): // the end of it all
	case errors.Is(err, errPicture):
		s.stats.NoPic++
		if cause := err.Error(); s.told[name] != cause {
			s.told[name] = cause
			tell = func() { s.cfg.Logger.Warn("no snapshot of a channel", "channel", name, "cause", cause) }
		}
	default:
		if errors.Is(err, errTooMany) {
			s.stats.Dropped++
		} else {
			s.stats.Failed++
		}
		tell = s.receiverSays(err.Error())
	}
	s.mu.Unlock()
	if tell != nil {
		tell()
	}
}

// receiverSays takes note of what the receiver's trouble is, and returns what is to be told of
// it, if that is new. The caller holds mu.
func (s *Scheduler) receiverSays(cause string) func() {
	before := s.trouble
	s.trouble = cause
	switch {
	case (cause == "") == (before == ""): // one telling for each time of trouble
		return nil
	case cause == "":
		return func() { s.cfg.Logger.Info("the receiver takes snapshots again") }
	}
	return func() {
		s.cfg.Logger.Warn("the receiver does not take snapshots; this is told once until it does", "cause", cause)
	}
}

// Stats returns what the scheduler does now.
func (s *Scheduler) Stats() SchedulerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Interval, st.Cause = s.cfg.Interval.Seconds(), s.trouble
	st.Online, st.Left, st.Missed = s.schedule.Counts()
	return st
}
