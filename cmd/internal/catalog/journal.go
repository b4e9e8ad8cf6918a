package catalog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-video/millrace/stages/record"
)

// journal is a channel's account in files, beside its recordings: lines that are only ever
// appended, in pieces, so that the oldest can go when all that it speaks of has gone.
type journal struct {
	dir     string
	anchors *anchors

	file  *os.File        // the piece that grows; nil: none is open
	at    position        // its end
	named map[uint32]bool // anchors that this piece names; true: as trusted
	found []uint32        // every piece there is, in order
	buf   []byte
}

const (
	pieceFront = "journal-"
	pieceEnd   = ".jsonl"
	pieceSize  = 1 << 20 // a piece is ended when it is that large
)

func pieceName(n uint32) string { return fmt.Sprintf("%s%08d%s", pieceFront, n, pieceEnd) }

// pieceNumber returns the number in a piece's name.
func pieceNumber(name string) (uint32, bool) {
	middle, ok := strings.CutPrefix(name, pieceFront)
	middle, good := strings.CutSuffix(middle, pieceEnd)
	if !ok || !good || len(middle) < 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(middle, 10, 32)
	return uint32(n), err == nil && n > 0
}

func (j *journal) path(piece uint32) string { return filepath.Join(j.dir, pieceName(piece)) }

// openJournal opens the journal in a folder, whose pieces are given. What of its last line is
// torn is cut off; the number of bytes that were is returned.
func openJournal(dir string, pieces []uint32, a *anchors) (*journal, int64, error) {
	slices.Sort(pieces)
	j := &journal{dir: dir, anchors: a, found: pieces, named: map[uint32]bool{}}
	if len(pieces) == 0 {
		return j, 0, nil
	}
	last := pieces[len(pieces)-1]
	f, err := os.OpenFile(j.path(last), os.O_RDWR, fileMode)
	if err != nil {
		return nil, 0, err
	}
	whole, size, err := wholeLines(f)
	if err == nil && whole < size {
		err = f.Truncate(whole)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	j.file, j.at = f, position{last, whole}
	return j, size - whole, nil
}

// wholeLines returns up to where a file holds whole lines, and its size.
func wholeLines(f *os.File) (whole, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = info.Size()
	tail := make([]byte, min(size, maxLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	if end := bytes.LastIndexByte(tail, '\n'); end >= 0 {
		return size - int64(len(tail)) + int64(end) + 1, size, nil
	}
	if size > int64(len(tail)) {
		return size, size, nil // a line without end: read skips it
	}
	return 0, size, nil
}

// append writes lines and makes them durable, or leaves the journal as it was. Anchors that
// this piece has not named are written before the line that refers to them. It returns all
// that it wrote, and where that begins.
func (j *journal) append(lines []line) (all []line, from position, err error) {
	if j.file == nil || j.at.Offset >= pieceSize {
		if err = j.begin(); err != nil {
			return nil, j.at, err
		}
	}
	all, from, j.buf = j.withAnchors(lines), j.at, j.buf[:0]
	for i := range all {
		if j.buf, err = appendLine(j.buf, all[i]); err != nil {
			return nil, from, err
		}
	}
	if _, err = j.file.WriteAt(j.buf, j.at.Offset); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return nil, from, j.fail(err)
	}
	j.at.Offset += int64(len(j.buf))
	for i := range all {
		if all[i].Kind == lineAnchor {
			j.named[all[i].Anchor.ID] = all[i].Anchor.Trusted
		}
	}
	return all, from, nil
}

// withAnchors puts before each line the anchors that it is the first to refer to.
func (j *journal) withAnchors(lines []line) []line {
	all := make([]line, 0, len(lines)+1)
	var named []uint32
	for i := range lines {
		lines[i].instants(func(t *record.Instant) {
			n := j.anchors.get(t.Anchor)
			trusted, known := j.named[n.ID]
			if n.ID != 0 && (!known || n.Trusted && !trusted) && !slices.Contains(named, n.ID) {
				named = append(named, n.ID)
				all = append(all, line{Kind: lineAnchor, Anchor: &n})
			}
		})
		all = append(all, lines[i])
	}
	return all
}

// fail takes back what was written of lines, as far as that can be done, and lets go of the
// file: the disk may be another one when it is tried again.
func (j *journal) fail(cause error) error {
	err := errors.Join(cause, j.file.Truncate(j.at.Offset))
	return errors.Join(err, j.close())
}

// reopen opens the last piece again after a failure, if it is still the one that it was.
func (j *journal) reopen() error {
	if j.file != nil || j.at.Piece == 0 {
		return nil
	}
	f, err := os.OpenFile(j.path(j.at.Piece), os.O_RDWR, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the next append begins another piece
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < j.at.Offset {
		err = fmt.Errorf("%s is shorter than it was", f.Name())
	}
	if err == nil {
		err = f.Truncate(j.at.Offset)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.file = f
	return nil
}

// begin ends the piece that grows and begins the next one.
func (j *journal) begin() error {
	if err := os.MkdirAll(j.dir, dirMode); err != nil {
		return err
	}
	next := j.at.Piece + 1
	f, err := os.OpenFile(j.path(next), os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	if err = syncDir(j.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	err = j.close()
	j.file, j.at, j.named = f, position{Piece: next}, map[uint32]bool{}
	j.found = append(j.found, next)
	return err
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	f := j.file
	j.file = nil
	return f.Close()
}

// read calls f with each line from a position on, and the position after it. Lines that are
// damaged are counted and left out.
func (j *journal) read(from position, f func(l *line, piece uint32) error) (damaged int, err error) {
	for _, piece := range j.found {
		if piece < from.Piece {
			continue
		}
		offset := int64(0)
		if piece == from.Piece {
			offset = from.Offset
		}
		n, err := readPiece(j.path(piece), offset, func(l *line) error { return f(l, piece) })
		damaged += n
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return damaged, err
		}
	}
	return damaged, nil
}

// readPiece reads the lines of one file.
func readPiece(path string, offset int64, f func(*line) error) (damaged int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		l, err := parseLine(lines.Bytes())
		if err != nil {
			damaged++
			continue
		}
		if err := f(&l); err != nil {
			return damaged, err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return damaged + 1, nil
	}
	return damaged, lines.Err()
}

// dropBefore removes the pieces before one that still says something true.
func (j *journal) dropBefore(piece uint32) (dropped int, err error) {
	for len(j.found) > 0 && j.found[0] < piece && j.found[0] != j.at.Piece {
		if err := os.Remove(j.path(j.found[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return dropped, err
		}
		j.found = j.found[1:]
		dropped++
	}
	return dropped, nil
}

// syncDir makes names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
