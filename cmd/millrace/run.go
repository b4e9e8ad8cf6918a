package main

import (
	"fmt"
	"log/slog"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
)

type runCommand struct {
	Config string `placeholder:"FILE" help:"The configuration (YAML). Default: a synthetic camera and every other there is."`
	Data   string `placeholder:"DIR" help:"Where recordings go, one folder a channel. Default: data of the configuration, else ./millrace-data."`
	Listen string `placeholder:"ADDR" help:"HOST:PORT of the API, on this machine only. Default: listen of the configuration, else 127.0.0.1:8080."`
	RTSP   string `name:"rtsp" placeholder:"ADDR" help:"HOST:PORT of the RTSP server. Default: rtsp.listen of the configuration, else 127.0.0.1:8554."`

	Profile string `hidden:"" placeholder:"DIR" help:"Write profiles of CPU and memory there."`
}

// Run records and serves until the process is told to end.
func (r *runCommand) Run(c *console) error {
	reg := app.Drivers()
	cfg, err := r.configuration(reg)
	if err != nil {
		return err
	}
	log, err := c.logger(cfg.Log.Level, cfg.Log.Format, cfg.Scrub)
	if err != nil {
		return err
	}
	if r.Config == "" {
		cfg.Channels = discovered(c, reg, log)
	}
	work := func() error {
		return app.New(cfg, reg, log).Run(c.ctx, func(s app.Summary) {
			if err := s.Print(c.out); err != nil {
				log.Warn("the summary cannot be written", "cause", err.Error())
			}
		})
	}
	if r.Profile != "" {
		return profiled(c.ctx, r.Profile, work)
	}
	return work()
}

// configuration reads the file, if there is one; the command line has the last word.
func (r *runCommand) configuration(reg *hal.Registry) (config.Config, error) {
	cfg := config.Default()
	if r.Config != "" {
		var err error
		if cfg, err = config.Load(r.Config, app.ConfigEnv(reg)); err != nil {
			return cfg, usageError{err}
		}
	}
	if r.Data != "" {
		cfg.Data = r.Data
	}
	if r.Listen != "" {
		if err := config.CheckListen(r.Listen, true); err != nil {
			return cfg, usageError{fmt.Errorf("--listen %s: %w", r.Listen, err)}
		}
		cfg.Listen = r.Listen
	}
	if r.RTSP != "" {
		if err := config.CheckListen(r.RTSP, false); err != nil {
			return cfg, usageError{fmt.Errorf("--rtsp %s: %w", r.RTSP, err)}
		}
		cfg.RTSP.Listen = r.RTSP
	}
	return cfg, nil
}

// discovered returns a channel for every camera there is. A driver that fails hides no camera.
func discovered(c *console, reg *hal.Registry, log *slog.Logger) []config.Channel {
	found, err := app.Discover(c.ctx, reg)
	if err != nil {
		log.Warn("not every driver could list its cameras", "cause", err.Error())
	}
	return found
}
