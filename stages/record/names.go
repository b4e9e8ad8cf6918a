package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// namer makes a recorder's files.
type namer interface {
	// prepare makes sure that files can be made. Their numbers are higher than after.
	prepare(after uint64) error
	// create makes the next file. wall labels it. Its number is 0 where it has none.
	create(wall time.Time) (*os.File, uint64, error)
	// dir is where they are made.
	dir() string
}

// directory holds files by the name NUMBER-TIME.mp4. The number orders them and only ever
// grows; the time, UTC, is a label and may step back.
type directory struct {
	path string
	next uint64
}

const (
	digits    = 8
	maxDigits = 15
	timeLabel = "20060102T150405Z"
	extension = ".mp4"
)

func (d *directory) dir() string { return d.path }

func (d *directory) prepare(after uint64) error {
	if err := writable(d.path); err != nil {
		return err
	}
	d.next = max(d.next, after)
	found, err := os.ReadDir(d.path)
	if err != nil {
		return explain(d.path, err)
	}
	for _, e := range found {
		if n, ok := number(e.Name()); ok {
			d.next = max(d.next, n)
		}
	}
	return nil
}

// number returns the number in a file's name.
func number(name string) (uint64, bool) {
	front, _, ok := strings.Cut(name, "-")
	if !ok || !strings.HasSuffix(name, extension) || len(front) < digits || len(front) > maxDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(front, 10, 64)
	return n, err == nil
}

func (d *directory) create(wall time.Time) (*os.File, uint64, error) {
	const tries = 100 // somebody else writes here too
	for range tries {
		d.next++
		name := fmt.Sprintf("%0*d-%s%s", digits, d.next, wall.UTC().Format(timeLabel), extension)
		path := filepath.Join(d.path, name)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrNotExist) { // the directory was removed
			if err = os.MkdirAll(d.path, dirMode); err == nil {
				f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
			}
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, 0, explain(path, err)
		}
		return f, d.next, nil
	}
	return nil, 0, fmt.Errorf("record in %s: another program makes files of the same names: give each recorder a directory of its own", d.path)
}

// single is one file, written anew. Where a stream does not fit into one file its continuations
// are called NAME-2.mp4 and so on, past files that are there already.
type single struct {
	path string
	made int
}

func (s *single) dir() string { return filepath.Dir(s.path) }

func (s *single) prepare(uint64) error { return writable(s.dir()) }

func (s *single) create(time.Time) (*os.File, uint64, error) {
	if s.made++; s.made == 1 {
		f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
		if err != nil {
			return nil, 0, explain(s.path, err)
		}
		return f, 0, nil
	}
	ext := filepath.Ext(s.path)
	for ; ; s.made++ {
		path := fmt.Sprintf("%s-%d%s", strings.TrimSuffix(s.path, ext), s.made, ext)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, 0, explain(path, err)
		}
		return f, 0, nil
	}
}

// writable makes a directory where it is missing, and tries it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return explain(dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return explain(dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// explain says where writing failed and what to do about it. No error stays none.
func explain(path string, err error) error {
	if err == nil {
		return nil
	}
	advice := ""
	switch {
	case errors.Is(err, errGone):
		advice = ": mount it again; nothing is written beside it meanwhile"
	case errors.Is(err, syscall.ENOSPC):
		advice = ": the disk is full; delete old recordings or record elsewhere"
	case errors.Is(err, syscall.EDQUOT):
		advice = ": the user's quota is used up; delete old recordings or raise it"
	case errors.Is(err, syscall.EFBIG):
		advice = ": the file system takes no larger file; set a smaller segment size"
	case errors.Is(err, syscall.EROFS):
		advice = ": the disk is mounted read-only; look at the kernel's log for the cause, mount it read-write or record elsewhere"
	case errors.Is(err, fs.ErrPermission):
		advice = ": let the user that runs this program write there, or record elsewhere"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.EISDIR):
		advice = ": a file and a directory are in each other's place; choose another name"
	case errors.Is(err, syscall.EIO):
		advice = ": the disk fails; look at the kernel's log and replace it"
	case errors.Is(err, fs.ErrNotExist):
		advice = ": make the directory, or record elsewhere"
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		path, err = at.Path, at.Err
	}
	return fmt.Errorf("record to %s: %w%s", path, err, advice)
}
