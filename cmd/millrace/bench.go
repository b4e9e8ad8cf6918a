package main

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/bench"
)

// benchCommand measures. Each measurement is a command of its own below it.
type benchCommand struct {
	Upload benchUpload `cmd:"" help:"How long pictures take to a store that answers late: alone, 50 at once, and from a camera."`
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
	if u.JSON {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.Print(c.out)
	}
	if err == nil && !report.Good {
		err = errors.New("not every promise was kept: 50 frames within 50 ms of the store's delay, within 150 ms from a camera, order and names right")
	}
	return err
}
