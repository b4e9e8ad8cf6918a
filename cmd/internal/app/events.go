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
	"github.com/millrace-video/millrace/hal/soft"
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

	camera *eventCamera // nil: nothing of any event goes to the store
	keys   *motion.Keys // decodes for the channels in which motion is looked for

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
	cloud   *cloud.Channel // nil: the channel's video does not go to the store
	store   *eventStore    // nil: messages and pictures do not

	mu   sync.Mutex
	told map[uint64]int64 // by event, up to where its window is pinned: ms
}

// eventWorkers carry out what events lead to, beside their timer.
const eventWorkers = 4

// newEvents returns event handling for the channels that are to have it.
func newEvents(cfg config.Config, recorders *recorders, keys *soft.Keys, clock *hal.Clock, log *slog.Logger) *events {
	e := &events{clock: clock, log: log, keys: newMotionKeys(keys), handling: event.NewHandling(event.HandlingConfig{Clock: clock, Log: log}), channels: map[string]*eventChannel{}}
	for _, ch := range cfg.Channels {
		if !ch.Events.Enabled {
			continue
		}
		folder := ch.Folder(cfg.Data)
		c := &eventChannel{Channel: event.NewChannel(e.handling, ch.Name), events: e, cfg: ch.Events, keep: ch.Record.KeepEvents, journal: newEventJournal(filepath.Join(folder, "events.jsonl")), told: map[uint64]int64{}}
		if m := ch.Events.Motion; m.Enabled {
			c.watch = motion.NewWatch(motion.Config{Sensitivity: m.Sensitivity, Area: m.Area, Rate: m.Rate, Hold: m.Hold}, e.keys, c.moved)
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
	cameras := 0
	if e.camera != nil {
		cameras = pictureWorkers
	}
	workers, err := threads.Reserve(1 + eventWorkers + cameras)
	if err != nil {
		return err
	}
	e.workers = workers
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	err = workers.Go(func() error { return e.handling.Run(running, workers) }, nil)
	for range cameras {
		err = errors.Join(err, workers.Go(func() error { return e.camera.run(running) }, nil))
	}
	if err != nil {
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
	ends := event.Ends{Recorder: c, Messages: c, Last: func(context.Context) (uint64, error) { return c.journal.open() }}
	pictures := c.store != nil && c.store.pictures != nil
	if pictures {
		if err := c.store.pictures.clean(); err != nil {
			return err
		}
		ends.Uploader, ends.Capture, ends.Result = c.store, c.store.pictures.capture, c.pictured
	}
	if err := c.Init(ctx, cfg, ends); err != nil {
		return err
	}
	err := c.Serve(event.Notice{Service: event.EventService, On: true})
	if pictures && c.store.begins {
		err = errors.Join(err, c.Serve(event.Notice{Service: event.PictureService, On: true}))
	}
	return err
}

// toStore has messages and pictures of the channels that want it go to the store.
func (e *events) toStore(cfg config.Config, u *uploads, clouds *clouds, from photographer) {
	if u == nil || clouds == nil {
		return
	}
	for _, ch := range cfg.Channels {
		c := e.channels[ch.Name]
		if c == nil || !ch.Cloud.Enabled && !ch.EventPictures() {
			continue
		}
		if e.camera == nil {
			e.camera = &eventCamera{from: from, clock: e.clock, log: e.log, asked: make(chan func(context.Context), maxAsked)}
		}
		c.store = &eventStore{channel: ch.Name, to: clouds.posts[ch.Name], store: u.store, unless: clouds.late(), begins: ch.EventPictures(), follows: !ch.Events.Pictures.Said}
		c.store.on.Store(c.store.begins || ch.Cloud.Enabled && ch.Cloud.Events)
		if ch.Snapshot.Enabled {
			c.store.pictures = &eventPictures{
				camera: e.camera, channel: ch.Name, folder: filepath.Join(ch.Folder(cfg.Data), "pictures"), width: ch.Events.Pictures.Width, open: map[string]pictureEnd{},
			}
		}
	}
}

// follow has messages and pictures go along with the cloud's event service, as far as
// events.pictures does not say another thing.
func (e *events) follow(n cloud.Notice) {
	c := e.channels[n.Channel]
	if n.Service != cloud.Event || c == nil || c.store == nil {
		return
	}
	c.store.on.Store(n.On || c.store.begins && !c.store.follows)
	if c.store.pictures == nil || !c.store.follows {
		return
	}
	if err := c.Serve(event.Notice{Service: event.PictureService, On: n.On, Expires: n.Expires}); err != nil {
		e.log.Error("the picture service does not follow the event service", "channel", n.Channel, "cause", err.Error())
	}
}

// close ends the events that are open, as if their services went off: nothing more triggers, and
// what is recorded of them ends now. Pictures that were asked for are taken, while there are
// channels to take them of.
func (e *events) close(ctx context.Context) {
	if e.stop == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pictureTimeout)
	defer cancel()
	for _, c := range e.channels {
		for _, service := range []event.Service{event.EventService, event.PictureService} {
			if err := c.Serve(event.Notice{Service: service}); err != nil && !errors.Is(err, event.ErrNotRunning) {
				e.log.Error("a service of events does not end", "channel", c.Name(), "service", service.String(), "cause", err.Error())
			}
		}
	}
	if e.camera != nil {
		e.camera.rest(ctx)
	}
}

// leave ends event handling, after the channels: what they handed over goes where it belongs, as
// far as its time goes (C1).
func (e *events) leave(ctx context.Context, limit time.Duration) {
	if e.stop == nil {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("events took longer than %s", limit.Round(time.Millisecond)))
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

// Send implements event.Messages: the journal, the log and, where its service is on, the store
// are where messages go.
func (c *eventChannel) Send(ctx context.Context, m event.Message, sent func(error)) {
	c.events.log.Info("event", "channel", c.Name(), "event", m.Event, "source", m.Source.String(), "at", time.UnixMilli(m.Time.UTC).UTC().Format(time.RFC3339Nano))
	line := api.EventLine{Kind: api.EventMessage, Event: m.Event, Source: m.Source.String(), At: m.At, Time: m.Time.UTC, Opens: m.Opens}
	err := c.journal.write(line)
	if c.store == nil || !c.store.on.Load() {
		sent(err)
		return
	}
	c.store.send(ctx, m, line, func(stored error) { sent(errors.Join(err, stored)) })
}

// pictured is a picture's one result: its file is of no use any more.
func (c *eventChannel) pictured(r event.Result) {
	end := c.store.pictures.forget(r.Path)
	line := api.EventLine{Kind: api.EventPicture, Event: r.Event, Source: r.Source.String(), Time: c.events.clock.Now().UnixMilli(), Code: new(int(r.Code)), Result: r.Code.String(), URL: end.url, Cause: end.cause}
	if r.Code == event.Uploaded {
		c.events.log.Info("an event's picture is in the store", "channel", c.Name(), "event", r.Event, "source", line.Source, "url", end.url)
	} else {
		c.events.log.Warn("an event's picture is not in the store", "channel", c.Name(), "event", r.Event, "source", line.Source, "result", line.Result, "cause", end.cause)
	}
	if err := c.journal.write(line); err != nil {
		c.trouble(err)
	}
	if err := c.store.pictures.remove(r.Path); err != nil {
		c.events.log.Warn("an event's picture is not removed", "channel", c.Name(), "file", r.Path, "cause", err.Error())
	}
}

func (c *eventChannel) trouble(err error) {
	c.events.log.Error("an event's line is lost", "channel", c.Name(), "file", c.journal.file.path, "cause", err.Error())
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
