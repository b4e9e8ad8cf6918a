package app

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/cloud"
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
	cfg.Clock, cfg.Logger, cfg.Now = a.clock, a.log, a.recordingNow
	if cfg.Spool.Dir != "" {
		cfg.Spool.Owner = &a.spool
	}
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

// Timeline is the catalog's, with what was entered a moment ago where the disk takes it.
func (s *storage) Timeline(channel string, from, to time.Time) (catalog.Timeline, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.Flush(ctx) //nolint:errcheck // the catalog says itself what is wrong with its disk
	return s.Catalog.Timeline(channel, from, to)
}

// CatalogConfig is what a configuration says of the catalog.
func CatalogConfig(cfg config.Config) catalog.Config {
	c := catalog.Config{Data: cfg.Data, Budget: catalog.Budget{MaxBytes: cfg.Disk.MaxBytes, MinFree: cfg.Disk.MinFree}}
	if dir, spool := cfg.Spool.Folder(cfg.Data); spool {
		c.Spool = catalog.SpoolConfig{Dir: dir, MaxBytes: cfg.Spool.MaxBytes}
	}
	c.Beside = beside(cfg)
	for _, ch := range cfg.Channels {
		if !ch.Record.Enabled && !ch.Events.Record {
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

// beside is what else a configuration has written.
func beside(cfg config.Config) []catalog.Beside {
	notes := catalog.Beside{What: "catalog, journals and logs of events, frames and packages", Folders: []string{cfg.Data}}
	pictures := catalog.Beside{What: "pictures of events that wait for their result"}
	for _, ch := range cfg.Channels {
		folder := ch.Folder(cfg.Data)
		notes.Folders = append(notes.Folders, folder)
		pictures.Folders = append(pictures.Folders, filepath.Join(folder, "pictures"))
	}
	all := []catalog.Beside{notes, pictures}
	if cfg.Store.Kind != "s3" {
		all = append(all, catalog.Beside{What: "the store, " + cfg.Store.Folder(cfg.Data), Folders: []string{cfg.Store.Folder(cfg.Data)}, Deep: true})
	}
	return all
}

// spooled is the spool under the budget, from when it is open.
type spooled struct{ owner atomic.Pointer[cloud.Cloud] }

// Spooled implements catalog.Spool.
func (s *spooled) Spooled() (rest, events int64, working bool) {
	c := s.owner.Load()
	if c == nil {
		return 0, 0, false
	}
	rest, events = c.Spooled()
	return rest, events, true
}

// GiveUp implements catalog.Spool.
func (s *spooled) GiveUp(bytes int64, events bool) int64 {
	if c := s.owner.Load(); c != nil {
		return c.GiveUp(bytes, events)
	}
	return 0
}

// recordingNow says what a channel's recorder is doing, and why nothing where nothing is recorded.
func (a *App) recordingNow(channel string) catalog.Now {
	ch, err := a.eng.Channel(channel)
	if err != nil {
		return catalog.Now{Cause: record.NotRunning}
	}
	s := ch.Status()
	stage, now := recorderOf(s)
	does := catalog.Now{File: filepath.Base(now.File), Written: now.Length}
	switch ch.State() {
	case pipeline.Waiting:
		does.Cause, does.Detail = record.SourceLost, whyNot(s)
	case pipeline.Paused, pipeline.Parked:
		does.Cause = record.Paused
	case pipeline.Failed:
		does.Cause, does.Detail = record.Failed, s.Cause
	case pipeline.Exited, pipeline.Exiting, pipeline.Ended:
		does.Cause = record.NotRunning
	case pipeline.Running, pipeline.Degraded:
		switch {
		case now.Writing:
		case stage.Name == "":
			does.Cause = record.NoEvent
		case now.State == "stopped":
			does.Cause = record.Stopped
		case now.EndedBy != "":
			does.Cause = record.Cause(now.EndedBy)
		case stage.State == "restarting":
			does.Cause, does.Detail = record.Disk, stage.Cause
		default:
			does.Cause = record.Starting
		}
	}
	return does
}

// recorderOf returns a channel's recorder as its status has it.
func recorderOf(s pipeline.Status) (pipeline.StageStatus, record.Stats) {
	for _, stage := range s.Stages {
		if now, ok := stage.Stats.(record.Stats); ok {
			return stage, now
		}
	}
	return pipeline.StageStatus{}, record.Stats{}
}
