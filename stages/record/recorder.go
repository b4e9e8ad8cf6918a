package record

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/pack"
)

// Recorder is the stage that writes files. A file begins with a key frame, sound from its time
// on; it ends before a key frame when it is long or large enough, and wherever the time line is
// broken: a new run, another format, missing frames, a wall clock that was stepped. To and File
// make one.
//
// Files follow each other in a recording, which ends when its ring overflows, when the stream
// falls silent, or by StopRecording (R4).
type Recorder struct {
	cfg   Config
	names namer
	whole bool // one file: missing frames do not end it

	channel string
	clock   *hal.Clock
	log     *slog.Logger
	ask     func() // for a key frame
	losses  func(since int64) []pipeline.Loss
	disk    *disk
	mount   string // where the disk of the directory is mounted, since it was first opened
	control control

	stream *hal.Stream
	run    uint32
	newRun bool // since the last file
	line   line // of the run
	seg    *segment
	early  []hal.Frame // sound that waits for the opening key frame
	vector pack.Vector
	moof   [8]byte // what a fragment begins with, once it is written
	said   map[string]bool

	wokenAt time.Duration // DTS of the lead when the recorder was last woken
	seldom  bool          // much came with one waking

	until    Instant       // the end of what was recorded; zero: nothing was
	untilDTS time.Duration // of the lead's last frame in it
	untilRun uint32        // the run of that frame
	again    bool          // a recording that was stopped and started gets once more what came since the key frame
	step     time.Duration // of a picture, as the last file had them
	last     uint64        // the number of the last file
	blamed   []blame       // since then
	parts    []Segment     // of the recording under way, closed ones
	tail     *segment      // the last file, closed
	idle     *idling       // the recording that an idle end has closed, while it may go on

	recorded time.Duration // of files that are closed
	past     uint64        // tracks, as bits, that have reached Config.Duration
	ended    bool
	done     chan struct{}

	stats counters
}

// To records into files in a directory, which is made where it is missing.
func To(dir string, cfg Config) *Recorder {
	return newRecorder(cfg.withDefaults().segmented(), &directory{path: dir}, false)
}

// File records into one file. Missing frames leave a hole in its time line; only a format that
// changes or a source that starts again goes on in another file, NAME-2 and so on.
func File(path string, cfg Config) *Recorder {
	return newRecorder(cfg.withDefaults(), &single{path: path}, true)
}

func newRecorder(cfg Config, names namer, whole bool) *Recorder {
	r := &Recorder{cfg: cfg, names: names, whole: whole, said: map[string]bool{}, done: make(chan struct{})}
	r.control.wanted.Store(!cfg.OnCommand || whole)
	return r
}

// Name implements pipeline.Stage.
func (r *Recorder) Name() string { return r.cfg.Name }

// Done is closed when Config.Duration has been recorded and the file is closed.
func (r *Recorder) Done() <-chan struct{} { return r.done }

// numbered is a catalog that remembers numbers of files that are gone.
type numbered interface {
	LastNumber(channel string) uint64
}

// Open implements pipeline.Stage. It makes the directory and tries whether it can write there.
func (r *Recorder) Open(_ context.Context, env pipeline.Env) error {
	if err := r.cfg.Validate(); err != nil {
		return fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	r.channel, r.clock, r.log, r.ask, r.losses = env.Channel, env.Clock, env.Log, env.RequestKeyFrame, env.Losses
	if r.clock == nil {
		r.clock = hal.NewClock()
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.stream = nil
	var after uint64
	if c, ok := r.cfg.Catalog.(numbered); ok && !r.whole {
		after = c.LastNumber(r.channel)
	}
	if err := r.prepare(after); err != nil {
		r.blame(Disk, err.Error())
		return err
	}
	if !r.whole {
		r.cfg.Merger.adopt(r.names.dir())
	}
	r.control.open(env)
	return nil
}

// Work implements pipeline.Stage.
func (r *Recorder) Work(_ context.Context, f hal.Frame) error {
	if r.ended || !r.control.wanted.Load() && r.seg == nil {
		r.skip(f)
		return nil
	}
	if why := r.breaks(f); why != "" {
		r.forget()
		if err := r.finish(why, Instant{}); err != nil {
			f.Release()
			return err
		}
	}
	if r.stream == nil || f.Stamp.Run != r.run {
		r.line, r.newRun = line{}, r.newRun || f.Stamp.Run != r.run
	}
	r.stream, r.run = f.Stream, f.Stamp.Run
	if f.Stamp.Mono == 0 {
		f.Stamp.Mono = r.clock.Mono()
	}
	r.line.see(f.Stamp)
	if r.seg == nil {
		return r.await(f)
	}
	return r.store(f)
}

// breaks says why the file under way, or what waits for one, cannot go on with f.
func (r *Recorder) breaks(f hal.Frame) string {
	switch {
	case r.stream == nil:
		return ""
	case f.Stamp.Run != r.run:
		return "the source started again"
	case f.Stream != r.stream && !f.Stream.Equal(r.stream):
		return "the format changed"
	case r.seg == nil || !f.Gap || f.Track != r.seg.lead:
		return ""
	case r.whole:
		r.seg.hole = r.seg.inter
		return ""
	case r.seg.inter || f.Stamp.DTS-r.seg.last > longestHole:
		return "frames are missing"
	}
	return ""
}

// longestHole is how long a gap may be in a track whose frames stand alone (JPEG, sound)
// without ending the file.
const longestHole = time.Second

// EndBatch implements pipeline.EndBatch: a recorder that is woken seldom writes what came with
// one waking, so that a killed program loses little more than what was still in the queue.
func (r *Recorder) EndBatch(context.Context) error {
	if r.seg == nil {
		return nil
	}
	some := r.cfg.FragmentDuration / 4
	r.seldom = r.seg.last-r.wokenAt >= some
	r.wokenAt = r.seg.last
	if !r.seldom || !r.seg.packer.Ready(some) {
		return nil
	}
	return r.write(r.seg.packer.Cut())
}

// fragment is how much is written at a time. Where it comes in long batches a fragment waits
// for the end of its batch rather than to leave a rest for the next.
func (r *Recorder) fragment() time.Duration {
	if r.seldom {
		return r.cfg.FragmentDuration * 5 / 4
	}
	return r.cfg.FragmentDuration
}

// Mark implements pipeline.Marked.
func (r *Recorder) Mark(ctx context.Context, m pipeline.Mark) error {
	switch m {
	case pipeline.RunEnded:
		return r.Flush(ctx)
	case pipeline.RingFull:
		return r.endRecording(RingFull, "the ring was full at its maximum: the disk does not keep up")
	case pipeline.Idled:
		return r.endRecording(Idle, "the stream fell silent")
	case pipeline.Asked:
		if !r.control.wanted.Load() {
			return r.endRecording(Stopped, "by command")
		}
	}
	return nil
}

// Flush implements pipeline.Stage: the file is finished.
func (r *Recorder) Flush(context.Context) error {
	r.forget()
	r.stream = nil
	return r.finish("the run is over", Instant{})
}

// Close implements pipeline.Stage. What Flush did not write is given up; the file is whole as
// far as it is written.
func (r *Recorder) Close() error {
	r.control.shut()
	r.forget()
	r.abandon(errClosed)
	return nil
}

// forget releases the sound that waits.
func (r *Recorder) forget() {
	for i := range r.early {
		r.skip(r.early[i])
		r.early[i] = hal.Frame{}
	}
	r.early = r.early[:0]
}

// skip releases a frame that is not recorded and counts it.
func (r *Recorder) skip(f hal.Frame) {
	f.Release()
	r.stats.mu.Lock()
	r.stats.now.Skipped++
	r.stats.mu.Unlock()
}

// control is what other goroutines say to a recorder.
type control struct {
	wanted atomic.Bool // a recording
	env    atomic.Pointer[pipeline.Env]
}

func (c *control) open(env pipeline.Env) {
	c.env.Store(&env)
	if env.Want != nil {
		env.Want(c.wanted.Load())
	}
}

func (c *control) shut() { c.env.Store(nil) }
