package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/stages/pack"
)

// Salvaged is what was found in a file that was left open.
type Salvaged struct {
	Path    string
	Segment Segment // as the file's note says, where it has one; length and size as found
	Noted   bool    // the file has a note
	Frames  []int   // of each track of the file
	Cut     int64   // bytes that were behind the last whole fragment
	Removed bool    // no fragment was whole
	Broken  error   // a fragment in the midst of the file does not make sense; it was left as it is
}

// Length is how long the lead track is.
func (s Salvaged) Length() time.Duration { return s.Segment.Length }

// String is the line of the report.
func (s Salvaged) String() string {
	switch {
	case s.Removed:
		return fmt.Sprintf("%s: removed, no fragment in its %d bytes was whole", s.Path, s.Cut)
	case s.Broken != nil:
		return fmt.Sprintf("%s: %s, %d bytes, frames %v; left as it is: %v", s.Path, s.Length(), s.Segment.Bytes, s.Frames, s.Broken)
	case s.Cut > 0:
		return fmt.Sprintf("%s: %s, %d bytes, frames %v; %d bytes behind the last whole fragment cut off", s.Path, s.Length(), s.Segment.Bytes, s.Frames, s.Cut)
	}
	return fmt.Sprintf("%s: %s, %d bytes, frames %v; it was whole", s.Path, s.Length(), s.Segment.Bytes, s.Frames)
}

// Salvage repairs a file that was left open: it is cut back to its last whole fragment, durably,
// and removed where no fragment is whole. What is no file of ours, or has a fragment that does
// not make sense before others that do, is left as it is. Once done it finds nothing more to do.
func Salvage(path string) (Salvaged, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return Salvaged{}, explain(path, err)
	}
	s, err := salvage(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return Salvaged{}, fmt.Errorf("salvage %s: %w", path, err)
	}
	if s.Removed {
		if err := errors.Join(os.Remove(path), syncDir(filepath.Dir(path))); err != nil {
			return Salvaged{}, explain(path, err)
		}
	}
	return s, nil
}

func salvage(f *os.File) (Salvaged, error) {
	s := Salvaged{Path: f.Name()}
	is, err := f.Stat()
	switch {
	case err != nil:
		return s, err
	case !is.Mode().IsRegular():
		return s, errors.New("it is no regular file")
	}
	written, err := written(f, is.Size())
	if err != nil {
		return s, err
	}
	x, err := pack.ReadIndex(f, written)
	if written < is.Size() {
		// What a merge made had its name only when it was durable. It may have holes between its parts.
		if all, failed := pack.ReadIndex(f, is.Size()); failed == nil && all.Progressive {
			x, err = all, nil
		}
	}
	switch {
	case errors.Is(err, pack.ErrCut):
		s.Cut, s.Removed = is.Size(), true
		return s, nil
	case err != nil:
		return s, err
	}
	s = s.found(x)
	s.Segment.Bytes = is.Size()
	if x.Broken != nil || x.Progressive {
		return s, nil //nolint:nilerr // that is part of the finding
	}
	s.Cut, s.Segment.Bytes = is.Size()-x.Whole, x.Whole
	if s.Cut > 0 {
		if err := f.Truncate(x.Whole); err != nil {
			return s, err
		}
	}
	return s, unix.Fdatasync(int(f.Fd()))
}

// written returns how far a file of size bytes was written. A power cut may keep a file's size and
// lose bytes before its end: file systems (ext4, XFS) then have a hole there, and a recorder makes none.
func written(f *os.File, size int64) (int64, error) {
	if err := unix.Fdatasync(int(f.Fd())); err != nil { // or what waits to be written would look like a hole to some
		return 0, err
	}
	hole, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE)
	if err != nil { // the file is empty, or its file system knows no holes
		return size, nil //nolint:nilerr // as it says
	}
	return min(hole, size), nil
}

// found takes what the index says.
func (s Salvaged) found(x *pack.Index) Salvaged {
	var noted Segment
	if err := json.Unmarshal(x.Note, &noted); err == nil {
		s.Segment, s.Noted = noted, true
	}
	name := filepath.Base(s.Path)
	s.Segment.File = name
	if n, ok := number(name); ok && !s.Noted {
		s.Segment.Number = n
	}
	s.Segment.Length, s.Broken = x.Length(), x.Broken
	for i := range x.Tracks {
		s.Frames = append(s.Frames, len(x.Tracks[i].Samples))
	}
	return s
}

// syncDir makes durable what was made, renamed or removed in a directory.
func syncDir(path string) error {
	d, err := os.Open(path) //nolint:gosec // the recorder's own directory
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) { // a file system that has no such thing
		err = nil
	}
	return errors.Join(err, d.Close())
}
