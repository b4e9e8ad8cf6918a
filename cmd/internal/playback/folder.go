package playback

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/record"
)

// Folder is a library of a channel's files alone: what each is stands in its note. It needs no
// catalog and no running program, and does not know why something is missing.
type Folder struct{ dir string }

// OpenFolder finds the folder of a channel: the one that is named, or the one of its name in it.
func OpenFolder(data, channel string) (*Folder, error) {
	if filepath.IsLocal(channel) && !strings.ContainsRune(channel, filepath.Separator) {
		if info, err := os.Stat(filepath.Join(data, channel)); err == nil && info.IsDir() {
			return &Folder{filepath.Join(data, channel)}, nil
		}
	}
	info, err := os.Stat(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the folder of recordings: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%s is no folder", data)
	case filepath.Base(filepath.Clean(data)) != channel:
		return nil, fmt.Errorf("in %s there is no folder %s: name the one in which its recordings are", data, channel)
	}
	return &Folder{data}, nil
}

// Unknown is the cause of a gap of which only the files tell.
const Unknown record.Cause = "unknown"

// Timeline implements Library.
func (f *Folder) Timeline(channel string, from, to time.Time) (catalog.Timeline, error) {
	t := catalog.Timeline{Channel: channel, Folder: f.dir}
	all, err := f.segments()
	if err != nil {
		return t, err
	}
	for i, s := range all {
		begin, end := s.Start.Time(), s.End().Time()
		if begin.Before(to) && end.After(from) {
			t.Segments = append(t.Segments, s)
		}
		if i == 0 {
			continue
		}
		before := all[i-1].End()
		hole := time.Duration(s.Start.Wall - before.Wall)
		if hole > stepBack/10 && before.Time().Before(to) && begin.After(from) {
			t.Gaps = append(t.Gaps, catalog.Gap{
				Gap:    record.Gap{After: all[i-1].Number, From: before, To: s.Start, Cause: Unknown},
				Length: hole, Unknown: s.Start.Anchor != before.Anchor,
			})
		}
	}
	return t, nil
}

// segments reads the notes of all files, in the order of their numbers.
func (f *Folder) segments() ([]catalog.Segment, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var all []catalog.Segment
	for _, e := range entries {
		n, at, ok := named(e.Name())
		if !ok {
			continue
		}
		s, err := noted(filepath.Join(f.dir, e.Name()), n, at)
		if unplayable(err) || errors.Is(err, pack.ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b catalog.Segment) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(len(b.File), len(a.File))) // the merged one first
	})
	return once(all), nil
}

// once leaves out what is there twice: a merged file beside its parts. Where its first part is
// there the parts tell; else what is left of them goes.
func once(all []catalog.Segment) []catalog.Segment {
	var left []catalog.Segment
	var merged *catalog.Segment
	for i := range all {
		s := &all[i]
		if strings.HasSuffix(s.File, mergedSuffix) {
			if i+1 < len(all) && all[i+1].Number == s.Number {
				continue
			}
			merged = s
		} else if merged != nil && s.Recording == merged.Recording && s.Start.Wall >= merged.Start.Wall && s.Start.Wall < merged.End().Wall {
			continue
		}
		left = append(left, *s)
	}
	return left
}

// noted reads a file's note. A file without one is what its name says.
func noted(path string, number uint64, at time.Time) (catalog.Segment, error) {
	s := catalog.Segment{Path: path}
	x, err := pack.OpenIndex(path)
	if err != nil {
		return s, err
	}
	if json.Unmarshal(x.Note, &s.Segment) != nil || s.Start.Wall <= 0 {
		s.Segment = record.Segment{Start: record.Instant{Wall: at.UnixNano()}}
	}
	s.Number, s.File, s.Length, s.Bytes = number, filepath.Base(path), x.Length(), x.Whole
	return s, nil
}

const (
	mergedSuffix = ".merged.mp4"
	timeLabel    = "20060102T150405Z"
)

// named reads the name of a recording, NUMBER-TIME.mp4 or NUMBER-TIME.merged.mp4.
func named(name string) (number uint64, at time.Time, ok bool) {
	front, back, _ := strings.Cut(name, "-")
	back, isMerged := strings.CutSuffix(back, mergedSuffix)
	if !isMerged {
		back, ok = strings.CutSuffix(back, ".mp4")
	}
	number, err := strconv.ParseUint(front, 10, 64)
	if err != nil || len(front) < 8 || !ok && !isMerged {
		return 0, at, false
	}
	at, err = time.Parse(timeLabel, back)
	return number, at, err == nil
}
