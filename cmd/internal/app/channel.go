package app

import (
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
func (a *App) define(ch config.Channel) *pipeline.Definition {
	ev := a.events.channels[ch.Name]
	def := pipeline.Define(ch.Name, origin(a.reg, ch), append(ev.trunk(), trunk(a.reg, ch.Encode)...)...)
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
func trunk(reg *hal.Registry, e config.Encode) []pipeline.Stage {
	return []pipeline.Stage{encode.To(reg, e.Codec, encode.Config{
		Bitrate: e.Bitrate, GOP: e.GOP, Profile: e.Profile, Quality: e.Quality, Parallel: e.Parallel, Prefer: e.Prefer,
		Nice: e.Nice, Crop: encode.Rect(e.Crop), Scale: encode.Size(e.Scale),
	})}
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
