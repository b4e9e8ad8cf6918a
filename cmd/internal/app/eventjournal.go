package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/millrace-video/millrace/cmd/internal/api"
)

// eventJournal is a channel's events as JSON, one a line, in a file beside its recordings. When
// that is long it is put aside, in place of the one put aside before. The latest lines are kept
// in memory too.
type eventJournal struct {
	path string

	mu     sync.Mutex
	size   int64
	recent []api.EventLine
}

const (
	maxJournal = 16 << 20 // about 100,000 lines
	maxRecent  = 100
	maxLine    = 4 << 10
)

// open reads what is there and returns the number of the last event, 0 where there was none.
func (j *eventJournal) open() (last uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(j.path), 0o755); err != nil {
		return 0, err
	}
	j.size, j.recent = 0, nil
	for _, name := range []string{j.aside(), j.path} {
		n, err := j.read(name)
		if err != nil {
			return 0, err
		}
		last = max(last, n)
	}
	return last, nil
}

func (j *eventJournal) aside() string { return j.path + ".1" }

// read takes in a file's lines. One that is cut off, or no JSON, is passed over.
func (j *eventJournal) read(name string) (last uint64, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	j.size = info.Size()
	const tail = 1 << 20 // the last event is in it
	if j.size > tail {
		if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
			return 0, err
		}
	}
	lines := bufio.NewReaderSize(f, maxLine)
	for {
		text, err := lines.ReadSlice('\n')
		var l api.EventLine
		if json.Unmarshal(bytes.TrimSpace(text), &l) == nil && l.Kind != "" {
			j.remember(l)
			last = max(last, l.Event)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return last, nil
			}
			return last, err
		}
	}
}

func (j *eventJournal) remember(l api.EventLine) {
	if len(j.recent) == maxRecent {
		j.recent = slices.Delete(j.recent, 0, 1)
	}
	j.recent = append(j.recent, l)
}

// write appends a line.
func (j *eventJournal) write(l api.EventLine) (err error) {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.remember(l)
	if j.size > maxJournal {
		if err = os.Rename(j.path, j.aside()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put the journal of events aside: %w", err)
		}
		j.size = 0
	}
	f, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644) //nolint:gosec // as the recordings beside it
	if err != nil {
		return fmt.Errorf("write the journal of events: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if j.cut(f) {
		text = append([]byte{'\n'}, text...) // a line that a kill cut off stays alone
	}
	n, err := f.Write(append(text, '\n'))
	j.size += int64(n)
	if err != nil {
		return fmt.Errorf("write the journal of events: %w", err)
	}
	return nil
}

// cut says whether the file's last line has no end.
func (j *eventJournal) cut(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

// latest returns the lines of late, the newest first.
func (j *eventJournal) latest() []api.EventLine {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.recent)
	slices.Reverse(all)
	if all == nil {
		all = []api.EventLine{}
	}
	return all
}
