// Package acquire names where a channel's frames come from: a list of source URLs, the
// preferred one first, opened through a registry of drivers.
package acquire

import (
	"context"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// From returns an origin that uses the first of these sources that works (H5). What is wrong
// with a URL shows when the channel is defined.
func From(reg *hal.Registry, urls ...string) pipeline.Origin {
	var o pipeline.Origin
	for _, u := range urls {
		o.Candidates = append(o.Candidates, &source{reg: reg, url: u})
	}
	return o
}

// source is one URL of the list.
type source struct {
	reg *hal.Registry
	url string
}

var _ pipeline.Candidate = (*source)(nil)

func (s *source) String() string { return hal.Redact(s.url) }

// Check says what is wrong with the URL, without touching the device.
func (s *source) Check() error {
	_, _, err := s.reg.Lookup(s.url)
	return err
}

// Await returns when the device has been plugged in, where its driver can tell.
func (s *source) Await(ctx context.Context) error {
	return s.reg.Await(ctx, s.url)
}

func (s *source) Open(ctx context.Context, opts hal.Options) (hal.Source, error) {
	return s.reg.Open(ctx, s.url, opts)
}
