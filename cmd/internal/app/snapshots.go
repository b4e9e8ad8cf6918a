package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/snapshot"
	"github.com/millrace-video/millrace/stages/upload"
)

// SnapshotBranch is the name of the branch that snapshots come from.
const SnapshotBranch = "snapshot"

// snapshots makes pictures of channels, and sends them to a receiver where one is configured.
type snapshots struct {
	*snapshot.Service

	keys      *soft.Keys
	scheduler *snapshot.Scheduler // nil: on demand alone
	receiver  string              // as it may be shown
	enabled   map[string]bool     // channels; never changed
	pool      *pool.Pool
	stop      context.CancelFunc
}

var _ api.Snapshots = (*snapshots)(nil)

// sendsSnapshots says whether snapshots go to the store.
func sendsSnapshots(cfg *config.Config) bool {
	return cfg.Snapshots.Interval > 0 && cfg.Snapshots.Receiver.URL == ""
}

// openSnapshots makes the service, and the scheduler where the configuration wants one. The
// store is open by now.
func (a *App) openSnapshots() error {
	cfg := a.cfg.Snapshots
	service, err := snapshot.New(snapshot.Config{
		Encoders: a.reg, Decoders: []snapshot.Decoder{a.keys, snapshot.NewFFmpeg("", 0, 0)},
		Quality: cfg.Quality, Width: cfg.Width, Clock: a.clock, Logger: a.log,
	})
	if err != nil {
		return err
	}
	s := &snapshots{Service: service, keys: a.keys, enabled: map[string]bool{}}
	for _, ch := range a.cfg.Channels {
		s.enabled[ch.Name] = ch.Snapshot.Enabled
	}
	a.snapshots = s
	if cfg.Interval == 0 {
		return nil
	}
	to, err := a.receiver(s)
	if err != nil {
		return err
	}
	if s.pool, err = pool.NewPool(0); err != nil {
		return err
	}
	s.scheduler, err = snapshot.NewScheduler(s.pool, snapshot.SchedulerConfig{Interval: cfg.Interval, Taker: service, Receiver: to, Clock: a.clock, Logger: a.log})
	if err != nil {
		return errors.Join(err, s.pool.Close(time.Second))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	return s.scheduler.Start(ctx)
}

// receiver returns who gets the snapshots.
//
//nolint:ireturn // there are two
func (a *App) receiver(s *snapshots) (snapshot.Receiver, error) {
	cfg := a.cfg.Snapshots
	if cfg.Receiver.URL == "" {
		s.receiver = "store"
		return snapshot.ToStore(uploaded{a.uploads.up}), nil
	}
	s.receiver = cfg.Receiver.Shown
	var link *upload.Uplink
	if a.uploads != nil {
		link = a.uploads.uplink
	} else {
		var err error
		if link, err = upload.NewUplink(uplinkConfig(a.cfg.Uplink), a.clock); err != nil {
			return nil, err
		}
	}
	post, err := snapshot.NewPost(snapshot.PostConfig{URL: cfg.Receiver.URL, Base64: cfg.Base64, HTTP: &http.Client{
		Transport: link.Transport(&http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second}),
	}})
	return posted{post}, err
}

// posted is a Post whose pictures mind the uplink.
type posted struct{ *snapshot.Post }

// Send implements snapshot.Receiver.
func (p posted) Send(ctx context.Context, s snapshot.Snapshot) error {
	return p.Post.Send(upload.WithClass(ctx, upload.Snapshot), s)
}

// uploaded is an Uploader as a store: it tries again, minds the uplink, and is waited for.
type uploaded struct{ up *upload.Uploader }

// Put implements snapshot.Store.
func (u uploaded) Put(ctx context.Context, key, contentType string, body *io.SectionReader) error {
	group := u.up.Submit(upload.Object{Key: key, ContentType: contentType, Body: body, Class: upload.Snapshot})
	results, err := group.Wait(ctx)
	if err != nil {
		group.Cancel() // the next one is newer
		return fmt.Errorf("upload of %s: %w", key, err)
	}
	return results[0].Err
}

// branch adds what snapshots of a channel come from.
func (s *snapshots) branch(def *pipeline.Definition, ch config.Channel) {
	if ch.Snapshot.Enabled {
		def.Branch(SnapshotBranch, snapshot.Limit(), s.Camera(ch.Name, snapshot.CameraConfig{URL: ch.Snapshot.URL}))
	}
}

// onEvent follows the channels as they come and go.
func (a *App) onEvent(e pipeline.Event) {
	s := a.snapshots
	if s == nil || s.scheduler == nil || !s.enabled[e.Channel] {
		return
	}
	s.scheduler.Set(e.Channel, e.To == pipeline.Running || e.To == pipeline.Degraded)
}

// Status implements api.Snapshots.
func (s *snapshots) Status() api.SnapshotStatus {
	st := api.SnapshotStatus{Made: s.Stats(), Receiver: s.receiver}
	if s.scheduler != nil {
		sent := s.scheduler.Stats()
		st.Schedule = &sent
	}
	return st
}

// end stops sending; what is on its way is given up.
func (s *snapshots) end() error {
	defer s.keys.Close()
	defer s.Close()
	if s.scheduler == nil {
		return nil
	}
	s.stop()
	s.scheduler.Wait()
	return s.pool.Close(time.Second)
}
