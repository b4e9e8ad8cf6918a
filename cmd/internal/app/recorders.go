package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/record"
)

// recorders are those of all channels, and what they share.
type recorders struct {
	clock   *hal.Clock
	log     *slog.Logger
	disks   *record.Disks
	merger  *record.Merger
	catalog record.Catalog
	space   record.Space

	mu     sync.Mutex
	byName map[string]*record.Recorder

	stop    context.CancelFunc
	workers *pool.Workers
}

// newRecorders returns none yet. catalog and space may be nil.
func newRecorders(catalog record.Catalog, space record.Space, clock *hal.Clock, log *slog.Logger) *recorders {
	return &recorders{
		clock: clock, log: log, disks: record.NewDisks(clock, log), merger: record.NewMerger(catalog, clock, log),
		catalog: catalog, space: space, byName: map[string]*record.Recorder{},
	}
}

// add makes the recorder of a channel that is recorded as long as it runs.
func (r *recorders) add(channel, dir string, c config.Record) *record.Recorder {
	one := r.make(dir, c, "")
	r.mu.Lock()
	r.byName[channel] = one
	r.mu.Unlock()
	return one
}

// make returns a recorder that shares what all of them share. between is the cause of its gaps
// where there is no other.
func (r *recorders) make(dir string, c config.Record, between record.Cause) *record.Recorder {
	resume := c.Resume
	if resume == 0 {
		resume = -1
	}
	return record.To(dir, record.Config{
		SegmentDuration: c.SegmentDuration, SegmentBytes: c.SegmentBytes, FragmentDuration: c.FragmentDuration,
		Sync: c.Sync, OnCommand: c.OnCommand, Resume: resume,
		Merge:   record.MergePolicy{Off: c.Merge == "off", KeepParts: c.Merge == "keep", MaxBytes: c.MergeBytes},
		Between: between, Catalog: r.catalog, Space: r.space, Disks: r.disks, Merger: r.merger,
	})
}

// start runs what the recorders share, and keeps their clock true.
func (r *recorders) start(ctx context.Context, threads *pool.Pool) error {
	workers, err := threads.Reserve(3)
	if err != nil {
		return err
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.workers = workers
	return errors.Join(
		workers.Go(func() error { return r.disks.Run(ctx) }, nil),
		workers.Go(func() error { return r.merger.Run(ctx) }, nil),
		workers.Go(func() error { return r.watchClock(ctx) }, nil),
	)
}

// watchClock says when somebody sets the wall clock: what follows goes into new files.
func (r *recorders) watchClock(ctx context.Context) error {
	err := r.clock.Watch(ctx, func() {
		r.log.Warn("the wall clock was set: recordings go on in new files", "now", r.clock.Now(), "anchor", r.clock.Anchor().Number)
	})
	if err != nil {
		r.log.Error("the wall clock is not watched; labels of recordings may be wrong after it is set", "cause", err.Error())
	}
	return err
}

// end stops what the recorders share, once they have left.
func (r *recorders) end() {
	if r.stop != nil {
		r.stop()
		r.workers.Wait()
		r.workers.Close()
	}
}

// Recording implements api.Recordings.
func (r *recorders) Recording(channel string, on bool) error {
	r.mu.Lock()
	one, ok := r.byName[channel]
	r.mu.Unlock()
	switch {
	case !ok:
		return fmt.Errorf("channel %s does not record: record.enabled is false in its configuration", channel)
	case on:
		one.StartRecording()
	default:
		one.StopRecording()
	}
	return nil
}
