package playback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/pack"
)

// Film is what is shown of a range. Its files are open, so that retention can take none of them
// away, until Close.
type Film struct {
	io.WriterTo

	Start time.Time // the label of its first picture; of a stream that begins with the key frame before the range
	Size  int64     // bytes; of a stream it is not known and 0
	files []*os.File
}

// held is how many files are kept open at once. Of a longer range the later ones are opened when
// they come up.
const held = 256

// Export returns the exact range as one progressive film: the frames that only its first pictures
// need are hidden by an edit list, and over gaps the last picture before is held, so that a time
// in the film is a time of the wall clock. NothingError and ManyError say what to ask instead.
func Export(ctx context.Context, lib Library, a Ask) (*Film, error) {
	f := &Film{}
	return f.open(ctx, lib, a, func(sources []pack.Source, from, to time.Duration) error {
		film, err := pack.Export(sources, from, to)
		if err == nil {
			f.WriterTo, f.Size = film, film.Size()
		}
		return err
	})
}

// Stream returns the range as a fragmented film that is written as it is read. It begins with the
// key frame before the range.
func Stream(ctx context.Context, lib Library, a Ask) (*Film, error) {
	f := &Film{}
	return f.open(ctx, lib, a, func(sources []pack.Source, from, to time.Duration) error {
		p, err := pack.Fragments(sources, from, to)
		if err == nil {
			f.WriterTo, f.Start = p, f.Start.Add(p.Start()-from)
		}
		return err
	})
}

// open finds the one part that was asked for, opens its files and makes the film.
func (f *Film) open(ctx context.Context, lib Library, a Ask, film func(s []pack.Source, from, to time.Duration) error) (*Film, error) {
	p, err := one(ctx, lib, a)
	if err != nil {
		return nil, err
	}
	zero := p.segs[0].Start.Time()
	sources, err := f.hold(p.segs, zero)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.Start = p.From
	switch err = film(sources, p.From.Sub(zero), a.To.Sub(zero)); {
	case errors.Is(err, pack.ErrNothing):
		err = nothing(lib, a)
	case errors.Is(err, pack.ErrTooLong):
		err = fmt.Errorf("%w: %w", ErrAsk, err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// hold opens files. zero is the time 0 of the film's time line.
func (f *Film) hold(segs []catalog.Segment, zero time.Time) ([]pack.Source, error) {
	sources := make([]pack.Source, 0, len(segs))
	for i, s := range segs {
		source := pack.Source{Path: s.Path, At: s.Start.Time().Sub(zero)}
		if i < held {
			file, err := os.Open(s.Path)
			if errors.Is(err, os.ErrNotExist) { // just now
				continue
			}
			if err != nil {
				return nil, err
			}
			f.files = append(f.files, file)
			source.File = file
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// Close lets go of the files.
func (f *Film) Close() error {
	var err error
	for _, file := range f.files {
		err = errors.Join(err, file.Close())
	}
	f.files = nil
	return err
}

// Parts returns the films that a range is, in their order; at least one.
func Parts(ctx context.Context, lib Library, a Ask) ([]Part, error) {
	t, err := lib.Timeline(a.Channel, a.From, a.To)
	if err != nil {
		return nil, err
	}
	all, err := parts(ctx, t.Segments, a)
	if err == nil && len(all) == 0 {
		err = nothing(lib, a)
	}
	return all, err
}

// one returns the part that was asked for.
func one(ctx context.Context, lib Library, a Ask) (*Part, error) {
	all, err := Parts(ctx, lib, a)
	if err != nil {
		return nil, err
	}
	if a.File == 0 {
		if len(all) > 1 {
			return nil, &ManyError{a, all}
		}
		return &all[0], nil
	}
	for i := range all {
		if all[i].begins(a.File) {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("%w: no film in it begins with file %d", ErrAsk, a.File)
}
