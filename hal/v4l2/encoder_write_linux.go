package v4l2

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
)

// Write implements hal.Encoder. A picture of a camera of this driver is read by the encoder where
// it lies, and held until the encoder is done with it, where both sides allow that; every other
// is copied once and released at once.
func (e *encoder) Write(ctx context.Context, f hal.Frame) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	err := e.admit(f)
	if err == nil {
		err = e.write(ctx, f)
	}
	if err != nil {
		f.Release()
		return err
	}
	e.counted.pictures.Add(1)
	return nil
}

// admit says whether a picture is what the encoder was opened for.
func (e *encoder) admit(f hal.Frame) error {
	if e.closedIn || e.shut {
		return errEncoderClosed("write to", e.name)
	}
	if f.Stream == e.input {
		return nil
	}
	got, want := f.Info(), &e.cfg.Input
	if got.Codec != hal.Raw || got.Width != want.Width || got.Height != want.Height || got.Layout != want.Layout {
		return fmt.Errorf("%w: %s was opened for %s, the picture is %s", hal.ErrUnsupported, e.name, want, got)
	}
	e.input = f.Stream
	return nil
}

// write queues a picture. On an error it is still the caller's.
func (e *encoder) write(ctx context.Context, f hal.Frame) error {
	begin := e.cfg.Clock.Mono()
	from, slot, share := e.shareable(f)
	if err := e.start(ctx, from, share); err != nil {
		return err
	}
	if e.resting { // a pause that the last Write gave up waiting for
		if err := e.restart(ctx, nil); err != nil {
			return err
		}
	}
	key := e.key.Swap(false)
	err := e.queueOne(ctx, f, from, slot, share, begin, key)
	if err != nil && key {
		e.key.Store(true)
	}
	return err
}

// queueOne queues a picture as the memory that the raw queue takes wants it.
func (e *encoder) queueOne(ctx context.Context, f hal.Frame, from *loans, slot int, share bool, begin int64, key bool) error {
	if key {
		if err := e.forceKey(ctx); err != nil {
			return err
		}
	}
	if e.raw.memory == memoryDMABUF {
		if share {
			err := e.hand(ctx, f, from, slot, begin)
			if err == nil || e.accepted || !errors.Is(err, errNotShared) {
				return err
			}
			e.cfg.Log.Info("hardware encoder: it cannot read the camera's memory; pictures are copied",
				"encoder", e.name, "cause", err.Error())
		}
		if err := e.toCopies(ctx); err != nil {
			return err
		}
	}
	return e.copyIn(ctx, f, begin)
}

// errNotShared says that the driver does not take another device's memory.
var errNotShared = errors.New("the memory cannot be shared")

// shareable says whether the driver may read a picture in a camera's memory, and where that is.
func (e *encoder) shareable(f hal.Frame) (*loans, int, bool) {
	if !e.direct {
		return nil, 0, false
	}
	l, i, ok := shared(f.Buf)
	if !ok || f.Buf.Planes() != e.raw.planes {
		return nil, 0, false
	}
	for p := range e.raw.planes {
		if len(l.queue.buffers[i].planes[p]) < e.picture.sizes[p] {
			return nil, 0, false
		}
	}
	return l, i, true
}

// start begins the stream with the first picture, which says what memory there will be.
func (e *encoder) start(ctx context.Context, from *loans, share bool) error {
	if e.streaming {
		return nil
	}
	if share {
		if err := e.toShared(ctx, len(from.slots)); err != nil {
			return err
		}
	}
	if err := e.switchOn(); err != nil {
		return err
	}
	close(e.started)
	return nil
}

// toShared makes the raw queue take a camera's memory, where the driver can.
func (e *encoder) toShared(ctx context.Context, count int) error {
	err := e.withAll(ctx, func() error { return e.target(memoryDMABUF, count) })
	if err == nil || e.given > 0 { // the encoder was closed meanwhile
		return err
	}
	return e.target(memoryMapped, e.least(controlMinOutput)+2)
}

// toCopies makes the raw queue take copies from now on.
func (e *encoder) toCopies(ctx context.Context) error {
	mapped := func() error { return e.target(memoryMapped, e.least(controlMinOutput)+2) }
	if !e.quiet() {
		if err := e.restart(ctx, mapped); !errors.Is(err, errNoDrain) {
			return err
		}
	}
	return e.withAll(ctx, mapped)
}

// forceKey makes the next picture a key frame. A driver that cannot be asked is drained and
// begins anew, with one.
func (e *encoder) forceKey(ctx context.Context) error {
	switch {
	case e.cfg.Codec == hal.MJPEG:
		return nil
	case e.forces:
		if err := setControl(e.node, controlForceKey, 1); err != nil {
			return encoderError("to be asked for a key frame", err)
		}
		return nil
	case e.fresh:
		return nil
	}
	if e.quiet() {
		return e.withAll(ctx, e.blink)
	}
	err := e.restart(ctx, nil)
	if errors.Is(err, errNoDrain) {
		if !e.keyless {
			e.keyless = true
			e.cfg.Log.Warn("hardware encoder: it makes key frames at its own time alone", "encoder", e.name, "cause", err.Error())
		}
		return nil
	}
	return err
}

// withAll takes all credits, so that the driver has no picture, and does what gives them back.
// Where that fails there are none any more, and nothing can be queued.
func (e *encoder) withAll(ctx context.Context, do func() error) error {
	for n := range e.given {
		if err := e.credit(ctx); err != nil {
			e.giveCredits(n)
			return err
		}
	}
	err := do()
	if err != nil {
		e.given = 0
	}
	return err
}

// credit waits until one more picture may be queued.
func (e *encoder) credit(ctx context.Context) error {
	if e.given == 0 {
		return fmt.Errorf("%w: the encoder has no buffers any more", hal.ErrNoSignal)
	}
	select {
	case <-e.closed:
		return errEncoderClosed("write to", e.name)
	case <-e.broken:
		return e.why
	default:
	}
	select {
	case <-e.credits:
		return nil
	case <-e.closed:
		return errEncoderClosed("write to", e.name)
	case <-e.broken:
		return e.why
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hand queues a picture where it lies. The camera's buffer i goes into the same place of the raw
// queue where it can, so that the driver finds its mapping again.
func (e *encoder) hand(ctx context.Context, f hal.Frame, from *loans, slot int, begin int64) error {
	if err := e.credit(ctx); err != nil {
		return err
	}
	i := e.claim(slot)
	c := e.argument(i)
	for p := range e.raw.planes {
		fd, err := from.descriptor(slot, p)
		if err != nil {
			e.disclaim(i)
			return fmt.Errorf("%w: %w", errNotShared, err)
		}
		length := uint32(len(from.queue.buffers[slot].planes[p]))
		if c.buffer.Type.multiplanar() {
			c.planes[p].M, c.planes[p].Length = uintptr(fd), length
		} else {
			c.buffer.M, c.buffer.Length = uintptr(fd), length
		}
	}
	if err := e.submit(i, c, f, f, begin); err != nil {
		if e.accepted {
			return err
		}
		return fmt.Errorf("%w: %w", errNotShared, err)
	}
	e.accepted = true
	e.counted.shared.Add(1)
	return nil
}

// copyIn copies a picture into memory of the driver and queues that.
func (e *encoder) copyIn(ctx context.Context, f hal.Frame, begin int64) error {
	src, err := pixel.View(f.Info(), f.Buf)
	if err != nil {
		return fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	if err := e.credit(ctx); err != nil {
		return err
	}
	i := e.claim(0)
	dst := e.targets[i]
	from := e.cfg.Clock.Mono()
	if dst.Format == src.Format {
		e.counted.bytes.Add(uint64(copyPicture(dst, src)))
	} else {
		if err := e.convert.Convert(dst, src); err != nil {
			e.disclaim(i)
			return fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
		}
		e.counted.bytes.Add(uint64(e.picture.layout.Size))
	}
	e.counted.spent.Add(uint64(e.cfg.Clock.Mono() - from))
	if err := e.submit(i, e.argument(i), f, hal.Frame{}, begin); err != nil {
		return err
	}
	e.counted.copied.Add(1)
	f.Release()
	return nil
}

// argument begins the argument of a call that queues buffer i.
func (e *encoder) argument(i int) *bufferCall {
	c := e.raw.argument(i)
	c.buffer.Field = fieldNone
	for p := range e.raw.planes {
		used := uint32(e.picture.sizes[p])
		if c.buffer.Type.multiplanar() {
			c.planes[p].BytesUsed = used
		} else {
			c.buffer.BytesUsed = used
		}
	}
	return c
}

// submit queues buffer i, which holds f's picture; held is what is released when the driver is
// done with it. On an error the buffer is disclaimed.
func (e *encoder) submit(i int, c *bufferCall, f, held hal.Frame, begin int64) error {
	e.mu.Lock()
	at := e.inside.push(inside{stamp: f.Stamp, gap: f.Gap, begin: begin})
	e.held[i] = held
	e.flying++
	e.mu.Unlock()
	c.buffer.Time = timeval{Sec: int64(at / time.Second), Usec: int64(at % time.Second / time.Microsecond)}
	c.buffer.Flags = bufTimeCopy
	if err := e.raw.enqueue(c); err != nil {
		e.mu.Lock()
		e.inside.pop()
		e.held[i] = hal.Frame{}
		e.flying--
		e.mu.Unlock()
		e.disclaim(i)
		return encoderError("a picture", err)
	}
	e.fresh = false
	return nil
}

// claim returns a buffer of the raw queue that the driver does not have, the wanted one if that
// is so. The writer has a credit.
func (e *encoder) claim(wanted int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := wanted
	if i >= len(e.busy) || e.busy[i] {
		for i = range e.busy {
			if !e.busy[i] {
				break
			}
		}
	}
	e.busy[i] = true
	return i
}

// disclaim gives back what claim and credit gave.
func (e *encoder) disclaim(i int) {
	e.mu.Lock()
	e.busy[i] = false
	e.mu.Unlock()
	e.giveCredits(1)
}

// copyPicture copies samples into a picture of the same format and returns how many bytes that
// were: a plane at once where the lines lie alike.
func copyPicture(dst, src pixel.Picture) int {
	all := 0
	for i := range dst.Plane {
		if dst.Plane[i] == nil {
			continue
		}
		row, lines := dst.Width, dst.Height
		switch {
		case dst.Format == hal.YUYV || dst.Format == hal.UYVY:
			row *= 2
		case i > 0 && dst.Format == hal.I420:
			row, lines = row/2, lines/2
		case i > 0:
			lines /= 2
		}
		to, from := dst.Stride[i], src.Stride[i]
		if to == from {
			all += copy(dst.Plane[i], src.Plane[i][:(lines-1)*from+row])
			continue
		}
		for y := range lines {
			all += copy(dst.Plane[i][y*to:y*to+row], src.Plane[i][y*from:y*from+row])
		}
	}
	return all
}
