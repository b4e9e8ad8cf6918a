package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"syscall"

	"github.com/millrace-video/millrace/hal"
)

// Driver opens files as sources (H7).
//
//	file:///absolute/path.mp4     or file:relative/path.mp4, with % # ? in names as %25 %23 %3F
//	?pace=live|fast               in real time (the default) or as fast as it is read
//	&loop=0|1|N                   play once (the default), for ever, or N times
//	&rate=25                      frames a second of Annex B, which has no time stamps; default
//	                              what the stream says, else 25
type Driver struct{}

// Name returns "file".
func (Driver) Name() string { return "file" }

// Schemes returns "file".
func (Driver) Schemes() []string { return []string{"file"} }

// Check says what is wrong with the URL; the file is not touched.
func (Driver) Check(u *url.URL) error {
	_, err := parse(u)
	return err
}

// Open opens the file and reads as much of it as it takes to know the tracks. What cannot be
// played wraps hal.ErrUnsupported, what is not there or may not be read hal.ErrNoDevice.
func (Driver) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	p, err := parse(u)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	f, size, err := openFile(p.path)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, f, size, p, opts.WithDefaults())
	if err != nil {
		_ = f.Close() //nolint:errcheck // the file was only read; why it cannot be played matters more
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return s, nil
}

// openFile opens a regular file; a pipe or a device is refused without waiting for it.
func openFile(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, refused(path, err)
	}
	st, err := f.Stat()
	if err == nil && st.Mode().IsRegular() {
		return f, st.Size(), nil
	}
	_ = f.Close() //nolint:errcheck // it was only looked at
	switch {
	case err != nil:
		return nil, 0, refused(path, err)
	case st.IsDir():
		return nil, 0, fmt.Errorf("%w: %s is a directory: name a file in it", hal.ErrUnsupported, path)
	default:
		return nil, 0, fmt.Errorf("%w: %s is no regular file (%s): copy it to one", hal.ErrUnsupported, path, st.Mode().Type())
	}
}

// refused says what to do about a file that does not open.
func refused(path string, err error) error {
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s: %w: check the path, relative ones start where the program was started", hal.ErrNoDevice, path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s: %w: let the program's user read it (chmod, chown)", hal.ErrNoDevice, path, err)
	default:
		return fmt.Errorf("%w: %s: %w", hal.ErrNoDevice, path, err)
	}
}

// content is what a source reads from.
type content interface {
	io.ReaderAt
	io.Closer
}

// open makes a source of a file's content.
func open(ctx context.Context, f content, size int64, p params, opts hal.Options) (*Source, error) {
	s := &Source{
		file: f, clock: opts.Clock, counts: &counters{},
		live: p.live, passes: p.passes, done: make(chan struct{}),
	}
	in := &input{
		r: f, size: size, rate: p.rate, log: opts.Log, counts: s.counts,
		lender: lender{arena: opts.Arena(), done: s.done},
	}
	var err error
	s.demux, err = sniff(ctx, in)
	if err != nil {
		return nil, unplayable(err)
	}
	s.first = s.demux.stream()
	return s, nil
}

// unplayable adds what the engine is to do: a file that is damaged at its beginning will not
// get better by itself.
func unplayable(err error) error {
	if _, ok := errors.AsType[*DamagedError](err); ok {
		return fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	return err
}
