// Package doctor opens cameras and measures what they really deliver.
package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Patient is a camera to examine.
type Patient struct {
	Name      string // of its channel; may be empty
	URL       string
	Shown     string // the URL without its secrets
	Transport string // of RTSP; "" is TCP
}

// Doctor says how cameras are examined.
type Doctor struct {
	Registry *hal.Registry
	Duration time.Duration // to measure each format, from its first picture on
	Timeout  time.Duration // to wait for the first picture, the opening included
	All      bool          // every size of every format, not only the best of each
	Log      *slog.Logger
	Progress func(string) // told what is measured now; may be nil
}

// Report is what a camera delivered, in each of its formats.
type Report struct {
	Name     string        `json:"name,omitempty"`
	URL      string        `json:"url"`
	Formats  []Measurement `json:"formats"`
	Choice   string        `json:"choose"`         // the URL to configure; empty: nothing works
	Advice   string        `json:"advice"`         // a line that says what to choose
	Odd      []string      `json:"odd"`            // what is odd about what was chosen, or about all
	Unlisted string        `json:"left,omitempty"` // what was not measured, and why
}

// Works says whether some format delivered pictures.
func (r Report) Works() bool { return r.Choice != "" }

// Examine measures one camera. It ends in time: each format takes Timeout and Duration at most.
func (d Doctor) Examine(ctx context.Context, p Patient, devices []hal.Device) Report {
	r := Report{Name: p.Name, URL: p.Shown, Formats: []Measurement{}, Odd: []string{}}
	addresses, left := d.addresses(p, devices)
	r.Unlisted = left
	for i, a := range addresses {
		if ctx.Err() != nil {
			r.Unlisted = fmt.Sprintf("%d of %d formats: told to end", len(addresses)-i, len(addresses))
			break
		}
		if d.Progress != nil {
			d.Progress(fmt.Sprintf("%s: %d of %d, %s at most", a.Shown, i+1, len(addresses), d.Timeout+d.Duration))
		}
		r.Formats = append(r.Formats, d.measure(ctx, a))
	}
	d.advise(ctx, &r)
	return r
}

// maxFormats is how many formats of a camera are measured: at 5 s each, two minutes.
const (
	maxFormats = 24
	maxSizes   = 256 // with All
)

// addresses are the ways to open the camera that its URL leaves open, and what was left out.
func (d Doctor) addresses(p Patient, devices []hal.Device) ([]Patient, string) {
	driver, u, err := d.Registry.Lookup(p.URL)
	if err != nil {
		return []Patient{p}, ""
	}
	device, ok := find(u, driver.Name(), devices)
	if !ok || !selectable(driver.Name()) {
		return []Patient{p}, ""
	}
	queries := queries(u.RawQuery, device.Formats, d.All)
	if len(queries) == 0 {
		return []Patient{p}, ""
	}
	most, left := maxFormats, ""
	if d.All {
		most = maxSizes
	}
	if n := len(queries); n > most {
		queries, left = queries[:most], fmt.Sprintf("%d of %d formats: more than %d are not measured at once; name one in the URL", n-most, n, most)
	}
	all := make([]Patient, 0, len(queries))
	for _, q := range queries {
		v := *u
		v.RawQuery = q
		all = append(all, Patient{Name: p.Name, URL: v.String(), Shown: hal.Redact(v.String()), Transport: p.Transport})
	}
	return all, left
}

// open opens a camera. The error shows no secret.
func (d Doctor) open(ctx context.Context, p Patient, clock *hal.Clock) (hal.Source, error) {
	driver, u, err := d.Registry.Lookup(p.URL)
	if err != nil {
		return nil, err
	}
	opts := hal.Options{Transport: p.Transport, Clock: clock, Log: d.Log}
	src, err := driver.Open(ctx, u, opts.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p.Shown, err)
	}
	if urgent, ok := src.(hal.Urgency); ok {
		urgent.SetUrgent(true)
	}
	return src, nil
}

// find returns the device that a URL names.
func find(u *url.URL, driver string, devices []hal.Device) (hal.Device, bool) {
	for _, d := range devices {
		if d.Driver != driver {
			continue
		}
		if d.Node != "" && u.Host == "" && u.Path == d.Node {
			return d, true
		}
		if d.Serial != "" && u.Host == "serial" && u.Path == "/"+d.Serial {
			return d, true
		}
		own, err := url.Parse(d.URL)
		if err == nil && own.Host == u.Host && own.Path == u.Path && own.Query().Get("index") == u.Query().Get("index") {
			return d, true
		}
	}
	return hal.Device{}, false
}
