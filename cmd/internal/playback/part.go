package playback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/record"
)

// Part is a stretch of a range that one film can show.
type Part struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	File uint64    `json:"file"`          // the number of its first file
	Why  string    `json:"why,omitempty"` // why it is not one film with the part before
	segs []catalog.Segment
}

// ManyError says that a range is not one film, and which parts of it are.
type ManyError struct {
	Ask

	Parts []Part
}

func (e *ManyError) Error() string {
	return fmt.Sprintf("a player could not follow from %s to %s in one go: %s at %s",
		label(e.From), label(e.To), e.Parts[1].Why, label(e.Parts[1].From))
}

// Hint names the parts.
func (e *ManyError) Hint() string {
	const most = 5
	var all []string
	for i, p := range e.Parts {
		if i == most {
			all = append(all, fmt.Sprintf("and %d more", len(e.Parts)-most))
			break
		}
		all = append(all, fmt.Sprintf("from=%s&to=%s&file=%d", label(p.From), label(p.To), p.File))
	}
	return "ask for its parts one by one: " + strings.Join(all, ", ")
}

const (
	// longestHold is how long the last picture before a gap is shown. A film's tables hold no more
	// than 13 hours between two frames.
	longestHold = 12 * time.Hour
	// stepBack is how much earlier than the end of the file before it a file may begin: clocks of
	// cameras differ by that much from this machine's in a long file.
	stepBack = time.Second
	// near is how far the monotonic clock may go on between two files for a jump of the wall clock
	// to be one.
	near = 10 * time.Second
)

// parts divides the files of a range. Files that are gone, or hold nothing yet, are left out.
func parts(ctx context.Context, segs []catalog.Segment, a Ask) ([]Part, error) {
	var all []Part
	var film *pack.Film
	for _, s := range segs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		begins, ends := s.Start.Time(), s.End().Time()
		if !begins.Before(a.To) || !ends.After(a.From) {
			continue
		}
		x, err := head(s.Path)
		if unplayable(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		why := ""
		if n := len(all); n > 0 {
			last := &all[n-1]
			if why = apart(&last.segs[len(last.segs)-1], &s); why == "" {
				why = film.Differs(x)
			}
		}
		if len(all) == 0 || why != "" {
			all = append(all, Part{File: s.Number, Why: why, From: later(begins, a.From)})
			film = pack.NewFilm(x)
		}
		last := &all[len(all)-1]
		last.segs = append(last.segs, s)
		last.To = earlier(ends, a.To)
	}
	return all, nil
}

// unplayable says whether a file is gone, or has nothing to show yet.
func unplayable(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, pack.ErrCut) }

// apart says why a file that comes after s is not in the same film; "" where it can be.
func apart(s, next *catalog.Segment) string {
	end := s.End()
	hole := time.Duration(next.Start.Wall - end.Wall)
	switch {
	case hole < -stepBack:
		return "the clock was set back by " + (-hole).Round(time.Second).String()
	case next.Start.Anchor != s.Start.Anchor && setForth(end, next.Start, hole):
		return "the clock was set forth by " + hole.Round(time.Second).String()
	case hole > longestHold:
		return "nothing was recorded for " + hole.Round(time.Second).String()
	}
	return ""
}

// setForth says whether the wall clock jumped while little time passed.
func setForth(end, next record.Instant, hole time.Duration) bool {
	passed := time.Duration(next.Mono - end.Mono)
	return passed > -stepBack && passed < near && hole-passed > 2*stepBack
}

// head reads which tracks a file has.
func head(path string) (x *pack.Index, err error) {
	f, err := os.Open(path) //nolint:gosec // a recording's
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if x, err = pack.ReadHead(f, info.Size()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// begins says whether the part begins with that file, or with what it was merged into.
func (p *Part) begins(file uint64) bool {
	return p.File == file || slices.Contains(p.segs[0].Parts, file)
}
