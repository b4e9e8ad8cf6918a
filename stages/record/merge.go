package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack"
)

// MergeOptions says how to merge. The zero value works.
type MergeOptions struct {
	// LongestGap is how long the last picture before a gap is held until the next part. Where
	// more is missing the parts go into several files. Default 60 s.
	LongestGap time.Duration
	Clock      *hal.Clock // nil: a new one
}

const (
	defaultLongestGap = 60 * time.Second
	mergedSuffix      = ".merged" + extension // of NUMBER-TIME, those of the first part
	underWay          = ".part"               // and a dot before the name: no recording
)

// MergedFile is a file that parts of a recording were merged into.
type MergedFile struct {
	Segment Segment // the merged file, with the number of its first part
	Parts   []Segment
	Why     string // the parts that follow are in another file; "" for the last

	Copied  time.Duration // until every byte was in place, as long as a copy of the parts takes
	Durable time.Duration // from then until the file and its name outlive a power cut
}

// Merge makes one progressive MP4, its index first, of the parts of a recording in dir, in their
// order. The kernel copies the payload. Parts that meet stay without a seam, a gap is held by
// the frames before it, and where a player could not follow (other parameters, a long gap) the
// recording goes on in a further file. The file is called as its first part, .merged.mp4 at the
// end. It has its name when it is whole and durable; the parts are untouched. With an error come
// the files that were made before it.
func Merge(ctx context.Context, dir string, parts []Segment, opts MergeOptions) ([]MergedFile, error) {
	if opts.LongestGap == 0 {
		opts.LongestGap = defaultLongestGap
	}
	if opts.Clock == nil {
		opts.Clock = hal.NewClock()
	}
	var all []MergedFile
	m := &merger{dir: dir, longest: opts.LongestGap, clock: opts.Clock}
	for _, p := range parts {
		why, err := m.take(p)
		if err != nil {
			return all, err
		}
		if why == "" {
			continue
		}
		done, err := m.finish(ctx)
		if err != nil {
			return all, err
		}
		done.Why = why
		all = append(all, done)
		if _, err := m.take(p); err != nil {
			return all, err
		}
	}
	if m.film == nil {
		return all, nil
	}
	done, err := m.finish(ctx)
	if err != nil {
		return all, err
	}
	return append(all, done), nil
}

// merger collects the parts of one merged file.
type merger struct {
	dir     string
	longest time.Duration
	film    *pack.Film
	parts   []Segment
	end     time.Duration // where the last part ends on the film's time line
	clock   *hal.Clock
	began   int64 // with the first of parts
}

// take adds a part, or says why it does not go into the same file as those before.
func (m *merger) take(p Segment) (string, error) {
	path := filepath.Join(m.dir, p.File)
	if m.film == nil {
		m.began = m.clock.Mono()
	}
	x, err := pack.OpenIndex(path)
	if err != nil {
		return "", fmt.Errorf("merge: %w", err)
	}
	p.Length = x.Length()
	if m.film == nil {
		m.film, m.end = pack.NewFilm(x), 0
	} else if why := m.parts[len(m.parts)-1].apart(p, m.longest); why != "" {
		return why, nil
	} else if why := m.film.Differs(x); why != "" {
		return why, nil
	}
	at := m.end
	if n := len(m.parts); n > 0 {
		gap, _ := gapBetween(m.parts[n-1], p)
		at += gap
	}
	err = m.film.Append(pack.Source{Path: path, At: at}, x)
	if errors.Is(err, pack.ErrTooLong) && len(m.parts) > 0 {
		return err.Error(), nil
	}
	if err != nil {
		return "", fmt.Errorf("merge %s: %w", path, err)
	}
	m.parts, m.end = append(m.parts, p), at+p.Length
	return "", nil
}

// apart says why a part that follows s does not go into the same film.
func (s Segment) apart(next Segment, longest time.Duration) string {
	gap, known := gapBetween(s, next)
	switch {
	case !known:
		return fmt.Sprintf("nobody can tell how much time lies before %s: the clock was set", next.File)
	case gap > longest:
		return fmt.Sprintf("%s are missing before %s", gap.Round(time.Millisecond), next.File)
	}
	return ""
}

// finish writes the merged file.
func (m *merger) finish(ctx context.Context) (MergedFile, error) {
	first, last := m.parts[0], m.parts[len(m.parts)-1]
	done := MergedFile{Segment: first, Parts: m.parts}
	done.Segment.File = mergedName(first.File)
	done.Segment.Length = m.film.Length()
	done.Segment.EndedBy, done.Segment.Bytes = last.EndedBy, 0
	note, err := json.Marshal(done.Segment)
	if err != nil {
		return done, fmt.Errorf("merge: %w", err)
	}
	m.film.Note(note)
	done.Segment.Bytes = m.film.Size()
	film := m.film
	m.film, m.parts = nil, nil
	err = m.write(ctx, film, &done)
	return done, err
}

// mergedName is how the file is called that begins with a part of that name.
func mergedName(part string) string {
	return strings.TrimSuffix(strings.TrimSuffix(part, extension), strings.TrimSuffix(mergedSuffix, extension)) + mergedSuffix
}

// write writes a film under a name that nobody takes for a recording, makes it durable and gives
// it its name.
func (m *merger) write(ctx context.Context, film *pack.Film, done *MergedFile) error {
	if err := roomFor(m.dir, film.Size()); err != nil {
		return err
	}
	path := filepath.Join(m.dir, "."+done.Segment.File+underWay)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode) //nolint:gosec // the recorder's own directory
	if err != nil {
		return explain(path, err)
	}
	out := drainOf(f)
	err = film.WriteFile(ctx, f, func(end int64) error { return out.wrote(ctx, end) })
	whole := m.clock.Mono()
	if err == nil {
		err = out.finish(ctx, film.Size())
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(path, filepath.Join(m.dir, done.Segment.File))
	}
	if err != nil {
		return errors.Join(explain(path, err), os.Remove(path))
	}
	if err := syncDir(m.dir); err != nil {
		return explain(m.dir, err)
	}
	done.Copied, done.Durable = time.Duration(whole-m.began), time.Duration(m.clock.Mono()-whole)
	return nil
}

// roomFor says whether the disk has that many bytes free.
func roomFor(dir string, bytes int64) error {
	var is unix.Statfs_t
	if err := unix.Statfs(dir, &is); err != nil {
		return explain(dir, err)
	}
	if free := uint64(is.Bavail) * uint64(is.Bsize); free < uint64(bytes) { //nolint:unconvert // their types differ by platform
		return explain(dir, fmt.Errorf("merge %d bytes with %d free: %w", bytes, free, syscall.ENOSPC))
	}
	return nil
}

// CleanMerges removes what merges that were cut off have left in dir. None may be under way.
func CleanMerges(dir string) error {
	found, err := os.ReadDir(dir)
	if err != nil {
		return explain(dir, err)
	}
	for _, e := range found {
		if n := e.Name(); strings.HasPrefix(n, ".") && strings.HasSuffix(n, mergedSuffix+underWay) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, n)))
		}
	}
	return err
}

// RemoveParts removes the parts of a merged file, once the catalog knows that it stands for
// them. A part that is gone already is no error.
func RemoveParts(dir string, m MergedFile) error {
	if _, err := os.Stat(filepath.Join(dir, m.Segment.File)); err != nil {
		return explain(dir, err)
	}
	var err error
	for _, p := range m.Parts {
		if p.File == m.Segment.File {
			continue
		}
		if gone := os.Remove(filepath.Join(dir, p.File)); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, explain(dir, gone))
		}
	}
	return errors.Join(err, syncDir(dir))
}
