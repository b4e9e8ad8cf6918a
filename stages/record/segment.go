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
	from   time.Duration // what other tracks have before it is not kept
	mono   int64         // of the first frame
	file   *os.File
	size   int64 // bytes of whole fragments
	asked  bool  // for a key frame to cut at
	hole   bool  // lead frames are missing; nothing until the next key frame
}

// write appends a fragment. What cannot be written whole is taken back, and ends the file.
func (r *Recorder) write(parts [][]byte) error {
	s := r.seg
	if len(parts) == 0 {
		s.packer.Release()
		return nil
	}
	if s.file == nil {
		wall := r.clock.Now()
		if s.mono > 0 {
			wall = r.clock.Wall(s.mono)
		}
		f, err := r.names.create(wall)
		if err != nil {
			r.abandon()
			return err
		}
		s.file = f
		parts = append([][]byte{s.packer.Movie().Head()}, parts...)
		r.count(func(c *Stats) { c.File, c.Segments = f.Name(), c.Segments+1 })
		r.log.Debug("recording", "file", f.Name())
	}
	held := s.packer.Frames()
	n, err := r.vector.Write(s.file, parts)
	if err != nil {
		err = explain(s.file.Name(), err)
		r.abandon()
		return err
	}
	s.size += n
	s.packer.Release()
	r.stats.mu.Lock()
	r.stats.now.Bytes += uint64(n)
	r.stats.now.Fragments++
	r.stats.now.Frames += uint64(held - s.packer.Frames())
	r.stats.now.Length = s.last - s.start
	r.stats.mu.Unlock()
	return nil
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
	r.log.Info("recorded", "file", s.file.Name(), "bytes", s.size, "length", s.last-s.start, "ended_by", why)
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
	case !is.Mode().IsRegular() || is.Size() == size:
		return nil
	case size == 0:
		return os.Remove(f.Name())
	}
	return f.Truncate(size)
}
