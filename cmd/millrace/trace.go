package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/app"
)

type traceCommand struct {
	URL      string        `arg:"" help:"The camera: v4l2:///dev/video0, with the parameters that it misbehaves with."`
	Output   string        `short:"o" required:"" placeholder:"FILE" help:"The trace to write. v4l2+trace:///path/to/FILE plays it as the camera."`
	Duration time.Duration `short:"d" default:"10s" placeholder:"TIME" help:"How long to record. Default: ${default}."`
	Pictures bool          `help:"Keep what the camera sees, too. The trace grows large, and shows it to whoever has it."`
	Force    bool          `short:"f" help:"Replace FILE where it exists."`
}

// Run records a trace. Its last line tells what it holds.
func (t *traceCommand) Run(c *console) error {
	if t.Duration <= 0 {
		return usageError{errors.New("--duration: a time above 0, such as 10s")}
	}
	log, err := c.logger("warn", "text", nil)
	if err != nil {
		return err
	}
	job := app.Tracing{URL: t.URL, File: t.Output, Duration: t.Duration, Pictures: t.Pictures, Log: log}
	if err = errors.Join(job.Check(), checkOutput(t.Output, t.Force)); err != nil {
		return usageError{err}
	}
	done, err := job.Run(c.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.err, "%s: %d pictures, %d bytes\n", t.Output, done.Pictures, done.Bytes)
	if done.Ended != nil {
		fmt.Fprintf(c.err, "the trace holds how it ended: %v\n", done.Ended)
	}
	return nil
}
