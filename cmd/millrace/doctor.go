package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/cmd/internal/doctor"
	"github.com/millrace-video/millrace/hal"
)

type doctorCommand struct {
	URL       []string      `arg:"" optional:"" help:"The cameras. Default: the configuration's, else every one that is found."`
	Config    string        `placeholder:"FILE" help:"Examine every source of this configuration."`
	Duration  time.Duration `short:"d" default:"5s" placeholder:"TIME" help:"How long to measure each format. Default: ${default}."`
	Timeout   time.Duration `default:"10s" placeholder:"TIME" help:"How long to wait for a format's first picture. Default: ${default}."`
	Transport string        `enum:",tcp,udp,multicast" default:"" placeholder:"HOW" help:"How RTSP comes: tcp (default), udp or multicast."`
	All       bool          `help:"Measure every size of every format, not only the best of each."`
	JSON      bool          `name:"json" help:"Print JSON with everything that was measured."`
}

// oddError says that all work and something is odd.
type oddError struct{ n int }

func (e oddError) Error() string { return fmt.Sprintf("%d odd: see above", e.n) }

// Help tells what no flag does.
func (*doctorCommand) Help() string {
	return `A camera's URL that names no format is measured in each of its formats.

Exit codes: 0 every camera delivers as it announces; 1 a camera delivers nothing; 2 the command line or the
configuration is wrong; 3 every camera delivers, but something is odd.`
}

// Run examines one camera after the other: two at once would share a bus.
func (d *doctorCommand) Run(c *console) error {
	reg := app.Drivers()
	patients, scrub, err := d.patients(c, reg)
	if err != nil {
		return err
	}
	log, err := c.logger("warn", "text", scrub)
	if err != nil {
		return err
	}
	devices, err := reg.Devices(c.ctx)
	if err != nil {
		log.Warn("not every driver could list its cameras", "cause", err.Error())
	}
	doc := doctor.Doctor{
		Registry: reg, Duration: d.Duration, Timeout: d.Timeout, All: d.All, Log: log,
		Progress: func(s string) { fmt.Fprintln(c.err, "measuring "+plain(s)) },
	}
	reports := make([]doctor.Report, 0, len(patients))
	for _, p := range patients {
		if c.ctx.Err() != nil {
			break
		}
		reports = append(reports, doc.Examine(c.ctx, p, devices))
	}
	out := c.out
	if scrub != nil {
		out = scrubbing{out, scrub}
	}
	if d.JSON {
		err = printJSON(out, map[string]any{"cameras": reports})
	} else {
		err = printReports(out, reports)
	}
	if err == nil && c.ctx.Err() != nil {
		err = fmt.Errorf("ended before all was measured: %w", context.Cause(c.ctx))
	}
	return errors.Join(err, outcome(reports))
}

// patients are the cameras to examine.
func (d *doctorCommand) patients(c *console, reg *hal.Registry) (all []doctor.Patient, scrub func(string) string, err error) {
	if d.Duration <= 0 || d.Timeout <= 0 {
		return nil, nil, usageError{errors.New("--duration and --timeout: a time above 0, such as 5s")}
	}
	if d.Config != "" && (len(d.URL) > 0 || d.Transport != "") {
		return nil, nil, usageError{errors.New("--config names the cameras and how they come: give no URL or --transport beside it")}
	}
	check := app.CheckSource(reg)
	for _, u := range d.URL {
		if err = check(u, d.Transport); err != nil {
			return nil, nil, usageError{err}
		}
		all = append(all, doctor.Patient{URL: u, Shown: hal.Redact(u), Transport: d.Transport})
	}
	if len(all) > 0 {
		return all, nil, nil
	}
	if d.Config == "" {
		all, err = found(c, reg)
		return all, nil, err
	}
	cfg, err := config.Load(d.Config, app.ConfigEnv(reg))
	if err != nil {
		return nil, nil, usageError{err}
	}
	for _, ch := range cfg.Channels {
		for _, s := range ch.Sources {
			all = append(all, doctor.Patient{Name: ch.Name, URL: s.URL, Shown: s.Shown, Transport: s.Transport})
		}
	}
	return all, cfg.Scrub, nil
}

// found are the cameras there are. A driver that cannot list its own is told of later.
func found(c *console, reg *hal.Registry) ([]doctor.Patient, error) {
	cameras, err := app.Cameras(c.ctx, reg)
	if len(cameras) == 0 {
		return nil, err
	}
	all := make([]doctor.Patient, 0, len(cameras))
	for _, f := range cameras {
		all = append(all, doctor.Patient{Name: f.Name, URL: f.URL, Shown: hal.Redact(f.URL)})
	}
	return all, nil
}

// outcome is nil where all is well.
func outcome(reports []doctor.Report) error {
	broken, odd := 0, 0
	for _, r := range reports {
		if !r.Works() {
			broken++
		}
		odd += len(r.Odd)
	}
	switch {
	case broken > 0:
		return fmt.Errorf("%d of %d cameras deliver nothing that can be used", broken, len(reports))
	case odd > 0:
		return oddError{odd}
	}
	return nil
}

// printReports writes a table for each camera, what to choose and what is odd.
func printReports(w io.Writer, reports []doctor.Report) error {
	for _, r := range reports {
		title := plain(r.URL)
		if r.Name != "" {
			title = plain(r.Name) + "  " + title
		}
		fmt.Fprintln(w, title)
		if err := printMeasurements(w, r.Formats); err != nil {
			return err
		}
		if r.Unlisted != "" {
			fmt.Fprintln(w, "  not measured: "+r.Unlisted)
		}
		for _, m := range r.Formats {
			for _, o := range m.Odd {
				fmt.Fprintf(w, "  odd: %s: %s\n", what(m), plain(o))
			}
			if m.Error != "" {
				fmt.Fprintf(w, "  fails: %s: %s\n", what(m), plain(m.Error))
			}
		}
		if _, err := fmt.Fprintf(w, "%s\n\n", plain(r.Advice)); err != nil {
			return err
		}
	}
	return nil
}

func printMeasurements(w io.Writer, all []doctor.Measurement) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  FORMAT\tSIZE\tANNOUNCED\tRATE\tINTERVAL p50/p99\tDELAY p50/p99\tFIRST\tKBIT/S\tKEY EACH\tLOST\tMALFORMED\tCPU\tSOUND")
	for _, m := range all {
		if m.Pictures == 0 {
			fmt.Fprintf(t, "  %s\t%s\t%s\t0\t-\t-\t-\t-\t-\t%d\t%d\t-\t%s\n", orDash(m.Format), size(m), announced(m), m.Lost+m.Dropped, m.Malformed, orDash(m.Sound))
			continue
		}
		key := "-"
		if m.KeyInterval > 0 {
			key = fmt.Sprintf("%.1f s", m.KeyInterval/1000)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%.1f\t%.1f/%.1f ms\t%.1f/%.1f ms\t%.2f s\t%.0f\t%s\t%d\t%d\t%.0f %%\t%s\n",
			m.Format, size(m), announced(m), m.Rate, m.IntervalP50, m.IntervalP99, m.DelayP50, m.DelayP99, m.FirstMS/1000,
			m.Bitrate/1000, key, m.Lost+m.Dropped, m.Malformed, m.CPU, orDash(m.Sound))
	}
	return t.Flush()
}

func size(m doctor.Measurement) string {
	if m.Width == 0 {
		return "-"
	}
	return fmt.Sprintf("%dx%d", m.Width, m.Height)
}

func announced(m doctor.Measurement) string {
	if m.Announced == 0 {
		return "-"
	}
	return rate(m.Announced)
}

// what names a format that was measured.
func what(m doctor.Measurement) string {
	if m.Format == "" {
		return plain(m.URL)
	}
	return m.Format + " " + size(m)
}
