package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
)

type recordCommand struct {
	URL       string        `arg:"" help:"The source: rtsp://…, http://….flv, file://…, synth://…"`
	Output    string        `short:"o" required:"" placeholder:"FILE" help:"The MP4 file to write. Where the source starts again or changes its format, NAME-2.mp4 and so on follow."`
	Duration  time.Duration `short:"d" placeholder:"TIME" help:"How much of the stream to record, such as 90s, 10m or 1h30m, by its own time stamps. Default: until the source ends, or Ctrl-C."`
	Transport string        `enum:",tcp,udp,multicast" default:"" placeholder:"HOW" help:"How RTSP comes: tcp (default), udp or multicast."`
	Timeout   time.Duration `default:"10s" placeholder:"TIME" help:"Give up where no frame came for this long at the beginning. A source that fails later is opened again. Default: ${default}."`
	Force     bool          `short:"f" help:"Replace FILE where it exists."`
}

// Run records. Its last line tells what was recorded.
func (r *recordCommand) Run(c *console) error {
	src := config.FromURL(r.URL)
	src.Transport = r.Transport
	reg := app.Drivers()
	if err := r.check(app.CheckSource(reg), src); err != nil {
		return usageError{err}
	}
	log, err := c.logger("warn", "text", nil)
	if err != nil {
		return err
	}
	job := app.Recording{Source: src, File: r.Output, Duration: r.Duration, Timeout: r.Timeout, Log: log}
	if isTerminal(c.err) {
		job.Progress = func(p app.Progress) { fmt.Fprintf(c.err, "\r\x1b[K%s", p) }
	}
	done, err := job.Run(c.ctx, reg)
	if job.Progress != nil {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
	if done.Frames > 0 {
		fmt.Fprintf(c.err, "%s: %s\n", r.Output, done)
	}
	return err
}

// check says what is wrong with the command line.
func (r *recordCommand) check(source func(url, transport string) error, src config.Source) error {
	if err := source(src.URL, src.Transport); err != nil {
		return err
	}
	if r.Duration < 0 || r.Timeout <= 0 {
		return errors.New("--duration and --timeout: a time above 0, such as 90s")
	}
	return checkOutput(r.Output, r.Force)
}

// checkOutput says why a file cannot be written.
func checkOutput(file string, force bool) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("-o %s: a folder: name a file in it", file)
	case !force:
		return fmt.Errorf("-o %s: exists already: choose another name, or --force to replace it", file)
	case !info.Mode().IsRegular():
		return fmt.Errorf("-o %s: not a regular file", file)
	}
	return nil
}
