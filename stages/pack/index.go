package pack

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// What to do with a file whose index cannot be read.
var (
	ErrCut     = errors.New("the file ends before its first frame")    // it holds nothing
	ErrDamaged = errors.New("damaged, or not written by this program") // leave it alone
)

// Index says where the frames of a file lie that Packer or Film wrote. Of a fragmented file it
// holds what is in whole fragments.
type Index struct {
	Head        []byte // ftyp and moov of a fragmented file, as they are; else nil
	Note        []byte // what AppendNote took, or nil
	Tracks      []IndexTrack
	Fragments   []Fragment // none: the file is progressive
	Progressive bool
	Whole       int64 // where the last whole fragment ends; what is behind is not to be played
	Broken      error // what is wrong with a fragment that is left out; nil: at most the last was not written to its end
}

// IndexTrack is one track of a file.
type IndexTrack struct {
	ID            uint32
	Scale         uint32 // units of its times in a second
	Video         bool   // else sound
	Width, Height int    // pixels, of video
	Entry         []byte // its sample description: a whole box, as in stsd
	Samples       []Sample
}

// Sample is one frame of a track: 32 bytes.
type Sample struct {
	Offset   int64 // from the start of the file
	DTS      int64 // in the track's units, from the file's time 0
	Size     uint32
	Duration uint32
	Shift    int32 // of PTS from DTS
	Sync     bool
}

// Fragment is one fragment of a file, header and payload.
type Fragment struct {
	Offset, Size int64
	DTS          time.Duration // of its first frame of the lead track; of the frame before where it has none
	First        int           // which of the lead track's Samples that frame is, or would be
}

// Limits of what is read: what a file of ours never reaches.
const (
	maxHead    = 128 << 20 // a progressive file has its tables there
	maxMoof    = 1 << 20
	maxTracks  = 64
	maxSamples = 4 << 20 // of all tracks
	maxEntry   = 1 << 20
)

// Lead returns the track that decides where files may begin: the first with pictures, else the
// first.
func (x *Index) Lead() int {
	for i := range x.Tracks {
		if x.Tracks[i].Video {
			return i
		}
	}
	return 0
}

// Length returns how long the lead track is: from time 0 to the end of its last sample.
func (x *Index) Length() time.Duration {
	t := &x.Tracks[x.Lead()]
	return t.Time(t.end())
}

// Time converts a time of the track.
func (t *IndexTrack) Time(units int64) time.Duration { return since(units, t.Scale) }

// end is where the last sample ends.
func (t *IndexTrack) end() int64 {
	if len(t.Samples) == 0 {
		return 0
	}
	s := &t.Samples[len(t.Samples)-1]
	return s.DTS + int64(s.Duration)
}

// scan reads a file's index.
type scan struct {
	r     io.ReaderAt
	size  int64
	index Index
	lead  int
	moovs int
	total int // samples
	buf   []byte
}

// ReadIndex reads where the frames lie in a file of size bytes. Payload is not read. A file
// that ends within its head, or in which no fragment is whole, is ErrCut; what is wrong in
// another way is ErrDamaged. A fragment that does not make sense is left out.
func ReadIndex(r io.ReaderAt, size int64) (*Index, error) {
	s := &scan{r: r, size: size}
	at, err := s.head()
	if err != nil {
		return nil, err
	}
	if !s.index.Progressive {
		if err := s.fragments(at); err != nil {
			return nil, err
		}
	}
	if s.total == 0 && s.index.Broken != nil {
		return nil, s.index.Broken
	}
	if s.total == 0 {
		return nil, fmt.Errorf("%w: no fragment is whole", ErrCut)
	}
	return &s.index, nil
}

// OpenIndex is ReadIndex for a file by its name.
func OpenIndex(path string) (x *Index, err error) {
	f, err := os.Open(path) //nolint:gosec // the caller's own file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return indexOf(f, path)
}

func indexOf(f *os.File, path string) (*Index, error) {
	is, err := f.Stat()
	if err != nil {
		return nil, err
	}
	x, err := ReadIndex(f, is.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
}

// ReadHead is ReadIndex, but of a fragmented file it reads the head alone: there are tracks and
// the note, no samples and no fragments.
func ReadHead(r io.ReaderAt, size int64) (*Index, error) {
	s := &scan{r: r, size: size}
	if _, err := s.head(); err != nil {
		return nil, err
	}
	return &s.index, nil
}

// top is a box at the file's top.
type top struct {
	kind     string
	at, body int64
	end      int64
	open     bool // it says that it goes on to the end of the file
}

// top reads the box at at; io.EOF where not even its head is there.
func (s *scan) top(at int64) (top, error) {
	if s.size-at < boxHead {
		return top{}, io.EOF
	}
	p, err := s.bytes(at, min(2*boxHead, s.size-at))
	if err != nil {
		return top{}, err
	}
	b := top{kind: string(p[4:8]), at: at, body: at + boxHead}
	size := int64(be32(p))
	switch size {
	case 0:
		b.end, b.open = s.size, true
		return b, nil
	case 1:
		if len(p) < 2*boxHead {
			return top{}, io.EOF
		}
		b.body += boxHead
		size = int64(min(be64(p[boxHead:]), math.MaxInt64))
	}
	if size < b.body-at || size > math.MaxInt64-at {
		return b, damaged(at, "box %q of %d bytes", b.kind, size)
	}
	b.end = at + size
	return b, nil
}

// bytes reads a piece of the file, valid until the next.
func (s *scan) bytes(at, n int64) ([]byte, error) {
	if int64(cap(s.buf)) < n {
		s.buf = make([]byte, max(n, 4<<10))
	}
	p := s.buf[:n]
	if got, err := s.r.ReadAt(p, at); got < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read at byte %d: %w", at, err)
	}
	return p, nil
}

// head reads ftyp, moov and what else stands before the first fragment, and returns where that
// begins.
func (s *scan) head() (int64, error) {
	if err := s.first(); err != nil {
		return 0, err
	}
	for at := int64(0); ; {
		b, err := s.closed(at)
		if s.moovs > 0 && !s.index.Progressive && (b.kind == "moof" || b.kind == "free" && b.open) {
			return at, nil
		}
		if errors.Is(err, io.EOF) {
			return at, s.headEnds(b, at)
		}
		if err == nil {
			err = s.part(b)
		}
		if err != nil {
			return 0, err
		}
		at = b.end
	}
}

// headEnds says what it means that the file ends at at, or within the box b there.
func (s *scan) headEnds(b top, at int64) error {
	whole := s.moovs > 0 && s.index.Progressive
	switch {
	case whole && b.kind == "":
		return s.holds(at)
	case whole || b.kind == "mdat":
		return damaged(at, "box %q passes the end of the file", b.kind)
	}
	return fmt.Errorf("%w: it has %d bytes", ErrCut, s.size)
}

// first makes sure that the file begins as one of ours.
func (s *scan) first() error {
	b, err := s.top(0)
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it has %d bytes", ErrCut, s.size)
	case err != nil:
		return err
	case b.kind == "\x00\x00\x00\x00":
		return s.zeros()
	case b.kind != "ftyp":
		return damaged(0, "begins with a box %q", b.kind)
	}
	return nil
}

// part takes one box of the head.
func (s *scan) part(b top) error {
	switch b.kind {
	case "moov":
		if s.moovs++; s.moovs > 1 || b.end > maxHead {
			return damaged(b.at, "a second moov, or one of %d bytes", b.end-b.at)
		}
		p := make([]byte, b.end)
		if _, err := s.r.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the head: %w", err)
		}
		if err := s.moov(p[b.body:]); err != nil {
			return err
		}
		if !s.index.Progressive {
			s.index.Head = p
		}
	case "uuid":
		if b.end-b.body > maxNote || b.end-b.body < int64(len(Note)) || s.moovs == 0 {
			return nil
		}
		p, err := s.bytes(b.body, b.end-b.body)
		if err != nil {
			return err
		}
		if string(p[:len(Note)]) == Note {
			s.index.Note = append([]byte{}, p[len(Note):]...)
		}
	}
	return nil
}

// holds makes sure that a progressive file has what its tables name.
func (s *scan) holds(end int64) error {
	for i := range s.index.Tracks {
		for _, a := range s.index.Tracks[i].Samples {
			if a.Offset > end-int64(a.Size) {
				return damaged(a.Offset, "a frame passes the end of the file")
			}
		}
	}
	s.index.Whole = end
	return nil
}

// zeros tells a file whose bytes never got to the disk (a power cut) from one of somebody else.
func (s *scan) zeros() error {
	const most = 1 << 20
	p, err := s.bytes(0, min(s.size, most))
	if err != nil {
		return err
	}
	for i, b := range p {
		if b != 0 {
			return damaged(int64(i), "no MP4")
		}
	}
	return fmt.Errorf("%w: its bytes were never written", ErrCut)
}

func damaged(at int64, format string, args ...any) error {
	return fmt.Errorf("%w: byte %d: %s", ErrDamaged, at, fmt.Sprintf(format, args...))
}
