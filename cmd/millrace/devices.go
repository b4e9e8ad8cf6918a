package main

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/hal"
)

type devicesCommand struct {
	JSON bool `name:"json" help:"Print JSON with every format, size, rate and control."`
}

// inventory is what devices prints as JSON.
type inventory struct {
	Devices  []hal.Device  `json:"devices"`
	Encoders []encoderInfo `json:"encoders"` // the one that is taken first comes first
	Notes    []string      `json:"notes"`    // what this program cannot see
}

type encoderInfo struct {
	Codec string `json:"codec"`
	hal.EncoderInfo
}

// Run lists what there is. What a driver cannot list is told, and the rest is listed.
func (d *devicesCommand) Run(c *console) error {
	reg := app.Drivers()
	inv := inventory{Notes: app.Missing(), Encoders: []encoderInfo{}}
	devices, err := reg.Devices(c.ctx)
	inv.Devices = append([]hal.Device{}, devices...)
	errs := []error{err}
	for _, codec := range []hal.Codec{hal.H264, hal.H265, hal.MJPEG, hal.FWHT} {
		found, err := reg.Encoders(c.ctx, codec)
		if codec == hal.H264 { // a driver that fails does so for every codec
			errs = append(errs, err)
		}
		for _, e := range found {
			inv.Encoders = append(inv.Encoders, encoderInfo{codec.String(), e})
		}
	}
	if d.JSON {
		errs = append(errs, printJSON(c.out, inv))
	} else {
		errs = append(errs, inv.print(c.out))
	}
	return errors.Join(errs...)
}

func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
