package pack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// Film is one progressive MP4 made of frames that lie in other files: its index first, then the
// payload as it lies there. Append or Export fills it; then it is written, once or more. Its
// memory is that of its tables, 4 bytes a frame and up to 20 where every frame differs from the
// one before in all respects.
type Film struct {
	reels  []reel
	lead   int
	pieces []piece
	size   int64 // of the payload
	note   []byte
	align  int64 // of the payload and its pieces; 0: none

	fragmented bool // it has no tables: its frames come in fragments
}

// piece is a part of a file that is copied as it is.
type piece struct {
	path         string
	file         *os.File // or nil: open path
	offset, size int64
	at           int64 // in the payload
}

// Source is a file that frames are taken from.
type Source struct {
	Path string
	At   time.Duration // of its time 0 on the film's time line
	File *os.File      // the file, open, which is read instead of Path and stays open; nil: Path is opened
}

// index reads where the frames of the source lie.
func (s *Source) index() (*Index, error) {
	if s.File == nil {
		return OpenIndex(s.Path)
	}
	return indexOf(s.File, s.Path)
}

// ErrTooLong says that a film has no room for more frames: begin another.
var ErrTooLong = errors.New("more frames than one index should hold")

// block is where parts begin, at a multiple of it. File systems share what two files have in
// common in units of 4096 bytes, so that nothing has to be copied at all; and where they do not,
// Linux copies into larger pieces of memory where both files lie alike, with an eighth less work.
const block = 64 << 10

// NewFilm returns an empty film with the tracks of x.
func NewFilm(x *Index) *Film {
	f := &Film{lead: x.Lead()}
	for _, t := range x.Tracks {
		t.Samples = nil
		f.reels = append(f.reels, reel{IndexTrack: t})
	}
	return f
}

// Note gives the film a note, as AppendNote does. It is called before the film is written.
func (f *Film) Note(json []byte) { f.note = json }

// Differs says why the frames of x cannot go on in this film; "" where they can. Players take a
// track's parameters from the start of a film, so that nothing of them may change.
func (f *Film) Differs(x *Index) string {
	if len(f.reels) != len(x.Tracks) {
		return fmt.Sprintf("%d tracks became %d", len(f.reels), len(x.Tracks))
	}
	for i := range f.reels {
		was, is := &f.reels[i], &x.Tracks[i]
		switch {
		case was.Video != is.Video || !bytes.Equal(was.Entry[4:8], is.Entry[4:8]):
			return fmt.Sprintf("track %d: %s became %s", i+1, was.Entry[4:8], is.Entry[4:8])
		case was.Scale != is.Scale:
			return fmt.Sprintf("track %d: the time scale %d became %d", i+1, was.Scale, is.Scale)
		case was.Width != is.Width || was.Height != is.Height:
			return fmt.Sprintf("track %d: %dx%d became %dx%d", i+1, was.Width, was.Height, is.Width, is.Height)
		case !bytes.Equal(was.Entry, is.Entry):
			return fmt.Sprintf("track %d: other parameters of %s", i+1, is.Entry[4:8])
		}
	}
	return ""
}

// Append adds all frames of a file whose index is x, of which Differs has nothing to say. What lies between two
// files is bridged: the last frame before lasts until the next. The file is taken as one piece,
// so that its old headers are in the film too, where no player looks.
func (f *Film) Append(s Source, x *Index) error {
	if f.frames()+x.frames() > maxSamples {
		return fmt.Errorf("%w: %d", ErrTooLong, f.frames()+x.frames())
	}
	f.align = block
	f.size = (f.size + block - 1) / block * block
	f.pieces = append(f.pieces, piece{path: s.Path, file: s.File, size: x.Whole, at: f.size})
	for i := range x.Tracks {
		r := &f.reels[i]
		at := units(s.At, r.Scale)
		for k := range x.Tracks[i].Samples {
			a := &x.Tracks[i].Samples[k]
			r.add(a, at+a.DTS, f.size+a.Offset)
		}
	}
	f.size += x.Whole
	return nil
}

func (f *Film) frames() int {
	n := 0
	for i := range f.reels {
		n += int(f.reels[i].count)
	}
	return n
}

func (x *Index) frames() int {
	n := 0
	for i := range x.Tracks {
		n += len(x.Tracks[i].Samples)
	}
	return n
}

// Length returns how long the film is: its lead track, from the film's start on.
func (f *Film) Length() time.Duration {
	r := &f.reels[f.lead]
	e, _ := r.edits()
	return since(e.wait+e.length, r.Scale)
}
