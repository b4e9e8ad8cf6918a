package app

import (
	"context"
	"errors"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/record"
)

// storage is the account of what is recorded, at work.
type storage struct {
	*catalog.Catalog

	stop    context.CancelFunc
	workers *pool.Workers
	done    chan error // of the work, when it has ended
}

// openStorage opens the catalog and starts its worker.
func (a *App) openStorage(ctx context.Context, threads *pool.Pool) (*storage, error) {
	cfg := CatalogConfig(a.cfg)
	cfg.Clock, cfg.Logger, cfg.Cause = a.clock, a.log, a.notRecording
	opened, err := catalog.Open(cfg)
	if err != nil {
		return nil, err
	}
	workers, err := threads.Reserve(1)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &storage{Catalog: opened, stop: stop, workers: workers, done: make(chan error, 1)}
	if err := workers.Go(func() error { return opened.Run(ctx) }, func(err error) { s.done <- err }); err != nil {
		stop()
		return nil, errors.Join(err, opened.Close())
	}
	return s, nil
}

// end writes what was entered and closes the catalog.
func (s *storage) end() error {
	if s == nil {
		return nil
	}
	s.stop()
	err := <-s.done
	s.workers.Close()
	return err
}

// CatalogConfig is what a configuration says of the catalog.
func CatalogConfig(cfg config.Config) catalog.Config {
	c := catalog.Config{Data: cfg.Data, Budget: catalog.Budget{MaxBytes: cfg.Disk.MaxBytes, MinFree: cfg.Disk.MinFree}}
	for _, ch := range cfg.Channels {
		if !ch.Record.Enabled {
			continue
		}
		dir := ch.Record.Dir
		if dir == "" {
			dir = ch.Name
		}
		c.Channels = append(c.Channels, catalog.Channel{
			Name: ch.Name, Dir: dir,
			Limits: catalog.Limits{Keep: ch.Record.Keep, MaxBytes: ch.Record.MaxBytes, KeepEvents: ch.Record.KeepEvents},
		})
	}
	return c
}

// notRecording says why nothing is recorded of a channel now.
func (a *App) notRecording(channel string) (record.Cause, string) {
	ch, err := a.eng.Channel(channel)
	if err != nil {
		return record.NotRunning, ""
	}
	s := ch.Status()
	switch ch.State() {
	case pipeline.Waiting:
		return record.SourceLost, whyNot(s)
	case pipeline.Paused, pipeline.Parked:
		return record.Paused, ""
	case pipeline.Failed:
		return record.Failed, s.Cause
	case pipeline.Exited, pipeline.Exiting, pipeline.Ended:
		return record.NotRunning, ""
	case pipeline.Running, pipeline.Degraded:
	}
	for _, stage := range s.Stages {
		if now, ok := stage.Stats.(record.Stats); ok && now.EndedBy != "" {
			return record.Cause(now.EndedBy), stage.Cause
		}
	}
	return record.Starting, s.Cause
}
