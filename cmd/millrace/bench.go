package main

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/bench"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// benchCommand measures. Each measurement is a command of its own below it.
type benchCommand struct {
	Upload    benchUpload    `cmd:"" help:"How long pictures take to a store that answers late: alone, 50 at once, and from a camera."`
	Snapshots benchSnapshots `cmd:"" help:"How even snapshots of thousands of channels that come and go are spread, in simulated time."`
}

type benchUpload struct {
	JSON  bool          `name:"json" help:"Print JSON."`
	Delay time.Duration `default:"1050ms" placeholder:"TIME" help:"After which the store answers. Default: ${default}."`
	Bytes int           `default:"150000" placeholder:"N" help:"Size of a picture. Default: ${default}."`
}

// Run measures uploads.
func (u *benchUpload) Run(c *console) error {
	if u.Delay < time.Millisecond || u.Delay > time.Minute || u.Bytes < 1 || u.Bytes > 10_000_000 {
		return usageError{errors.New("--delay from 1ms to 1m, --bytes from 1 to 10000000")}
	}
	report, err := bench.Upload{Delay: u.Delay, Bytes: u.Bytes}.Run(c.ctx, app.Drivers())
	if err != nil {
		return err
	}
	return told(c, u.JSON, report, report.Good,
		"not every promise was kept: 50 frames within 50 ms of the store's delay, within 150 ms from a camera, order and names right")
}

type benchSnapshots struct {
	JSON      bool          `name:"json" help:"Print JSON."`
	Channels  int           `default:"5000" placeholder:"N" help:"Simulated channels, of which a third are offline. Default: ${default}."`
	Interval  time.Duration `default:"60s" placeholder:"TIME" help:"From one snapshot of a channel to the next. Default: ${default}."`
	Intervals int           `default:"60" placeholder:"N" help:"How many to simulate. Default: ${default}."`
	Seed      uint64        `default:"1" placeholder:"N" help:"Of the chance by which channels come and go. Default: ${default}."`
}

// Run simulates the schedule of snapshots.
func (s *benchSnapshots) Run(c *console) error {
	if s.Channels < 1 || s.Channels > 1_000_000 || s.Interval < snapshot.MinInterval || s.Interval > 24*time.Hour || s.Intervals < 1 || s.Intervals > 10_000 {
		return usageError{errors.New("--channels from 1 to 1000000, --interval from 1m to 24h, --intervals from 1 to 10000")}
	}
	report := bench.Snapshots{Channels: s.Channels, Interval: s.Interval, Intervals: s.Intervals, Seed: s.Seed}.Run()
	return told(c, s.JSON, report, report.Good, "not every promise was kept: in no second more than 1.1 times the mean, each channel that stays online once an interval")
}

// told prints a report, and says what it promised where that is not kept.
func told(c *console, asJSON bool, report interface{ Print(w io.Writer) error }, good bool, promise string) error {
	var err error
	if asJSON {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.Print(c.out)
	}
	if err == nil && !good {
		err = errors.New(promise)
	}
	return err
}
