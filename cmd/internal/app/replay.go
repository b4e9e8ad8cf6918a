package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// ReplayScheme is the scheme of the URLs that play a recorded trace as if it were the camera.
const ReplayScheme = v4l2.Scheme + "+trace"

// replay plays the traces that millrace trace records: v4l2+trace:///path/to/file, with the
// parameters of v4l2:// and loop=1, after whose end the pictures begin anew. It needs no
// camera, and no cgo.
type replay struct{}

var _ hal.SourceDriver = replay{}

// Name implements hal.Driver.
func (replay) Name() string { return ReplayScheme }

// Schemes implements hal.SourceDriver.
func (replay) Schemes() []string { return []string{ReplayScheme} }

// Check implements hal.SourceDriver.
func (replay) Check(u *url.URL) error {
	_, _, err := readReplay(u)
	return err
}

// Open implements hal.SourceDriver.
func (r replay) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	d, camera, err := r.driver(u)
	if err != nil {
		return nil, err
	}
	return d.Open(ctx, camera, opts)
}

// driver returns one that has the trace, and what to open by it.
func (replay) driver(u *url.URL) (v4l2.Driver, *url.URL, error) {
	camera, loop, err := readReplay(u)
	if err != nil {
		return v4l2.Driver{}, nil, errors.Join(hal.ErrUnsupported, err)
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return v4l2.Driver{}, nil, errors.Join(hal.ErrNoDevice, err)
	}
	trace, err := v4l2.ReadTrace(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return v4l2.Driver{}, nil, fmt.Errorf("%w: %s: %w", hal.ErrUnsupported, u.Path, err)
	}
	return v4l2.Driver{Replay: trace, Loop: loop}, camera, nil
}

// readReplay returns what the camera's URL would be, and whether the trace is to loop.
func readReplay(u *url.URL) (camera *url.URL, loop bool, err error) {
	if u.Opaque != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.ContainsRune(u.Path, 0) {
		return nil, false, fmt.Errorf("no file is named: write %s:///path/to/file.trace", ReplayScheme)
	}
	var rest []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		switch {
		case part == "loop=1":
			loop = true
		case part == "loop=0":
			loop = false
		case strings.HasPrefix(part, "loop"):
			return nil, false, fmt.Errorf("%.40s: loop=0 or loop=1", part)
		default:
			rest = append(rest, part)
		}
	}
	camera = &url.URL{Scheme: v4l2.Scheme, User: u.User, Path: "/dev/replayed", RawQuery: strings.Join(rest, "&"), Fragment: u.Fragment}
	_, err = v4l2.Parse(camera)
	return camera, loop, err
}
