package outage

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/record"
)

// left is a file as it was found.
type left struct {
	channel string
	number  uint64
	path    string
	size    int64
	index   *pack.Index // nil: nothing in it is whole
	note    record.Segment
}

func (l *left) name() string { return l.channel + "/" + filepath.Base(l.path) }

// end is how far the file goes, by the machine's clock.
func (l *left) end() time.Duration { return time.Duration(l.note.Start.Add(l.index.Length()).Mono) }

// leavings reads the files of a folder, by channel and number.
func leavings(data string) ([]left, error) {
	paths, err := filepath.Glob(filepath.Join(data, "*", "*.mp4"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	all := make([]left, 0, len(paths))
	for _, path := range paths {
		digits, _, _ := strings.Cut(filepath.Base(path), "-")
		l := left{channel: filepath.Base(filepath.Dir(path)), path: path}
		if l.number, err = strconv.ParseUint(digits, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: no name of a recording: %w", path, err)
		}
		is, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		l.size = is.Size()
		l.index, err = pack.OpenIndex(path)
		switch {
		case errors.Is(err, pack.ErrCut): // cut off in its very first write
		case err != nil:
			return nil, err
		case l.index.Broken != nil:
			return nil, fmt.Errorf("%s: %w", path, l.index.Broken)
		default:
			if err = json.Unmarshal(l.index.Note, &l.note); err != nil {
				return nil, fmt.Errorf("%s: its note: %w", path, err)
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// kept is what of a file must never go again.
type kept struct {
	size int64
	hash [sha256.Size]byte
}

// keep takes down what a file holds; only of its first bytes where size is not below 0.
func keep(path string, size int64) (k kept, err error) {
	f, err := os.Open(path) //nolint:gosec // below our own directory
	if err != nil {
		return k, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	var from io.Reader = f
	if size >= 0 {
		from = io.LimitReader(f, size)
	}
	h := sha256.New()
	k.size, err = io.Copy(h, from)
	h.Sum(k.hash[:0])
	return k, err
}
