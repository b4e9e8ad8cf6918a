package record

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/pack"
)

var errClosed = errors.New("the channel left before what was held could be written")

// errGone is a disk that is no longer where it was mounted.
var errGone = errors.New("the disk that was here is gone")

// prepare makes sure that files can be made, on the disk that is mounted where one was before.
func (r *Recorder) prepare(after uint64) error {
	mount, _, err := mountOf(r.names.dir())
	if err == nil && r.mount != "" && mount != r.mount {
		return explain(r.mount, errGone)
	}
	if err = r.names.prepare(after); err != nil {
		return err
	}
	mount, device, err := mountOf(r.names.dir())
	if err != nil {
		return explain(r.names.dir(), err)
	}
	r.mount, r.disk = mount, r.cfg.Disks.on(device)
	return nil
}

// mountOf returns where the disk is mounted on which a directory lies or would lie, and its
// device number.
func mountOf(dir string) (mount string, device uint64, err error) {
	dir, err = filepath.Abs(dir)
	for ; err == nil; dir = filepath.Dir(dir) {
		var st unix.Stat_t
		err = unix.Stat(dir, &st)
		if errors.Is(err, unix.ENOENT) && mount == "" {
			err = nil
			continue
		}
		if err != nil || mount != "" && st.Dev != device {
			break
		}
		if mount, device = dir, st.Dev; filepath.Dir(dir) == dir {
			break
		}
	}
	return mount, device, err
}

// StartRecording begins a recording, on a running channel with what came since the last key
// frame, or wakes one that is idle. A second call is harmless. It may be called from any
// goroutine.
func (r *Recorder) StartRecording() {
	r.control.wanted.Store(true)
	if env := r.control.env.Load(); env != nil {
		do(env.Resume)
		if env.Want != nil {
			env.Want(true)
		}
		do(env.RequestKeyFrame)
	}
}

// StopRecording ends the recording behind what has come so far; its files are finished and then
// merged. The channel goes on. A second call is harmless. It may be called from any goroutine.
func (r *Recorder) StopRecording() {
	if !r.control.wanted.Swap(false) {
		return
	}
	if env := r.control.env.Load(); env != nil {
		if env.Want != nil {
			env.Want(false)
		}
		do(env.Mark)
	}
}

func do(f func()) {
	if f != nil {
		f()
	}
}

// recordingOf returns the number of the recording that file number belongs to.
func (r *Recorder) recordingOf(number uint64) uint64 {
	if len(r.parts) > 0 {
		return r.parts[0].Recording
	}
	return number
}

// endRecording finishes the file under way and hands the recording's files over to be merged.
func (r *Recorder) endRecording(cause Cause, detail string) error {
	r.forget()
	if err := r.finish(detail, Instant{}); err != nil {
		return err
	}
	r.blame(cause, detail)
	r.count(func(c *Stats) { c.Ended++; c.EndedBy = string(cause) })
	if r.whole {
		return nil
	}
	level := r.log.Info
	if cause == RingFull {
		level = r.log.Error
	}
	level("recording ended", "cause", string(cause), "detail", detail, "files", len(r.parts))
	parts := r.parts
	r.parts, r.idle, r.again = nil, nil, cause == Stopped
	if len(parts) == 0 {
		return nil
	}
	due := r.clock.Mono()
	if cause == Idle && r.cfg.Resume > 0 {
		due += int64(r.cfg.Resume)
		if r.tail != nil && r.tail.info.Number == parts[len(parts)-1].Number {
			r.idle = &idling{seg: r.tail, parts: parts, until: due}
		}
	}
	r.cfg.Merger.add(job{Channel: r.channel, dir: r.names.dir(), Parts: parts, Policy: r.cfg.Merge, due: due})
	return nil
}

// idling is a recording that ended because nothing came, while it may still go on.
type idling struct {
	seg   *segment // its last file, closed
	parts []Segment
	until int64 // clock
}

// resume goes on in the file that an idle end has closed, or returns false where it cannot.
func (r *Recorder) resume(f hal.Frame) (bool, error) {
	was := r.idle
	r.idle = nil
	if was == nil || r.clock.Mono() > was.until || r.clock.Anchor().Number != was.seg.info.Start.Anchor {
		return false, nil
	}
	s := was.seg
	if m, err := pack.Plan(f.Stream, f); err != nil || !bytes.Equal(m.Head(), s.packer.Movie().Head()) {
		return false, nil //nolint:nilerr // a file of its own shows what is wrong with it
	}
	at := time.Duration(r.line.mono(f.Stamp.DTS) - s.info.Start.Mono)
	if at < s.info.Length || r.cfg.full(at, s.info.Bytes) || !r.cfg.Merger.cancel(r.names.dir(), was.parts[0].Recording) {
		return false, nil
	}
	file, err := os.OpenFile(s.file.Name(), os.O_WRONLY, fileMode)
	if err != nil {
		return false, nil //nolint:nilerr // somebody removed it: a new one will do
	}
	if end, err := file.Seek(0, io.SeekEnd); err != nil || end != s.info.Bytes {
		return false, file.Close()
	}
	s.file = &handle{File: file, every: r.cfg.patience(), disk: r.disk, all: r.cfg.Disks}
	s.packer.Resume(f.Stamp.DTS, at)
	s.start, s.last, s.from, s.step = f.Stamp.DTS-at, f.Stamp.DTS, f.Stamp.DTS, 0
	r.parts = was.parts[:len(was.parts)-1]
	r.seg = s
	for _, g := range r.missing(s.info.Start.Add(at)) {
		r.enter(Entry{Kind: Missing, Gap: &g})
	}
	r.enterSegment(Opened)
	r.log.Info("recording goes on", "file", file.Name(), "silent_for", at-s.info.Length)
	return true, r.add(f)
}

var _ pipeline.Marked = (*Recorder)(nil)
