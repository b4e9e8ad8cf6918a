package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/encode"
	"github.com/millrace-video/millrace/stages/record"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// The names of a channel's branches, as its status has them.
const (
	DiskBranch = "disk"
	LiveBranch = "live"
	// EventBranch records events alone; MotionBranch looks for motion in JPEGs and key frames.
	EventBranch  = "event"
	MotionBranch = "motion"
)

// define says what a channel is made of.
func (a *App) define(ctx context.Context, ch config.Channel) *pipeline.Definition {
	ev := a.events.channels[ch.Name]
	def := pipeline.Define(ch.Name, origin(a.reg, ch), append(ev.trunk(), trunk(ctx, a.reg, ch.Encode, a.log)...)...)
	if ch.Record.Enabled {
		ring := record.Ring{Max: int(ch.Record.Ring), Growth: ch.Record.Growth, Pace: ch.Record.Read, OnDemand: true}
		def.Branch(DiskBranch, ring, a.recorders.add(ch.Name, ch.Folder(a.cfg.Data), ch.Record))
	}
	if ch.Live.Enabled && a.live != nil {
		limit := rtsp.Limit()
		limit.Frames, limit.Bytes, limit.Full = ch.Live.Frames, int(ch.Live.Bytes), ch.Live.Full
		def.Branch(LiveBranch, limit, a.live.Mount(ch.Name))
	}
	ev.branch(def)
	a.snapshots.branch(def, ch)
	if a.uploads != nil {
		a.uploads.branch(def, a.reg, ch, a.cfg.Data)
	}
	if a.clouds != nil {
		a.clouds.branch(def, ch.Name)
	}
	return def
}

// trunk is what every frame passes between its source and the branches.
// Encoded streams go past the encoder untouched.
func trunk(ctx context.Context, reg *hal.Registry, e config.Encode, log *slog.Logger) []pipeline.Stage {
	if e.Codec == hal.CodecUnknown {
		e.Codec = bestCodec(ctx, reg, log)
	}
	return []pipeline.Stage{encode.To(reg, e.Codec, encode.Config{
		Bitrate: e.Bitrate, GOP: e.GOP, Profile: e.Profile, Quality: e.Quality, Parallel: e.Parallel, Prefer: e.Prefer,
		Nice: e.Nice, Crop: encode.Rect(e.Crop), Scale: encode.Size(e.Scale),
	})}
}

// bestCodec is what raw pictures become where nobody says: H.264 where an encoder for it is
// there, else JPEG, which always can be made.
func bestCodec(ctx context.Context, reg *hal.Registry, log *slog.Logger) hal.Codec {
	found, err := reg.Encoders(ctx, hal.H264)
	if len(found) > 0 {
		return hal.H264
	}
	log.Warn("no encoder for H.264: raw pictures become JPEG", "remedy", "install Debian's libopenh264-7", "cause", err)
	return hal.MJPEG
}

// engineConfig is the engine's settings.
func (a *App) engineConfig() pipeline.Config {
	e := a.cfg.Engine
	replay := int(e.Replay)
	if replay == 0 {
		replay = -1
	}
	return pipeline.Config{
		Logger: a.log, Clock: a.clock, Workers: e.Workers, Replay: replay,
		InitTimeout: e.InitTimeout, ExitTimeout: e.ExitTimeout, AxeTimeout: time.Second,
		OnEvent: a.onEvent,
	}
}
