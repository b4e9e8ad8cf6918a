package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/upload"
	"github.com/millrace-video/millrace/stages/upload/s3"
)

// FramesBranch is the name of the branch that uploads a channel's pictures.
const FramesBranch = "frames"

// uploads is everything that leaves the machine: one store, one governor, one uploader.
type uploads struct {
	store  *upload.Watched
	closer io.Closer
	uplink *upload.Uplink
	up     *upload.Uploader
	pool   *pool.Pool
	log    *slog.Logger

	mu     sync.Mutex
	frames map[string]*upload.Frames // by channel
}

var _ api.Uploads = (*uploads)(nil)

// wantsUploads says whether anything of a configuration goes to the store.
func wantsUploads(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Channels, func(ch config.Channel) bool { return ch.Frames.Enabled || ch.Cloud.Enabled || ch.EventPictures() })
}

// openUploads opens the store; the share of workers for it is a pool of its own.
func openUploads(cfg *config.Config, clock *hal.Clock, log *slog.Logger) (*uploads, error) {
	link, err := upload.NewUplink(uplinkConfig(cfg.Uplink), clock)
	if err != nil {
		return nil, err
	}
	u := &uploads{uplink: link, log: log, frames: map[string]*upload.Frames{}}
	store, err := u.open(cfg)
	if err != nil {
		return nil, fmt.Errorf("the store: %w", err)
	}
	u.store = upload.Watch(store, clock, log)
	if u.pool, err = pool.NewPool(0); err != nil {
		return nil, errors.Join(err, u.closer.Close())
	}
	retries := cfg.Store.Retries
	if retries == 0 {
		retries = -1
	}
	u.up, err = upload.NewUploader(u.store, u.pool, upload.Config{
		Parallel: cfg.Store.Parallel, Retries: retries, MaxBytes: cfg.Store.Memory, Uplink: link, Clock: clock, Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, u.closer.Close(), u.pool.Close(time.Second))
	}
	return u, nil
}

// open opens the store that the configuration names.
func (u *uploads) open(cfg *config.Config) (upload.Store, error) { //nolint:ireturn // there are two
	s := &cfg.Store
	if s.Kind != "s3" {
		dir, err := upload.OpenDirectory(s.Folder(cfg.Data))
		if err != nil {
			return nil, err
		}
		u.closer = dir
		return dir, nil
	}
	bucket, err := s3.Open(s3.Config{
		Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix, Style: s3.Style(s.Style), CA: s.CA, Idle: s.Parallel,
		Credentials: s3.Credentials{
			From: s3.From(s.Credentials.From), AccessKey: s.Credentials.AccessKey, SecretKey: s.Credentials.SecretKey,
			SessionToken: s.Credentials.SessionToken, File: s.Credentials.File, Profile: s.Credentials.Profile,
		},
		Wrap:   func(next http.RoundTripper) http.RoundTripper { return u.uplink.Transport(next) },
		Logger: u.log,
	})
	if err != nil {
		return nil, err
	}
	u.closer = bucket
	return bucket, nil
}

func uplinkConfig(c config.Uplink) upload.UplinkConfig {
	out := upload.UplinkConfig{BytesPerSecond: c.BytesPerSecond}
	for _, h := range c.Hours {
		hours := upload.Hours{From: h.From, To: h.To, BytesPerSecond: h.BytesPerSecond}
		for _, name := range h.Hold {
			if class, err := upload.ParseClass(name); err == nil { // the configuration is checked
				hours.Hold = append(hours.Hold, class)
			}
		}
		out.Hours = append(out.Hours, hours)
	}
	return out
}

// branch adds what of a channel goes up.
func (u *uploads) branch(def *pipeline.Definition, reg *hal.Registry, ch config.Channel, data string) {
	if !ch.Frames.Enabled {
		return
	}
	f := ch.Frames
	file := f.Log
	switch {
	case file == "":
		file = filepath.Join(ch.Folder(data), "frames.jsonl")
	case !filepath.IsAbs(file):
		file = filepath.Join(data, file)
	}
	lines := &lineLog{path: file, what: "the log of uploaded frames", limit: maxJournal}
	stage := upload.NewFrames(u.up, reg, upload.FramesConfig{
		Every: f.Every, PerSecond: f.PerSecond, Group: f.Group, Quality: f.Quality, Decoders: Decoders(),
		Results: func(all []upload.FrameResult) error { return writeLines(lines, all...) },
	})
	u.mu.Lock()
	u.frames[ch.Name] = stage
	u.mu.Unlock()
	def.Branch(FramesBranch, upload.FramesLimit(), stage)
}

// Frames implements api.Uploads.
func (u *uploads) Frames(channel string) ([]upload.FrameResult, bool) {
	u.mu.Lock()
	f, ok := u.frames[channel]
	u.mu.Unlock()
	if !ok {
		return nil, false
	}
	return f.Latest(), true
}

// Status implements api.Uploads.
func (u *uploads) Status() api.UploadStatus {
	return api.UploadStatus{Store: u.store.Health(), Uploader: u.up.Stats(), Uplink: u.uplink.Stats()}
}

// exit lets what was submitted go up, and says what was left.
func (u *uploads) exit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, uploadTime)
	defer cancel()
	if err := u.up.Exit(ctx, false); err != nil {
		u.log.Warn("not everything was uploaded before the program left", "cause", err.Error())
	}
	return errors.Join(u.pool.Close(time.Second), u.closer.Close())
}
