package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// App is the running appliance: an engine with its channels, and the servers that show them.
type App struct {
	cfg config.Config
	reg *hal.Registry
	log *slog.Logger
	eng *pipeline.Engine

	clock *hal.Clock

	live      *rtsp.Server // nil where the configuration says so
	recorders *recorders
	storage   *storage
	spool     spooled
	snapshots *snapshots // nil before it is open
	keys      *soft.Keys // what decodes key frames, for snapshots and motion; closed with the snapshots
	uploads   *uploads   // nil where nothing goes up
	clouds    *clouds    // nil where no channel's stream does
	events    *events
}

// New returns an appliance as the configuration says. Nothing runs before Run.
func New(cfg config.Config, reg *hal.Registry, log *slog.Logger) *App {
	a := &App{cfg: cfg, reg: reg, log: log, clock: hal.NewClock()}
	a.eng = pipeline.NewEngine(a.engineConfig())
	if cfg.RTSP.Enabled {
		a.live = rtsp.NewServer(rtsp.Config{
			Listen: cfg.RTSP.Listen, UDP: cfg.RTSP.UDP, MaxReaders: cfg.RTSP.MaxReaders, DropAfter: cfg.RTSP.DropAfter, Logger: log,
		})
	}
	return a
}

// Run serves until ctx is done, and then ends everything in order: the channels, the live
// server, the API. ready is called once, when all is up. A channel that cannot be initialised
// does not keep the others from running; where none can, Run fails.
func (a *App) Run(ctx context.Context, ready func(Summary)) (err error) {
	paceCollector()
	limitMemory("/")
	listener, err := listen(ctx, "the API", "--listen, or listen in the configuration", a.cfg.Listen)
	if err != nil {
		return err
	}
	threads, workers, err := ownThreads()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if a.storage, err = a.openStorage(ctx, threads); err != nil {
		return errors.Join(err, listener.Close(), threads.Close(time.Second))
	}
	a.recorders = newRecorders(a.storage, a.storage, a.clock, a.log)
	a.keys = soft.NewKeys(Decoders())
	a.events = newEvents(a.cfg, a.recorders, a.keys, a.clock, a.log)
	a.events.pins = a.storage
	if err = a.startUploads(); err != nil { //nolint:contextcheck // uploads live until their exit
		return errors.Join(err, a.endUploads(context.WithoutCancel(ctx), leastTime), a.storage.end(), listener.Close(), threads.Close(time.Second))
	}
	if err = a.openSnapshots(); err != nil { //nolint:contextcheck // snapshots live until their end
		return errors.Join(err, a.endUploads(context.WithoutCancel(ctx), leastTime), a.storage.end(), listener.Close(), threads.Close(time.Second))
	}
	a.events.toStore(a.cfg, a.uploads, a.clouds, a.snapshots)
	server := api.NewServer(a.apiConfig())
	if err = workers.Go(func() error { return a.serve(server, listener) }, nil); err != nil {
		return errors.Join(err, a.endUploads(context.WithoutCancel(ctx), leastTime), a.storage.end(), listener.Close(), threads.Close(time.Second))
	}
	defer func() {
		err = errors.Join(err, shutDown(context.WithoutCancel(ctx), server), threads.Close(time.Second))
	}()
	if err = errors.Join(a.recorders.start(ctx, threads), a.events.start(ctx, threads), a.startLive()); err == nil {
		err = a.startChannels() //nolint:contextcheck // a channel lives until its Exit
	}
	if err != nil {
		return errors.Join(err, a.leave(context.WithoutCancel(ctx)))
	}
	pacing := workers.Go(func() error {
		hal.PaceProcessors(ctx, a.clock, a.log)
		return nil
	}, nil)
	ready(a.summary(listener.Addr().String()))
	<-ctx.Done()
	a.log.Info("leaving: sources end, queues drain, files are finished; a second signal ends at once")
	if err := errors.Join(pacing, a.leave(context.WithoutCancel(ctx))); err != nil {
		return fmt.Errorf("not everything left in order: %w", err)
	}
	a.log.Info("every stage has left")
	return nil
}

// startLive starts the RTSP server.
func (a *App) startLive() error {
	if a.live == nil {
		return nil
	}
	if err := a.live.Start(); err != nil {
		a.live = nil
		return inUse("the RTSP server", "--rtsp, or rtsp.listen in the configuration", a.cfg.RTSP.Listen, err)
	}
	return nil
}

// leave ends the recording of events, then the channels, which hand over what they filmed, then
// what events still have to do, and then what all share and the server that shows them.
func (a *App) leave(ctx context.Context) error {
	a.events.close(ctx)
	err := a.eng.Exit(ctx)
	began := a.clock.Mono()
	a.events.leave(ctx, uploadTime)
	a.recorders.end()
	err = errors.Join(err, a.storage.end())
	if a.live != nil {
		live, cancel := context.WithTimeoutCause(ctx, liveTimeout, fmt.Errorf("the RTSP server took longer than %s", liveTimeout))
		defer cancel()
		err = errors.Join(err, a.live.Close(live))
	}
	return errors.Join(err, a.endUploads(ctx, max(leastTime, uploadTime-time.Duration(a.clock.Mono()-began))))
}

// endUploads ends the sending of snapshots, and lets what was submitted go up; packages have a
// limit.
func (a *App) endUploads(ctx context.Context, packages time.Duration) (err error) {
	if a.snapshots != nil {
		err = a.snapshots.end()
	}
	if a.clouds != nil {
		err = errors.Join(err, a.clouds.exit(ctx, packages))
	}
	if a.uploads != nil {
		err = errors.Join(err, a.uploads.exit(ctx))
	}
	return err
}

// apiConfig is the API's settings.
func (a *App) apiConfig() api.Config {
	c := api.Config{
		Engine: a.eng, Events: a.events, Logger: a.log, ExitTimeout: a.cfg.Engine.ExitTimeout, Scrub: a.cfg.Scrub,
		Recordings: a.recorders, Storage: a.storage,
	}
	if a.uploads != nil {
		c.Uploads = a.uploads
	}
	if a.clouds != nil {
		c.Clouds = a.clouds
	}
	c.Snapshots = a.snapshots
	return c
}

// startUploads opens the store where anything goes there.
func (a *App) startUploads() (err error) {
	if !wantsUploads(&a.cfg) && !sendsSnapshots(&a.cfg) {
		return nil
	}
	if a.uploads, err = openUploads(&a.cfg, a.clock, a.log); err != nil {
		return err
	}
	if a.clouds, err = openClouds(&a.cfg, a.uploads, a.storage, a.clock, a.log, a.events.follow); a.clouds != nil {
		a.spool.owner.Store(a.clouds.Cloud)
		for name, ch := range a.clouds.channels {
			if c := a.events.channels[name]; c != nil {
				c.cloud = ch
			}
		}
	}
	return err
}

// liveTimeout is how long the RTSP server may take to send its players away.
const liveTimeout = 2 * time.Second

// startChannels defines, initialises and starts them all. The definitions must be right; an
// Init that fails is one channel's matter.
func (a *App) startChannels() error {
	var errs []error
	up := 0
	for _, def := range a.cfg.Channels {
		ch, err := a.eng.Define(a.define(def))
		if err != nil {
			return err
		}
		if err := errors.Join(ch.Init(), startIfUp(ch)); err != nil {
			a.log.Error("channel does not start", "channel", def.Name, "cause", err.Error(), "remedy", "millrace channel init "+def.Name+", then start, once the cause is gone")
			errs = append(errs, err)
			continue
		}
		up++
	}
	if up == 0 {
		return fmt.Errorf("no channel starts: %w", errors.Join(errs...))
	}
	return nil
}

func startIfUp(ch *pipeline.Channel) error {
	if ch.State() == pipeline.Exited {
		return nil // Init says why
	}
	return ch.Start()
}

// serve is the API's worker.
func (a *App) serve(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		a.log.Error("the API has stopped", "cause", err.Error())
		return err
	}
	return nil
}

// shutDown ends the API: requests under way get their answer, but not for ever.
func shutDown(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		return server.Close()
	}
	return nil
}

// ownThreads are the appliance's, beside the engine's.
func ownThreads() (*pool.Pool, *pool.Workers, error) {
	threads, err := pool.NewPool(16)
	if err != nil {
		return nil, nil, err
	}
	workers, err := threads.Reserve(2)
	if err != nil {
		return nil, nil, errors.Join(err, threads.Close(time.Second))
	}
	return threads, workers, nil
}

// listen opens a port, or says what to do where it cannot.
func listen(ctx context.Context, who, setting, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, inUse(who, setting, address, err)
	}
	return l, nil
}

// inUse says what to do about an address that cannot be listened at.
func inUse(who, setting, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s cannot listen at %s: the address is in use: end the program that has it (another millrace?), or choose another with %s",
			who, address, setting)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s cannot listen at %s: ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another with %s", who, address, setting)
	}
	return fmt.Errorf("%s cannot listen at %s: %w: choose another with %s", who, address, err, setting)
}
