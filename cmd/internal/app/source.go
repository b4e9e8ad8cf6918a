package app

import (
	"context"
	"fmt"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// candidate is a source of the configuration. Unlike acquire.From's it has a transport of its
// own, and shows none of the secrets that were put into its URL.
type candidate struct {
	reg *hal.Registry
	src config.Source
}

var (
	_ pipeline.Candidate = candidate{}
	_ pipeline.Awaiter   = candidate{}
)

func (c candidate) String() string { return c.src.Shown }

// Check says what is wrong with the source, without opening it.
func (c candidate) Check() error {
	if err := CheckSource(c.reg)(c.src.URL, c.src.Transport); err != nil {
		return fmt.Errorf("source %s: %w", c.src.Shown, err)
	}
	return nil
}

// Open opens the source.
func (c candidate) Open(ctx context.Context, opts hal.Options) (hal.Source, error) {
	d, u, err := c.reg.Lookup(c.src.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	if c.src.Transport != "" {
		opts.Transport = c.src.Transport
	}
	src, err := d.Open(ctx, u, opts.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", c.src.Shown, err)
	}
	return src, nil
}

// Await returns when the device has been plugged in, where its driver can tell.
func (c candidate) Await(ctx context.Context) error {
	return c.reg.Await(ctx, c.src.URL)
}

// origin returns a channel's first stage.
func origin(reg *hal.Registry, ch config.Channel) pipeline.Origin {
	o := pipeline.Origin{
		Options: hal.Options{Buffers: ch.Buffers}, Settle: ch.Settle, OpenTimeout: ch.OpenTimeout,
		CloseOnPause: ch.CloseOnPause, Nice: ch.Nice,
	}
	for _, s := range ch.Sources {
		o.Candidates = append(o.Candidates, candidate{reg, s})
	}
	return o
}
