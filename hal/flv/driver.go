package flv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Driver opens HTTP-FLV streams. The zero value works.
type Driver struct {
	// Dial opens the connection to the server; nil is a net.Dialer's DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds the opening, from the first connection to the last sequence header. Default 9 s.
	Timeout time.Duration
	// Silence is how long nothing may come before the source counts as stalled. Default 10 s.
	Silence time.Duration
	// Patience is how long a track that was announced may take once another is there. Default 2 s.
	Patience time.Duration
}

// Name implements hal.Driver.
func (Driver) Name() string { return "flv" }

// Schemes implements hal.SourceDriver.
func (Driver) Schemes() []string { return []string{plain, secure, plain + anyPath, secure + anyPath} }

// Check implements hal.SourceDriver.
func (Driver) Check(u *url.URL) error {
	_, err := parseTarget(u)
	return err
}

// Open implements hal.SourceDriver. It returns once the tracks are known: those that the stream
// announces, but for what does not come while the others do.
func (d Driver) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	to, err := parseTarget(u)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	d = d.withDefaults()
	bounded, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	password, _ := to.url.User.Password()
	o := &opening{driver: d, target: to, opts: opts.WithDefaults(), explainer: explainer{show(to.url), password}}
	src, err := o.open(bounded)
	switch {
	case err == nil:
		return src, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case bounded.Err() != nil && !errors.Is(err, hal.ErrUnsupported):
		err = fmt.Errorf("%s within %v%s: %w", o.doing, d.Timeout, o.fault, o.verdict)
	}
	return nil, o.explain(err)
}

func (d Driver) withDefaults() Driver {
	if d.Dial == nil {
		d.Dial = (&net.Dialer{}).DialContext
	}
	if d.Timeout == 0 {
		d.Timeout = 9 * time.Second
	}
	if d.Silence == 0 {
		d.Silence = 10 * time.Second
	}
	if d.Patience == 0 {
		d.Patience = 2 * time.Second
	}
	return d
}

var _ hal.SourceDriver = Driver{}
