package record

import (
	"errors"
	"os"
	"time"

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
	mono   int64         // of the first frame
	file   *os.File
	size   int64 // bytes of the head and of whole fragments
	head   int64 // of them, the head
	asked  bool  // for a key frame to cut at
	hole   bool  // lead frames are missing; nothing until the next key frame
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
	if s.file == nil {
		if err := r.create(); err != nil {
			r.abandon()
			return err
		}
	}
	held := s.packer.Frames()
	n, err := r.commit(parts)
	if err != nil {
		err = explain(s.file.Name(), err)
		r.abandon()
		return err
	}
	if s.size == s.head {
		r.count(func(c *Stats) { c.Bytes += uint64(s.head) })
	}
	s.size += n
	s.packer.Release()
	r.stats.mu.Lock()
	r.stats.now.Bytes += uint64(n)
	r.stats.now.Fragments++
	r.stats.now.Frames += uint64(held - s.packer.Frames())
	r.stats.now.Length = s.length()
	r.stats.mu.Unlock()
	return nil
}

// create makes the segment's file and writes its head.
func (r *Recorder) create() error {
	s := r.seg
	wall := r.clock.Now()
	if s.mono > 0 {
		wall = r.clock.Wall(s.mono)
	}
	var err error
	if s.file, err = r.names.create(wall); err != nil {
		return err
	}
	n, err := r.vector.Write(s.file, [][]byte{s.packer.Movie().Head()})
	if err != nil {
		return explain(s.file.Name(), err)
	}
	s.size, s.head = n, n
	r.count(func(c *Stats) { c.File, c.Segments = s.file.Name(), c.Segments+1 })
	r.log.Debug("recording", "file", s.file.Name())
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
	n, err := r.vector.Write(s.file, parts)
	if err != nil {
		return n, err
	}
	_, err = s.file.WriteAt(r.moof[:], s.size)
	return n, err
}

// finish writes what is held and closes the file.
func (r *Recorder) finish(why string) error {
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
	r.log.Info("recorded", "file", s.file.Name(), "bytes", s.size, "length", s.length(), "ended_by", why)
	if err := s.file.Close(); err != nil {
		return explain(s.file.Name(), err)
	}
	return nil
}

// abandon gives the segment up after a failure: what is on disk stays as far as it is whole.
func (r *Recorder) abandon() {
	s := r.seg
	r.seg = nil
	if s == nil {
		return
	}
	s.packer.Discard()
	if s.file == nil {
		return
	}
	if s.size == s.head {
		s.size = 0
	}
	if err := errors.Join(takeBack(s.file, s.size), s.file.Close()); err != nil {
		r.log.Warn("what was written of the last fragment could not be taken back; players skip it", "file", s.file.Name(), "err", err)
	}
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
