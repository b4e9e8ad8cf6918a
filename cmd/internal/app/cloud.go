package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/upload"
)

// CloudBranch is the name of the branch that packs a channel's stream for the store.
const CloudBranch = "cloud"

// clouds is the cloud storage of the channels' streams.
type clouds struct {
	*cloud.Cloud

	channels map[string]*cloud.Channel // never changed once the channels run
	posts    map[string]*cloud.Channel // that bring messages and pictures of events up; those of channels too
	given    map[string]*lostPackages  // up, by channel; as channels
	spool    bool
	workers  *pool.Workers
	log      *slog.Logger
	follow   func(cloud.Notice) // goes along with a service
}

var _ api.Clouds = (*clouds)(nil)

// openClouds begins to upload what a run before has left. It is nil where no channel's stream
// goes up.
func openClouds(cfg *config.Config, u *uploads, space cloud.Space, clock *hal.Clock, log *slog.Logger, follow func(cloud.Notice)) (*clouds, error) {
	dir, spool := cfg.Spool.Folder(cfg.Data)
	c := &clouds{spool: spool, channels: map[string]*cloud.Channel{}, posts: map[string]*cloud.Channel{}, given: map[string]*lostPackages{}, log: log, follow: follow}
	var err error
	if c.workers, err = u.pool.Reserve(cloud.Share(0)); err != nil {
		return nil, err
	}
	c.Cloud, err = cloud.New(cloud.Config{
		Store: classed{u.store}, Workers: c.workers, Dir: dir, Spool: spool, SpoolBytes: cfg.Spool.MaxBytes, Space: space, Clock: clock, Log: log,
		Callbacks: cloud.Callbacks{Stream: c.stream, Notice: c.notice, Lost: c.lost},
	})
	for _, ch := range cfg.Channels {
		if err != nil {
			break
		}
		switch {
		case ch.Cloud.Enabled:
			c.given[ch.Name] = newLostPackages(filepath.Join(ch.Folder(cfg.Data), "cloud-lost.jsonl"))
			c.channels[ch.Name], err = c.Channel(ch.Name, cloud.ChannelConfig{
				Package: ch.Cloud.Package, Bytes: ch.Cloud.PackageBytes, Pre: ch.Events.Pre, FullTime: ch.Cloud.FullTime, Event: ch.Cloud.Events,
			})
			c.posts[ch.Name] = c.channels[ch.Name]
		case ch.EventPictures():
			c.posts[ch.Name], err = c.Channel(ch.Name, cloud.ChannelConfig{})
		}
	}
	if err == nil && len(c.posts) > 0 {
		err = c.Init(context.Background())
	}
	if err != nil || len(c.posts) == 0 {
		c.workers.Close()
		return nil, err
	}
	return c, nil
}

// branch adds what packs a channel's stream.
func (c *clouds) branch(def *pipeline.Definition, channel string) {
	if ch, ok := c.channels[channel]; ok {
		def.Branch(CloudBranch, cloud.Limit(), ch.Branch())
	}
}

// Clouds implements api.Clouds.
func (c *clouds) Clouds() cloud.Status { return c.Status() }

// Serve implements api.Clouds.
func (c *clouds) Serve(channel string, n cloud.Notice) error {
	ch, ok := c.channels[channel]
	if !ok {
		return fmt.Errorf("channel %s has no cloud storage", channel)
	}
	return ch.Serve(n)
}

func (c *clouds) stream(channel string, wanted bool) {
	c.log.Info("cloud storage wants the stream", "channel", channel, "wanted", wanted)
}

func (c *clouds) notice(n cloud.Notice) {
	c.log.Info("cloud service", "channel", n.Channel, "service", n.Service.String(), "on", n.On, "expires", n.Expires)
	c.follow(n)
}

func (c *clouds) lost(l cloud.Lost) {
	c.log.Error("a package is given up and will not be in the store", "channel", l.Channel, "from", l.From, "to", l.To, "event", l.Event, "cause", l.Cause)
	if err := c.given[l.Channel].add(l); err != nil {
		c.log.Error("the time line does not show a package that was given up", "channel", l.Channel, "cause", err.Error())
	}
}

// Lost implements api.Clouds.
func (c *clouds) Lost(channel string, from, to time.Time) ([]cloud.Lost, error) {
	l, ok := c.given[channel]
	if !ok {
		return nil, nil
	}
	return l.between(from, to)
}

// late is why a picture's result does not wait for the store any longer.
func (c *clouds) late() string {
	if c.spool {
		return "the store did not confirm it in time; it waits in the spool and goes up later"
	}
	return "the store did not confirm it in time"
}

// exit lets what was accepted go up, and says what was left. It comes after the channels.
func (c *clouds) exit(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	left, err := c.Exit(ctx, false)
	c.workers.Close()
	if !left.Any() {
		return err
	}
	c.log.Warn("not everything is in the store", "packages", len(left.Packages), "events", len(left.Letters), "spooled", left.Spooled, "playlists", len(left.Playlists), "first", first(left))
	if errors.Is(err, cloud.ErrForced) { // its time was over, and what was left is said
		return nil
	}
	return err
}

func first(l cloud.Left) string {
	for _, all := range [][]string{l.Packages, l.Letters, l.Playlists} {
		if len(all) > 0 {
			return all[0]
		}
	}
	return ""
}

// classed is the store with the uplink's classes.
type classed struct{ upload.Store }

func (s classed) Put(ctx context.Context, c cloud.Class, key, contentType string, body *io.SectionReader) error {
	return s.Store.Put(upload.WithClass(ctx, classOf(c)), key, contentType, body)
}

func (s classed) Replace(ctx context.Context, c cloud.Class, key, contentType string, body *io.SectionReader) error {
	return s.Store.Replace(upload.WithClass(ctx, classOf(c)), key, contentType, body)
}

func classOf(c cloud.Class) upload.Class {
	switch c {
	case cloud.EventClass:
		return upload.Event
	case cloud.FullTimeClass:
		return upload.FullTime
	case cloud.BackfillClass:
	}
	return upload.Backfill
}

const (
	// uploadTime is how long what was taken may take to go up when the program leaves (C1): what
	// events still have to do, and then packages.
	uploadTime = 5 * time.Second
	// leastTime is what packages have of it at least.
	leastTime = 2 * time.Second
)
