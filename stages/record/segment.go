package record

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack"
)

// segment is the file under way. It is made with the first fragment, so that there is never a
// file without a picture.
type segment struct {
	packer *pack.Packer
	lead   int           // the track before whose key frames files are cut
	inter  bool          // its frames need each other
	start  time.Duration // DTS of the lead's first frame
	last   time.Duration // DTS of the lead's latest
	step   time.Duration // from the one before to it: its own length, as far as anybody knows
	from   time.Duration // what other tracks have before it is not kept
	asked  bool          // for a key frame to cut at
	hole   bool          // lead frames are missing; nothing until the next key frame

	info Segment // what the catalog is told; its length and bytes are those of whole fragments
	gaps []Gap   // before it, for the catalog once there is a file
	file *handle
	head int64 // bytes of it
}

func (r *Recorder) newSegment(p *pack.Packer, f hal.Frame) *segment {
	lead := p.Movie().Lead()
	return &segment{
		packer: p, lead: lead, inter: f.Stream.Tracks[lead].Codec.IsInter(),
		start: f.Stamp.DTS, last: f.Stamp.DTS, from: math.MinInt64, info: Segment{Start: r.instant(r.line.mono(f.Stamp.DTS))},
	}
}

// length is how much the segment holds, its last frame too.
func (s *segment) length() time.Duration { return s.last + s.step - s.start }

// write appends a fragment. What cannot be written whole is taken back, and ends the file.
func (r *Recorder) write(parts [][]byte) error {
	s := r.seg
	if len(parts) == 0 {
		s.packer.Release()
		return nil
	}
	held := s.packer.Frames()
	n, err := r.put(parts)
	if err != nil {
		r.abandon(err)
		return err
	}
	s.info.Bytes += n
	s.info.Length = s.packer.Length()
	s.packer.Release()
	r.stats.mu.Lock()
	r.stats.now.Bytes += uint64(n)
	r.stats.now.Fragments++
	r.stats.now.Frames += uint64(held - s.packer.Frames())
	r.stats.now.Length = max(s.length(), s.info.Length)
	r.stats.mu.Unlock()
	if s.info.Number > 0 && s.info.Bytes == s.head+n {
		err = r.settle()
	}
	if err == nil {
		err = s.file.wrote(r.clock.Mono())
	}
	if err != nil {
		err = explain(s.file.Name(), err)
		r.abandon(err)
	}
	return err
}

// put writes a fragment into the segment's file, which is made where it is missing. Where the
// disk is full, room is made and the write tried again. Each time more is asked for: others want
// room too, and a file system may count as free what it does not give away yet.
func (r *Recorder) put(parts [][]byte) (n int64, err error) {
	const tries = 10
	var want int64
	for _, p := range parts {
		want += int64(len(p))
	}
	for range tries {
		err = r.disk.using(func() (failed error) {
			if r.seg.file == nil {
				failed = r.create()
			}
			if failed == nil {
				n, failed = r.commit(parts)
				failed = explain(r.seg.file.Name(), failed)
			}
			return failed
		})
		if r.cfg.Space == nil || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			return n, err
		}
		if r.seg.file != nil { // what was written of the fragment goes first
			_, back := r.seg.file.Seek(r.seg.info.Bytes, io.SeekStart)
			err = errors.Join(err, r.seg.file.Truncate(r.seg.info.Bytes), back)
		}
		if full := r.cfg.Space.Reclaim(r.names.dir(), want); full != nil {
			return n, errors.Join(err, full)
		}
		_ = syncDir(r.names.dir()) //nolint:errcheck // what was removed is given away once that is durable; the write itself will tell
		want *= 2
	}
	return n, err
}

// create makes the segment's file and writes its head.
func (r *Recorder) create() error {
	s := r.seg
	f, number, err := r.names.create(s.info.Start.Time())
	if err != nil {
		return err
	}
	s.info.Number, s.info.Recording = number, r.recordingOf(number)
	s.info.File = filepath.Base(f.Name())
	s.info.Tracks = s.packer.Movie().Describe()
	n, err := r.vector.Write(f, [][]byte{s.opening()})
	if err != nil {
		return errors.Join(explain(f.Name(), err), takeBack(f, 0), f.Close())
	}
	s.file = &handle{File: f, every: r.cfg.patience(), disk: r.disk, all: r.cfg.Disks}
	s.info.Bytes, s.head = n, n
	r.count(func(c *Stats) {
		c.File, c.Segments, c.Bytes = f.Name(), c.Segments+1, c.Bytes+uint64(n)
		c.Writing, c.EndedBy = true, ""
	})
	r.log.Debug("recording", "file", f.Name())
	return nil
}

// opening is what the file begins with: what players need, and in a folder a note of what it is.
func (s *segment) opening() []byte {
	head := s.packer.Movie().Head()
	if s.info.Number == 0 {
		return head
	}
	note, err := json.Marshal(s.info)
	if err != nil {
		return head // cannot be: it is numbers and text
	}
	return pack.AppendNote(slices.Clip(head), note)
}

// settle makes a new file durable with its name, and tells the catalog.
func (r *Recorder) settle() error {
	s := r.seg
	if err := s.file.sync(); err != nil {
		return err
	}
	if err := r.disk.using(func() error { return syncDir(r.names.dir()) }); err != nil {
		return err
	}
	for _, g := range s.gaps {
		r.enter(Entry{Kind: Missing, Gap: &g})
	}
	s.gaps = nil
	r.enterSegment(Opened)
	return nil
}

// commit appends a fragment so that a program killed in the middle of it leaves a file that
// plays: ffmpeg refuses a whole file for half a moof at its end. While it is written its first
// box is called free, of a length up to the end of the file, which every player skips.
func (r *Recorder) commit(parts [][]byte) (int64, error) {
	s := r.seg
	begin := parts[0][:len(r.moof)]
	copy(r.moof[:], begin)
	copy(begin, "\x00\x00\x00\x00free")
	n, err := r.vector.Write(s.file.File, parts)
	copy(begin, r.moof[:]) // for another try
	if err != nil {
		return n, err
	}
	_, err = s.file.WriteAt(r.moof[:], s.info.Bytes)
	return n, err
}

// finish writes what is held and closes the file. It is over at the instant end, where that is
// known better than by its frames.
func (r *Recorder) finish(why string, end Instant) error {
	if r.seg == nil {
		return nil
	}
	if err := r.write(r.seg.packer.Finish()); err != nil {
		return err
	}
	s := r.seg
	r.seg = nil
	if s.file == nil {
		return nil
	}
	r.recorded += s.length()
	r.step = s.step
	if err := s.file.close(); err != nil {
		err = explain(s.file.Name(), err)
		r.disown(s, err)
		return err
	}
	if end != (Instant{}) {
		s.info.Length = time.Duration(end.Mono - s.info.Start.Mono)
	}
	r.closed(s, why)
	r.tail = s
	r.log.Info("recorded", "file", s.file.Name(), "bytes", s.info.Bytes, "length", s.info.Length, "ended_by", why)
	return nil
}

// abandon gives the segment up after a failure: what is on disk stays as far as it is whole.
func (r *Recorder) abandon(cause error) {
	s := r.seg
	r.seg = nil
	if s == nil {
		return
	}
	s.packer.Discard()
	if s.file == nil {
		return
	}
	if s.info.Bytes == s.head {
		s.info.Bytes = 0
	}
	if err := errors.Join(takeBack(s.file.File, s.info.Bytes), s.file.close()); err != nil {
		r.log.Warn("what was written of the last fragment could not be taken back; players skip it", "file", s.file.Name(), "err", err)
	}
	r.disown(s, cause)
}

// takeBack cuts a file to what is whole of it, and removes it where nothing is. A device or a
// pipe stays as it is.
func takeBack(f *os.File, size int64) error {
	is, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !is.Mode().IsRegular():
		return nil
	case size == 0:
		return os.Remove(f.Name())
	case is.Size() == size:
		return nil
	}
	return f.Truncate(size)
}
