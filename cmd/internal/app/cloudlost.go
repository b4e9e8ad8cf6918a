package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-video/millrace/stages/cloud"
)

// lostPackages is the account of a channel's packages that were given up: lines of JSON in a file
// beside the recordings, which is put aside when it is long, in place of the one before.
type lostPackages struct {
	path string
	mu   sync.Mutex
}

const mostLost = 4 << 20 // bytes; about 20,000 packages

// add appends a line.
func (l *lostPackages) add(one cloud.Lost) (err error) {
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err = os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("the account of packages: %w", err)
	}
	if info, missing := os.Stat(l.path); missing == nil && info.Size() > mostLost {
		if err = os.Rename(l.path, l.path+".1"); err != nil {
			return fmt.Errorf("put the account of packages aside: %w", err)
		}
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // as the recordings beside it
	if err != nil {
		return fmt.Errorf("the account of packages: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}

// between returns what was given up of a stretch of time. A line that is cut off is passed over.
func (l *lostPackages) between(from, to time.Time) ([]cloud.Lost, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []cloud.Lost{}
	for _, path := range []string{l.path + ".1", l.path} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the account of packages: %w", err)
		}
		lines := bufio.NewScanner(io.LimitReader(f, 2*mostLost))
		for lines.Scan() {
			var one cloud.Lost
			if json.Unmarshal(lines.Bytes(), &one) == nil && one.From.Before(to) && one.To.After(from) {
				all = append(all, one)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return nil, fmt.Errorf("the account of packages: %w", err)
		}
	}
	return all, nil
}
