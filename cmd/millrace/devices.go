package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/hal"
)

type devicesCommand struct {
	JSON bool `name:"json" help:"Print JSON with every format, size and rate."`
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
	for _, codec := range []hal.Codec{hal.H264, hal.H265, hal.MJPEG} {
		found, err := reg.Encoders(c.ctx, codec)
		errs = append(errs, err)
		for _, e := range found {
			inv.Encoders = append(inv.Encoders, encoderInfo{codec.String(), e})
		}
	}
	if d.JSON {
		out := json.NewEncoder(c.out)
		out.SetIndent("", "  ")
		errs = append(errs, out.Encode(inv))
	} else {
		errs = append(errs, inv.print(c.out))
	}
	return errors.Join(errs...)
}

func (inv inventory) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CAMERA\tDRIVER\tURL\tFORMATS")
	for _, d := range inv.Devices {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", d.Name, d.Driver, hal.Redact(d.URL), formats(d))
	}
	fmt.Fprintln(t, "\t\t\t\nENCODER\tMAKES\tRANK\tLIBRARY OR DEVICE")
	for _, e := range inv.Encoders {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", e.Name, e.Codec, e.Rank, e.Detail)
	}
	if len(inv.Encoders) == 0 {
		fmt.Fprintln(t, "none: raw cameras cannot be recorded\t\t\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range inv.Notes {
		if _, err := fmt.Fprintln(w, "\n"+n+"."); err != nil {
			return err
		}
	}
	return nil
}

// formats is a device's formats in a few words: each with its largest size.
func formats(d hal.Device) string {
	var order []string
	largest := map[string]hal.Format{}
	for _, f := range d.Formats {
		if !slices.Contains(order, f.Name) {
			order = append(order, f.Name)
		}
		if l := largest[f.Name]; f.Width*f.Height > l.Width*l.Height {
			largest[f.Name] = f
		}
	}
	all := make([]string, 0, len(order))
	for _, name := range order {
		all = append(all, fmt.Sprintf("%s to %dx%d", name, largest[name].Width, largest[name].Height))
	}
	return strings.Join(all, ", ")
}
