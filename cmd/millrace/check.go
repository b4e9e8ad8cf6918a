package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
)

type checkCommand struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration (YAML)."`
}

// Run tells all that is wrong, or what would run. No camera is opened.
func (k *checkCommand) Run(c *console) error {
	cfg, err := config.Load(k.Config, app.ConfigEnv(app.Drivers()))
	if wrong, ok := errors.AsType[config.FileError](err); ok {
		return usageError{fmt.Errorf("%w\n%d to correct in %s", err, len(wrong), k.Config)}
	}
	if err != nil {
		return usageError{err}
	}
	if err = app.CheckMotion(c.ctx, cfg); err != nil {
		return usageError{err}
	}
	fmt.Fprintf(c.out, "%s is right: %d channels, recordings in %s, API at %s", k.Config, len(cfg.Channels), cfg.Data, cfg.Listen)
	if cfg.RTSP.Enabled {
		fmt.Fprintf(c.out, ", RTSP at %s", cfg.RTSP.Listen)
	}
	fmt.Fprintln(c.out)
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, ch := range cfg.Channels {
		var sources []string
		for _, s := range ch.Sources {
			sources = append(sources, s.Shown)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", ch.Name, strings.Join(sources, ", else "), does(cfg, ch))
	}
	if err = t.Flush(); err != nil || !slices.ContainsFunc(cfg.Channels, func(ch config.Channel) bool { return ch.Frames.Enabled }) {
		return err
	}
	if missing := app.Undecoded(c.ctx, app.Decoders()); missing != nil {
		fmt.Fprintf(c.out, "frames cannot have\n  %s\n", strings.ReplaceAll(missing.Error(), "\n", "\n  "))
	}
	return nil
}

func does(cfg config.Config, ch config.Channel) string {
	var does []string
	if ch.Record.Enabled {
		does = append(does, fmt.Sprintf("records to %s, a file each %s or %d MB", ch.Folder(cfg.Data), ch.Record.SegmentDuration, ch.Record.SegmentBytes/1_000_000))
	}
	if ch.Live.Enabled && cfg.RTSP.Enabled {
		does = append(does, "live at rtsp://"+cfg.RTSP.Listen+"/"+ch.Name)
	}
	if ch.Frames.Enabled {
		does = append(does, "uploads "+which(ch.Frames)+" as JPEG")
	}
	if len(does) == 0 {
		return "neither records nor is watched"
	}
	return strings.Join(does, "; ")
}

// which names the pictures that go up.
func which(f config.Frames) string {
	switch {
	case f.PerSecond > 0:
		return fmt.Sprintf("%g pictures a second", f.PerSecond)
	case f.Every > 1:
		return fmt.Sprintf("one picture in %d", f.Every)
	}
	return "each picture"
}
