package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/event"
	"github.com/millrace-video/millrace/stages/event/clip"
	"github.com/millrace-video/millrace/stages/event/motion"
	"github.com/millrace-video/millrace/stages/record"
)

// Pinner keeps what was recorded of a stretch of time until then, longer than the rest.
type Pinner interface {
	Pin(channel string, from, to, until time.Time, why string) error
}

// events is the appliance's event handling: what triggers there are, and what they lead to.
type events struct {
	clock    *hal.Clock
	log      *slog.Logger
	pins     Pinner // nil: nothing is kept longer
	workers  *pool.Workers
	handling *event.Handling
	stop     context.CancelFunc

	channels map[string]*eventChannel // never changed once the appliance runs
}

var _ api.Events = (*events)(nil)

// eventChannel is one channel's.
type eventChannel struct {
	*event.Channel

	events  *events
	cfg     config.Events
	keep    time.Duration // what was recorded of an event
	journal *eventJournal
	watch   *motion.Watch  // nil: no motion is looked for
	clip    *clip.Clip     // nil: events alone are not recorded
	cloud   *cloud.Channel // nil: nothing of the channel goes to the store

	mu   sync.Mutex
	told map[uint64]int64 // by event, up to where its window is pinned: ms
}

const (
	// eventWorkers carry out what events lead to, beside their timer.
	eventWorkers = 4
	// eventsTimeout is how long what events still have to do may take at the end.
	eventsTimeout = 2 * time.Second
)

// newEvents returns event handling for the channels that are to have it.
func newEvents(cfg config.Config, recorders *recorders, clock *hal.Clock, log *slog.Logger) *events {
	e := &events{clock: clock, log: log, handling: event.NewHandling(event.HandlingConfig{Clock: clock, Log: log}), channels: map[string]*eventChannel{}}
	for _, ch := range cfg.Channels {
		if !ch.Events.Enabled {
			continue
		}
		folder := ch.Folder(cfg.Data)
		c := &eventChannel{Channel: event.NewChannel(e.handling, ch.Name), events: e, cfg: ch.Events, keep: ch.Record.KeepEvents, journal: &eventJournal{path: filepath.Join(folder, "events.jsonl")}, told: map[uint64]int64{}}
		if m := ch.Events.Motion; m.Enabled {
			c.watch = motion.NewWatch(motion.Config{Sensitivity: m.Sensitivity, Area: m.Area, Rate: m.Rate, Hold: m.Hold}, c.moved)
		}
		if ch.Events.Record && !ch.Record.Enabled {
			c.clip = clip.To(recorders.make(folder, ch.Record, record.NoEvent), clip.Config{Pre: ch.Events.Pre, Bytes: int(ch.Events.Ring)})
		}
		e.channels[ch.Name] = c
	}
	return e
}

// start starts the handling, with workers of its own.
func (e *events) start(ctx context.Context, threads *pool.Pool) error {
	workers, err := threads.Reserve(1 + eventWorkers)
	if err != nil {
		return err
	}
	e.workers = workers
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	if err := workers.Go(func() error { return e.handling.Run(running, workers) }, nil); err != nil {
		stop()
		return err
	}
	for name, c := range e.channels {
		if err := c.init(ctx); err != nil {
			e.log.Error("a channel has no events", "channel", name, "cause", err.Error())
		}
	}
	return nil
}

func (c *eventChannel) init(ctx context.Context) error {
	cfg := event.Config{Interval: c.cfg.Interval, Minimum: c.cfg.Minimum, Pre: c.cfg.Pre, Waiting: c.cfg.Waiting, Priorities: c.cfg.Priorities}
	err := c.Init(ctx, cfg, event.Ends{Recorder: c, Messages: c, Last: func(context.Context) (uint64, error) { return c.journal.open() }})
	if err != nil {
		return err
	}
	return c.Serve(event.Notice{Service: event.EventService, On: true})
}

// leave ends event handling. What is under way gets a moment.
func (e *events) leave(ctx context.Context) {
	if e.stop == nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, eventsTimeout, fmt.Errorf("events took longer than %s", eventsTimeout))
	defer cancel()
	for name, c := range e.channels {
		left, err := c.Exit(ctx, false)
		if left.Any() {
			e.log.Warn("events are not done", "channel", name, "messages", left.Messages, "videos", left.Windows, "cause", err)
		}
	}
	e.stop()
	e.workers.Wait()
	e.workers.Close()
}

// trunk returns the stages that look at raw pictures.
func (c *eventChannel) trunk() []pipeline.Stage {
	if c == nil || c.watch == nil {
		return nil
	}
	return []pipeline.Stage{c.watch.Trunk()}
}

// branch adds the stages that look at, or record, encoded frames.
func (c *eventChannel) branch(def *pipeline.Definition) {
	if c == nil {
		return
	}
	if c.watch != nil {
		def.Branch(MotionBranch, motion.Limit(), c.watch.Branch())
	}
	if c.clip != nil {
		def.Branch(EventBranch, clip.Limit(), c.clip)
	}
}

// moved is the detector's trigger.
func (c *eventChannel) moved(mono int64) {
	err := c.Trigger(event.Motion.Bit(), c.events.clock.Wall(mono).UnixMilli())
	if err != nil && !errors.Is(err, event.ErrNotRunning) {
		c.events.log.Debug("motion makes no event", "channel", c.Name(), "cause", err.Error())
	}
}

// Record implements event.Recorder.
func (c *eventChannel) Record(w event.Window, stored func(error)) {
	c.pin(w)
	if w.Over {
		if err := c.journal.write(api.EventLine{Kind: api.EventRecording, Event: w.Event, Part: w.Part, From: w.From.UTC, To: w.To.UTC}); err != nil {
			c.trouble(err)
		}
	}
	done := func(error) {}
	if w.Over {
		done = together(c.clip != nil, c.cloud != nil, stored)
	}
	if c.clip != nil {
		c.clip.Record(w, ifOver(w, done))
	}
	if c.cloud != nil {
		c.cloud.Record(cloud.Window{Event: w.Event, Part: w.Part, From: w.From.Mono, To: w.To.Mono, Over: w.Over}, ifOver(w, func(err error) {
			if errors.Is(err, cloud.ErrOff) {
				err = nil // it is not to be in the store
			}
			done(err)
		}))
	}
}

// ifOver is nil for a window that is not over: nobody is told then.
func ifOver(w event.Window, done func(error)) func(error) {
	if !w.Over {
		return nil
	}
	return done
}

// together returns what each of those that keep a window calls once; stored is called when all
// have. Where there is none it is called at once.
func together(clip, cloud bool, stored func(error)) func(error) {
	var mu sync.Mutex
	var all error
	open := 0
	for _, one := range []bool{clip, cloud} {
		if one {
			open++
		}
	}
	if open == 0 {
		stored(nil)
	}
	return func(err error) {
		mu.Lock()
		all = errors.Join(all, err)
		open--
		last, result := open == 0, all
		mu.Unlock()
		if last {
			stored(result)
		}
	}
}

// pin keeps what is recorded of a window, as far as it was not pinned yet.
func (c *eventChannel) pin(w event.Window) {
	if c.events.pins == nil {
		return
	}
	c.mu.Lock()
	from, to := max(w.From.UTC, c.told[w.Event]), w.To.UTC
	c.told[w.Event] = max(to, c.told[w.Event])
	for number := range c.told { // an event's recording can reach into the next one's, not further
		if number+2 < w.Event {
			delete(c.told, number)
		}
	}
	c.mu.Unlock()
	if to <= from {
		return
	}
	at := time.UnixMilli(to)
	if err := c.events.pins.Pin(c.Name(), time.UnixMilli(from), at, at.Add(c.keep), fmt.Sprintf("event %d", w.Event)); err != nil {
		c.events.log.Warn("what was recorded of an event is not kept longer", "channel", c.Name(), "event", w.Event, "cause", err.Error())
	}
}

// Send implements event.Messages: the journal and the log are where messages go.
func (c *eventChannel) Send(_ context.Context, m event.Message, sent func(error)) {
	c.events.log.Info("event", "channel", c.Name(), "event", m.Event, "source", m.Source.String(), "at", time.UnixMilli(m.Time.UTC).UTC().Format(time.RFC3339Nano))
	sent(c.journal.write(api.EventLine{Kind: api.EventMessage, Event: m.Event, Source: m.Source.String(), At: m.At, Time: m.Time.UTC, Opens: m.Opens}))
}

func (c *eventChannel) trouble(err error) {
	c.events.log.Error("an event's line is lost", "channel", c.Name(), "file", c.journal.path, "cause", err.Error())
}

// errNoEvents is what a channel without event handling answers.
var errNoEvents = fmt.Errorf("events.enabled is false: %w", event.ErrNotRunning)

func (e *events) channel(name string) (*eventChannel, error) {
	c := e.channels[name]
	if c == nil {
		return nil, errNoEvents
	}
	return c, nil
}

// Trigger implements api.Events. at is nil for now.
func (e *events) Trigger(name string, set uint32, at *int64) error {
	c, err := e.channel(name)
	if err != nil {
		return err
	}
	if at == nil {
		now := e.clock.Now().UnixMilli()
		at = &now
	}
	return c.Trigger(set, *at)
}

// Events implements api.Events.
func (e *events) Events(name string) (api.ChannelEvents, error) {
	c, err := e.channel(name)
	if errors.Is(err, event.ErrNotRunning) {
		return api.ChannelEvents{Recent: []api.EventLine{}}, nil
	}
	return api.ChannelEvents{Status: c.Status(), Recent: c.journal.latest()}, err
}
