package v4l2

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
)

// encoder is a stateful memory-to-memory encoder at work, driven as the kernel's documentation
// of stateful encoders (dev-encoder.rst) says. In the kernel's words its OUTPUT queue takes raw
// pictures and its CAPTURE queue yields coded frames.
//
// The writer queues pictures, and waits for a credit where the encoder has enough of them. The
// reader polls, takes frames and used pictures back, and gives credits.
type encoder struct {
	name  string
	cfg   hal.EncoderConfig
	node  node
	wake  *wake // ends the reader's poll
	raw   *queue
	coded *queue

	picture picture // as the driver takes it
	direct  bool    // as it comes: another device's memory would do
	forces  bool    // the driver can be asked for a key frame
	keep    int     // pictures of other devices that are held at once

	key     atomic.Bool
	counted encoderCounters
	closed  chan struct{}
	closing sync.Once
	started chan struct{} // closed by the first Write
	ended   chan struct{} // closed by CloseInput
	broken  chan struct{} // closed by the reader when it fails; why is set before
	why     error
	credits chan struct{} // one for each picture that may be queued
	paused  chan struct{} // from the reader: nothing is in the driver, and it waits
	resumed chan struct{} // to the reader: the driver began anew

	writing   sync.Mutex // held by Write, CloseInput and Close for what follows
	input     *hal.Stream
	streaming bool
	closedIn  bool
	shut      bool
	given     int             // credits there are in all
	fresh     bool            // nothing was queued since the raw queue was switched on
	accepted  bool            // the driver has taken another device's memory
	keyless   bool            // it cannot be made to make a key frame; that was said
	resting   bool            // a pause was begun
	targets   []pixel.Picture // the mapped pictures
	convert   pixel.Converter

	reading  sync.Mutex // held by Read, and Close, for what follows
	done     <-chan struct{}
	unfollow func() bool
	stream   *hal.Stream
	hole     bool // a frame was lost; the next says so
	strange  bool // the driver copies no time stamps; that was said

	mu     sync.Mutex // held by both sides, never across a call that waits
	held   []hal.Frame
	busy   []bool
	flying int // pictures that the driver has
	inside stamps

	last      bool // nothing more is pushed
	pausing   bool // the driver is drained for the writer to begin anew
	drained   bool // it has yielded all
	eos       bool // it says so
	undrained bool // it cannot be told that its input has ended
}

// encoderCounters are read from anywhere.
type encoderCounters struct {
	pictures, frames, lost       atomic.Uint64
	shared, copied, bytes, spent atomic.Uint64
}

// EncoderStats is what a hardware encoder has done since it was opened.
type EncoderStats struct {
	Pictures    uint64 // taken
	Frames      uint64 // yielded
	Lost        uint64 // pictures that no frame came of
	Shared      uint64 // pictures that the encoder read where the camera had written them
	Copied      uint64 // pictures that were copied, once each, for the encoder
	CopiedBytes uint64
	CopyTime    time.Duration // of all copies
}

// EncoderStats returns the figures. It may be called from any goroutine.
func (e *encoder) EncoderStats() EncoderStats {
	c := &e.counted
	return EncoderStats{
		Pictures: c.pictures.Load(), Frames: c.frames.Load(), Lost: c.lost.Load(),
		Shared: c.shared.Load(), Copied: c.copied.Load(), CopiedBytes: c.bytes.Load(),
		CopyTime: time.Duration(c.spent.Load()),
	}
}

// newEncoder sets a node up. The node is the encoder's from here on, on an error too.
func newEncoder(n node, m *m2m, coded codedFormat, cfg hal.EncoderConfig) (*encoder, error) {
	e := &encoder{
		name: m.name, cfg: cfg, node: n, raw: newQueue(n, m.rawType()), coded: newQueue(n, m.codedType()),
		closed: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{}),
		broken: make(chan struct{}), credits: make(chan struct{}, maxBuffers), fresh: true,
		paused: make(chan struct{}), resumed: make(chan struct{}, 1),
	}
	var err error
	if e.wake, err = newWake(); err != nil {
		_ = n.close() //nolint:errcheck // the first error counts
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	if err := e.setUp(m, coded); err != nil {
		_ = e.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return e, nil
}

// setUp sets formats and controls and takes the buffers, in the order that the kernel's
// documentation gives. Nothing streams yet.
func (e *encoder) setUp(m *m2m, coded codedFormat) error {
	e.stream = e.newStream(hal.Track{})
	if err := e.setCoded(coded); err != nil {
		return err
	}
	if err := e.setRaw(m); err != nil {
		return err
	}
	if err := e.applyWishes(); err != nil {
		return encoderError("its controls", err)
	}
	eos := eventSubscription{Type: eventEOS}
	_ = e.node.ioctl(vidiocSubscribeEvent, unsafe.Pointer(&eos)) //nolint:errcheck // the flag of the last buffer says it too
	least := e.least(controlMinOutput)
	e.keep = max(least, min(max(least+1, 3), e.cfg.Parallel+4))
	if err := e.coded.request(e.least(controlMinCapture) + 3); err != nil {
		return encoderError("buffers for frames", err)
	}
	return e.target(memoryMapped, least+2)
}

// newStream makes the stream of what comes out. sets carries the parameter sets.
func (e *encoder) newStream(sets hal.Track) *hal.Stream {
	in := &e.cfg.Input
	return &hal.Stream{Tracks: []hal.Track{{
		Codec: e.cfg.Codec, TimeScale: in.TimeScale, Width: in.Width, Height: in.Height,
		FrameRate: in.FrameRate, Colour: in.Colour, VPS: sets.VPS, SPS: sets.SPS, PPS: sets.PPS,
	}}}
}

// RequestKeyFrame implements hal.Encoder.
func (e *encoder) RequestKeyFrame() { e.key.Store(true) }

// CloseInput implements hal.Encoder.
func (e *encoder) CloseInput() {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.endInput()
}

// endInput tells the driver to drain. The caller holds writing.
func (e *encoder) endInput() {
	if e.closedIn || e.shut {
		return
	}
	e.closedIn = true
	e.mu.Lock()
	e.last = true
	e.mu.Unlock()
	if e.streaming && !e.resting {
		if err := e.drain(); err != nil {
			e.cfg.Log.Info("hardware encoder: it cannot be told to drain; its end is when every picture has come out",
				"encoder", e.name, "cause", err.Error())
			e.mu.Lock()
			e.undrained = true
			e.mu.Unlock()
		}
	}
	close(e.ended)
	e.wake.set()
}

// Close implements hal.Encoder.
func (e *encoder) Close() error {
	e.closing.Do(func() { close(e.closed) })
	e.wake.set()
	e.writing.Lock()
	defer e.writing.Unlock()
	e.reading.Lock()
	defer e.reading.Unlock()
	if e.shut {
		return nil
	}
	e.shut = true
	e.follow(nil)
	if e.streaming {
		_ = e.raw.stream(false)   //nolint:errcheck // a device that is gone has stopped
		_ = e.coded.stream(false) //nolint:errcheck // as above
	}
	e.letGo()
	e.raw.unmapAll()
	e.raw.release()
	e.coded.unmapAll()
	e.coded.release()
	e.wake.close()
	st := e.EncoderStats()
	e.cfg.Log.Debug("hardware encoder closed", "encoder", e.name, "pictures", st.Pictures, "frames", st.Frames,
		"lost", st.Lost, "shared", st.Shared, "copied", st.Copied, "copying", st.CopyTime)
	if err := e.node.close(); err != nil {
		return fmt.Errorf("close %s: %w", e.name, err)
	}
	return nil
}

// letGo releases the pictures that the driver had.
func (e *encoder) letGo() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.held {
		e.held[i].Release()
		e.held[i], e.busy[i] = hal.Frame{}, false
	}
	e.flying = 0
}

// drain tells the driver to yield all that it has.
func (e *encoder) drain() error {
	stop := encoderCommand{Cmd: encoderStop}
	return e.node.ioctl(vidiocEncoderCommand, unsafe.Pointer(&stop))
}

// follow makes the reader forget the end of another context. The watch outlives a Read, so that
// the next one under the same context needs no new one.
func (e *encoder) follow(done <-chan struct{}) {
	if e.done == done {
		return
	}
	if e.unfollow != nil {
		e.unfollow()
	}
	e.done, e.unfollow = done, nil
}

var _ hal.Encoder = (*encoder)(nil)

// over says why nothing can be read any more.
func (e *encoder) over(ctx context.Context) error {
	select {
	case <-e.closed:
		return errEncoderClosed("read from", e.name)
	case <-e.broken:
		return e.why
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
