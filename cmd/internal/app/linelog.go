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
	"sync"
)

// lineLog is a file of JSON, one value a line, that is put aside when it is long, in place of the
// one put aside before. A line that a kill cut off costs itself alone. It is safe for concurrent use.
type lineLog struct {
	path  string
	what  string // for errors
	limit int64  // bytes at which it is put aside

	mu sync.Mutex
}

// maxLine is the longest line that is read again, in bytes: a package's cause is as long as a store makes it.
const maxLine = 64 << 10

func (l *lineLog) aside() string { return l.path + ".1" }

// writeLines appends values, and makes the folder where there is none.
func writeLines[T any](l *lineLog, values ...T) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for _, v := range values {
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("write %s: %w", l.what, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.append(text.Bytes()); err != nil {
		return fmt.Errorf("write %s: %w", l.what, err)
	}
	return nil
}

// append writes whole lines. The caller holds mu.
func (l *lineLog) append(text []byte) (err error) {
	info, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.MkdirAll(filepath.Dir(l.path), 0o755)
	case err == nil && info.Size() > l.limit:
		err = os.Rename(l.path, l.aside())
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644) //nolint:gosec // as the recordings beside it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if isCut(f) {
		text = append([]byte{'\n'}, text...)
	}
	_, err = f.Write(text)
	return err
}

// isCut says whether the file's last line has no end.
func isCut(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

// read hands over the lines of the last tail bytes of what was put aside, then those of the file.
// The first and the last may be cut off; those that are too long are passed over.
func (l *lineLog) read(tail int64, each func(line []byte)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range []string{l.aside(), l.path} {
		if err := readLines(path, tail, each); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %w", l.what, err)
		}
	}
	return nil
}

func readLines(path string, tail int64, each func(line []byte)) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Seek(max(0, info.Size()-tail), io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(io.LimitReader(f, tail), maxLine)
	for tooLong := false; ; {
		line, err := lines.ReadSlice('\n')
		if part := errors.Is(err, bufio.ErrBufferFull); part || tooLong {
			tooLong = part
		} else if len(line) > 0 {
			each(line)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
