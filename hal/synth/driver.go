package synth

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/millrace-video/millrace/hal"
)

// Driver opens synthetic cameras.
type Driver struct{}

var (
	_ hal.SourceDriver = Driver{}
	_ hal.Lister       = Driver{}
)

// Name implements hal.Driver.
func (Driver) Name() string { return "synth" }

// Schemes implements hal.SourceDriver.
func (Driver) Schemes() []string { return []string{"synth"} }

// Check implements hal.SourceDriver.
func (Driver) Check(u *url.URL) error {
	_, err := Parse(u)
	return err
}

// Open implements hal.SourceDriver. The camera starts with the first Read.
func (Driver) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg, err := Parse(u)
	if err != nil {
		return nil, errors.Join(hal.ErrUnsupported, err)
	}
	if cfg.FailOpen {
		return nil, fmt.Errorf("synthetic camera with fail=open: %w", hal.ErrNoDevice)
	}
	return newSource(cfg, opts.WithDefaults())
}

// Devices implements hal.Lister: one synthetic camera. It takes other sizes and rates too.
func (Driver) Devices(context.Context) ([]hal.Device, error) {
	d := hal.Device{URL: "synth://", Driver: "synth", Name: "Synthetic camera"}
	for _, size := range [...][2]int{{640, 360}, {1280, 720}, {1920, 1080}} {
		rates := []float64{60, 50, 30, 25, 15}
		d.Formats = append(d.Formats, hal.Format{Codec: hal.H264, Name: hal.H264.String(), Width: size[0], Height: size[1], Rates: rates})
		for _, p := range [...]hal.PixelFormat{hal.I420, hal.NV12, hal.YUYV} {
			d.Formats = append(d.Formats, hal.Format{Codec: hal.Raw, Pixel: p, Name: p.String(), Width: size[0], Height: size[1], Rates: rates})
		}
	}
	return []hal.Device{d}, nil
}
