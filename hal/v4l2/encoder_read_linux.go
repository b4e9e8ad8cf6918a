package v4l2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Read implements hal.Encoder.
func (e *encoder) Read(ctx context.Context) (hal.Frame, error) {
	e.reading.Lock()
	defer e.reading.Unlock()
	if err := e.over(ctx); err != nil {
		return hal.Frame{}, err
	}
	if err := e.begun(ctx); err != nil {
		return hal.Frame{}, err
	}
	e.follow(ctx.Done())
	if e.done != nil && e.unfollow == nil {
		e.unfollow = context.AfterFunc(ctx, e.wake.set)
	}
	for {
		if err := e.over(ctx); err != nil {
			return hal.Frame{}, err
		}
		if err := e.rest(ctx); err != nil {
			return hal.Frame{}, err
		}
		f, ok, err := e.step()
		switch {
		case errors.Is(err, pool.ErrArenaFull): // this frame is lost, the next may be not
			return hal.Frame{}, err
		case err != nil:
			e.why = fmt.Errorf("%s: %w", e.name, err)
			close(e.broken)
			return hal.Frame{}, e.why
		case ok:
			e.counted.frames.Add(1)
			return f, nil
		}
	}
}

// begun waits for the first picture: before it the driver does not stream.
func (e *encoder) begun(ctx context.Context) error {
	select {
	case <-e.started:
		return nil
	default:
	}
	select {
	case <-e.started:
		return nil
	case <-e.ended:
		select {
		case <-e.started:
			return nil
		default:
			return io.EOF
		}
	case <-e.closed:
		return errEncoderClosed("read from", e.name)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rest returns io.EOF where nothing more will come. Where the driver was drained for the writer
// to begin anew, it waits until that has happened: there is nothing to poll meanwhile.
func (e *encoder) rest(ctx context.Context) error {
	for {
		e.mu.Lock()
		drained := e.drained || e.inside.count == 0 && (e.eos || e.undrained)
		last, pausing := e.last, e.pausing
		e.mu.Unlock()
		switch {
		case drained && last:
			return io.EOF
		case !drained || !pausing:
			return nil
		}
		select {
		case e.paused <- struct{}{}:
		case <-e.resumed:
		case <-e.ended:
		case <-e.closed:
			return errEncoderClosed("read from", e.name)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// noteDrained notes that the driver has yielded all that it had. Nobody else than we can have
// told it to.
func (e *encoder) noteDrained() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drained = true
	if e.last || e.pausing {
		return nil
	}
	return fmt.Errorf("%w: the encoder ended by itself", hal.ErrNoSignal)
}

// step waits once and does what is to do then.
func (e *encoder) step() (hal.Frame, bool, error) {
	ready, woken, err := e.node.poll(unix.POLLIN|unix.POLLOUT|unix.POLLPRI, e.wake, -1)
	if err != nil {
		return hal.Frame{}, false, fmt.Errorf("%w: poll: %w", hal.ErrNoSignal, err)
	}
	if woken {
		e.wake.clear()
	}
	const trouble = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL
	if ready&(unix.POLLOUT|trouble) != 0 {
		if err = e.takeBack(); err != nil {
			return hal.Frame{}, false, err
		}
	}
	var f hal.Frame
	ok := false
	if ready&(unix.POLLIN|trouble) != 0 {
		if f, ok, err = e.take(ready&trouble != 0); err != nil {
			return f, ok, err
		}
	}
	if ready&unix.POLLPRI != 0 { // last: the end is said together with the last frame
		e.takeEvents()
	}
	return f, ok, nil
}

// takeBack takes a picture back that the driver is done with.
func (e *encoder) takeBack() error {
	e.mu.Lock()
	flying := e.flying
	e.mu.Unlock()
	if flying == 0 {
		return nil
	}
	c, err := e.raw.dequeue()
	if err != nil {
		if isErrno(err, unix.EAGAIN) || isErrno(err, unix.EPIPE) {
			return nil
		}
		return encoderError("to give a picture back", err)
	}
	i := int(c.buffer.Index)
	e.mu.Lock()
	if i >= len(e.busy) || !e.busy[i] {
		e.mu.Unlock()
		return fmt.Errorf("%w: the encoder gave picture %d back, which it did not have", hal.ErrNoSignal, i)
	}
	f := e.held[i]
	e.held[i], e.busy[i] = hal.Frame{}, false
	e.flying--
	e.mu.Unlock()
	f.Release()
	e.giveCredits(1)
	return nil
}

// take takes a frame from the driver. false: there was none, or it held nothing.
func (e *encoder) take(trouble bool) (hal.Frame, bool, error) {
	c, err := e.coded.dequeue()
	switch {
	case err == nil:
	case isErrno(err, unix.EPIPE): // the last one was taken before
		return hal.Frame{}, false, e.noteDrained()
	case isErrno(err, unix.EAGAIN) && !trouble:
		return hal.Frame{}, false, nil
	case isErrno(err, unix.EAGAIN):
		return hal.Frame{}, false, fmt.Errorf("%w: the encoder's driver reports an error", hal.ErrNoSignal)
	default:
		return hal.Frame{}, false, encoderError("to give a frame", err)
	}
	last := c.buffer.Flags&bufLast != 0
	f, ok, lost := e.frame(c)
	if last {
		if err := e.noteDrained(); err != nil {
			f.Release()
			return hal.Frame{}, false, err
		}
		return f, ok, lost
	}
	if err := twice(func() error { return e.coded.enqueue(e.coded.argument(int(c.buffer.Index))) }, nil); err != nil {
		f.Release()
		return hal.Frame{}, false, encoderError("a buffer for frames", err)
	}
	return f, ok, lost
}

// frame makes a frame of a buffer's content. The only error is that of a full arena.
func (e *encoder) frame(c *bufferCall) (hal.Frame, bool, error) {
	now := e.cfg.Clock.Mono()
	b := e.content(c)
	if len(b) == 0 && c.buffer.Flags&bufLast != 0 { // nothing but the end
		return hal.Frame{}, false, nil
	}
	k := e.look(b, c.buffer.Flags)
	if k.setsOnly {
		return hal.Frame{}, false, nil
	}
	p, ok := e.stamped(c)
	if !ok {
		return hal.Frame{}, false, nil
	}
	if !k.good {
		e.lose()
		return hal.Frame{}, false, nil
	}
	buf, err := e.cfg.Arena.Get(k.size)
	if err != nil {
		e.lose()
		return hal.Frame{}, false, fmt.Errorf("%s: %w", e.name, err)
	}
	if k.unit.codec == hal.CodecUnknown {
		copy(buf.Bytes(), b)
	} else {
		buf.Shorten(k.unit.write(buf.Bytes(), &e.stream.Tracks[0]))
	}
	f := hal.Frame{
		Buf: buf, Stream: e.stream, Stamp: p.stamp, Key: k.key, Gap: p.gap || e.hole,
		EncodeBegin: p.begin, EncodeEnd: now,
	}
	e.hole = false
	return f, true, nil
}

// looked is what a buffer holds.
type looked struct {
	unit      unit // of H.264 and H.265
	size      int
	good, key bool
	setsOnly  bool
}

// look looks through a buffer's content. New parameter sets make a new stream.
func (e *encoder) look(b []byte, flags uint32) looked {
	sound := flags&bufError == 0
	k := looked{size: len(b), good: sound, key: true}
	if e.cfg.Codec == hal.FWHT {
		var ok bool
		k.key, ok = readFWHT(b)
		k.good = sound && ok
		return k
	}
	if !e.cfg.Codec.IsInter() {
		k.good = sound && bytes.HasPrefix(b, []byte{0xff, 0xd8, 0xff})
		return k
	}
	k.unit = readUnit(e.cfg.Codec, b)
	if t := &e.stream.Tracks[0]; sound && k.unit.news(t) {
		sets := *t
		k.unit.adopt(&sets)
		e.stream = e.newStream(sets)
	}
	k.size, k.key = k.unit.size, k.unit.key || flags&bufKeyFrame != 0
	k.good = sound && k.unit.picture
	k.setsOnly = sound && !k.unit.picture && k.unit.size > 0
	return k
}

// content returns what a buffer holds.
func (e *encoder) content(c *bufferCall) []byte {
	m := e.coded.buffers[c.buffer.Index].planes[0]
	from, to := c.offset(0), min(c.used(0), len(m))
	if from > to {
		return nil
	}
	return m[from:to]
}

// stamped returns the picture that a buffer is the frame of.
func (e *encoder) stamped(c *bufferCall) (inside, bool) {
	at := time.Duration(c.buffer.Time.Sec)*time.Second + time.Duration(c.buffer.Time.Usec)*time.Microsecond
	e.mu.Lock()
	before := e.inside.count
	p, known, ok := e.inside.take(at)
	after := e.inside.count
	e.mu.Unlock()
	if before > after+1 {
		e.counted.lost.Add(uint64(before - after - 1))
	}
	if ok && !known && !e.strange {
		e.strange = true
		e.cfg.Log.Warn("hardware encoder: its driver does not copy time stamps; frames are taken to come in order",
			"encoder", e.name)
	}
	return p, ok
}

// lose says that a picture came to nothing. What depends on it needs a key frame.
func (e *encoder) lose() {
	e.hole = true
	e.counted.lost.Add(1)
	if e.cfg.Codec.IsInter() {
		e.key.Store(true)
	}
}

// takeEvents reads what the driver has to say.
func (e *encoder) takeEvents() {
	const most = 64
	for range most {
		var v event
		if e.node.ioctl(vidiocDequeueEvent, unsafe.Pointer(&v)) != nil {
			return
		}
		if v.Type == eventEOS {
			e.mu.Lock()
			e.eos = true
			e.mu.Unlock()
		}
		if v.Pending == 0 {
			return
		}
	}
}
