package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// Tracing records what a camera of the kernel and its driver say to each other.
type Tracing struct {
	URL      string // v4l2:// or that of a trace
	File     string // replaced where it exists
	Duration time.Duration
	Pictures bool // keep what the camera sees, too
	Log      *slog.Logger
}

// Traced is what a trace holds.
type Traced struct {
	Pictures uint64
	Bytes    int64
	Ended    error // why the camera ended before its time; nil where it did not
}

const (
	// wholePicture is more than a picture of 4K has.
	wholePicture = 16 << 20
	// maxTrace is the size of a trace that can be read again.
	maxTrace = 1_000_000_000
)

// Check says what is wrong with the URL.
func (t Tracing) Check() error {
	_, _, err := t.driver()
	return err
}

// driver is the one to open the camera by.
func (t Tracing) driver() (v4l2.Driver, *url.URL, error) {
	d, u, err := Drivers().Lookup(t.URL)
	if err != nil {
		return v4l2.Driver{}, nil, err
	}
	switch d := d.(type) {
	case v4l2.Driver:
		return d, u, nil
	case replay:
		return d.driver(u)
	}
	return v4l2.Driver{}, nil, fmt.Errorf("source %q: only what the kernel's cameras say is traced: v4l2:///dev/video0", hal.Redact(t.URL))
}

// Run records until the duration has passed, the camera fails or ctx is done. A camera that
// fails is no error: the trace holds how. That no camera could be opened is one.
func (t Tracing) Run(ctx context.Context) (Traced, error) {
	d, u, err := t.driver()
	if err != nil {
		return Traced{}, err
	}
	out := &traceFile{name: t.File}
	d.Record = func(string) (io.WriteCloser, error) { return out, out.create() }
	if t.Pictures {
		d.Payload = wholePicture
	}
	ctx, cancel := context.WithTimeout(ctx, t.Duration)
	defer cancel()
	var done Traced
	src, err := d.Open(ctx, u, hal.Options{Log: t.Log}.WithDefaults())
	if src != nil && err == nil {
		for err == nil && ctx.Err() == nil {
			var f hal.Frame
			if f, err = src.Read(ctx); err == nil {
				done.Pictures++
				f.Release()
			}
		}
		out.failed = errors.Join(out.failed, src.Close())
	}
	done.Bytes = out.written
	if ctx.Err() == nil {
		done.Ended = err
	}
	switch {
	case !out.created && err == nil:
		err = context.Cause(ctx)
		fallthrough
	case !out.created:
		return done, fmt.Errorf("nothing was traced: %w", err)
	}
	return done, out.failed
}

// traceFile is made when the camera has been opened, and grows to a limit.
type traceFile struct {
	name    string
	file    *os.File
	created bool
	written int64
	failed  error
}

func (f *traceFile) create() (err error) {
	f.file, err = os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	f.created = err == nil
	return err
}

// Write takes a whole line or none.
func (f *traceFile) Write(line []byte) (int, error) {
	if f.written+int64(len(line)) > maxTrace {
		return 0, fmt.Errorf("a trace has at most %d bytes: choose a shorter --duration, or leave --pictures out", maxTrace)
	}
	n, err := f.file.Write(line)
	f.written += int64(n)
	return n, err
}

func (f *traceFile) Close() error { return f.file.Close() }
