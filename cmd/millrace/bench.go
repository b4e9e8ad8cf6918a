package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace-video/millrace/bench"
	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/stages/encode"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// benchCommand measures. Each measurement is a command of its own below it.
type benchCommand struct {
	Queue     benchQueue     `cmd:"" help:"How long a frame's hand-over to another worker takes, beside a plain ring and a Go channel."`
	Arena     benchArena     `cmd:"" help:"What a frame's memory costs, beside Go's own."`
	Pack      benchPack      `cmd:"" help:"What it costs to pack an access unit into a fragment of MP4."`
	Encode    benchEncode    `cmd:"" help:"How fast 1 to N workers encode MJPEG, and that the order is kept."`
	Record    benchRecord    `cmd:"" help:"What recording costs: CPU, memory, lateness, every file checked; beside other recorders and the floor."`
	Fanout    benchFanout    `cmd:"" help:"What a live reader costs, beside other servers, and that a slow one harms no other."`
	Latency   benchLatency   `cmd:"" help:"How long a frame takes from the kernel to a live branch's sink."`
	Upload    benchUpload    `cmd:"" help:"How long pictures take to a store that answers late: alone, 50 at once, and from a camera."`
	Snapshots benchSnapshots `cmd:"" help:"How even snapshots of thousands of channels that come and go are spread, in simulated time."`
	Role      benchRole      `cmd:"" hidden:"" help:"A process that a measurement starts."`
}

// benchFlags are those that every measurement has.
type benchFlags struct {
	JSON  bool   `name:"json" help:"Print JSON."`
	HTML  string `name:"html" placeholder:"FILE" help:"Write a page with charts too, which needs nothing but a browser."`
	Count int    `default:"1" placeholder:"N" help:"Runs; promises are judged on the medians. Default: ${default}."`
	Short bool   `help:"Measure for seconds, few sizes: to see that it works."`
}

// measure runs a bench and tells what came out. It fails where a promise was not kept, or not all was measured.
func (f *benchFlags) measure(c *console, b bench.Bench) error {
	if f.Count < 1 || f.Count > 1000 {
		return usageError{errors.New("--count from 1 to 1000")}
	}
	about := b.About()
	r, err := bench.Measure(c.ctx, b, bench.Config{
		Count: f.Count, Short: f.Short, Version: number(), Command: "millrace " + strings.Join(c.args, " "),
		Tell: func(text string) { fmt.Fprintf(c.err, "bench %s: %s\n", about.Name, text) },
	})
	if err != nil {
		err = fmt.Errorf("bench %s: %w", about.Name, err)
	}
	told := r.Print
	if f.JSON {
		told = r.JSON
	}
	err = errors.Join(err, told(c.out), f.page(r))
	if err == nil && !r.Held() {
		err = errors.New("not every promise was kept: see above")
		if r.Ended != "" {
			err = errors.New(r.Ended)
		}
	}
	return err
}

// page writes the report as HTML where that was asked for.
func (f *benchFlags) page(r *bench.Report) error {
	if f.HTML == "" {
		return nil
	}
	file, err := os.Create(f.HTML)
	if err != nil {
		return err
	}
	return errors.Join(r.HTML(file), file.Close())
}

type benchQueue struct{ benchFlags }

// Run measures hand-overs.
func (q *benchQueue) Run(c *console) error { return q.measure(c, &bench.Queue{}) }

type benchArena struct{ benchFlags }

// Run measures memory.
func (a *benchArena) Run(c *console) error { return a.measure(c, &bench.Arena{}) }

type benchPack struct{ benchFlags }

// Run measures packing.
func (p *benchPack) Run(c *console) error { return p.measure(c, &bench.Pack{}) }

type benchEncode struct {
	benchFlags

	Size    string `default:"1920x1080" placeholder:"WxH" help:"Of a picture, both even. Default: ${default}."`
	Quality int    `default:"80" placeholder:"N" help:"1 to 100. Default: ${default}."`
	Workers int    `placeholder:"N" help:"The most of them. Default: one for each core."`
}

// Run measures encoding.
func (e *benchEncode) Run(c *console) error {
	var size encode.Size
	if n, err := fmt.Sscanf(e.Size+" ", "%dx%d ", &size.Width, &size.Height); n != 2 || err != nil || size.Width%2+size.Height%2 != 0 ||
		min(size.Width, size.Height) < 160 || max(size.Width, size.Height) > 7680 || e.Quality < 1 || e.Quality > 100 || e.Workers < 0 || e.Workers > 64 {
		return usageError{errors.New("--size as 1920x1080, both sides even and from 160 to 7680, --quality from 1 to 100, --workers from 1 to 64")}
	}
	return e.measure(c, &bench.Encode{Size: size, Quality: e.Quality, Workers: e.Workers, Registry: app.Drivers()})
}

type benchUpload struct {
	benchFlags

	Delay time.Duration `default:"1050ms" placeholder:"TIME" help:"After which the store answers. Default: ${default}."`
	Bytes int           `default:"150000" placeholder:"N" help:"Size of a picture. Default: ${default}."`
}

// Run measures uploads.
func (u *benchUpload) Run(c *console) error {
	if u.Delay < time.Millisecond || u.Delay > time.Minute || u.Bytes < 1 || u.Bytes > 10_000_000 {
		return usageError{errors.New("--delay from 1ms to 1m, --bytes from 1 to 10000000")}
	}
	return u.measure(c, &bench.Upload{Delay: u.Delay, Bytes: u.Bytes, Registry: app.Drivers()})
}

type benchSnapshots struct {
	benchFlags

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
	return s.measure(c, &bench.Snapshots{Channels: s.Channels, Interval: s.Interval, Intervals: s.Intervals, Seed: s.Seed})
}
