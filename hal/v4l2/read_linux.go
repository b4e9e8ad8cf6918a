package v4l2

import (
	"bytes"
	"context"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// Read implements hal.Source.
func (s *source) Read(ctx context.Context) (hal.Frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.pending; f.Stream != nil && ctx.Err() == nil && !s.closed.Load() {
		s.pending = hal.Frame{}
		return f, nil
	}
	return s.next(ctx)
}

// next waits for the next frame. The caller holds mu.
func (s *source) next(ctx context.Context) (hal.Frame, error) {
	if s.closed.Load() || s.gone {
		return hal.Frame{}, s.errClosed()
	}
	s.follow(ctx.Done())
	if s.done != nil && s.unfollow == nil {
		s.unfollow = context.AfterFunc(ctx, s.wake.set)
	}
	for {
		switch {
		case s.closed.Load():
			return hal.Frame{}, s.errClosed()
		case ctx.Err() != nil:
			return hal.Frame{}, context.Cause(ctx)
		case s.failed != nil:
			return hal.Frame{}, s.failed
		}
		f, ok, err := s.step()
		if err != nil {
			s.failed = err
			return hal.Frame{}, err
		}
		if ok {
			return f, nil
		}
	}
}

// follow makes what watched another context's end forget it. The watch outlives a Read, so that the
// next one under the same context needs no new one.
func (s *source) follow(done <-chan struct{}) {
	if s.done == done {
		return
	}
	if s.unfollow != nil {
		s.unfollow()
	}
	s.done, s.unfollow = done, nil
}

// step waits once and does what is to do then.
func (s *source) step() (hal.Frame, bool, error) {
	if s.wantKey.Load() && s.wantKey.Swap(false) && s.picture.codec.IsInter() {
		_ = setControl(s.node, controlForceKey, 1) //nolint:errcheck // few cameras have it
	}
	fed, broken := s.loans.state()
	if broken != nil {
		return hal.Frame{}, false, s.recover(broken)
	}
	var events int16
	if fed {
		events = unix.POLLIN | unix.POLLPRI
	}
	ready, woken, err := s.node.poll(events, s.wake, -1)
	if err != nil {
		return hal.Frame{}, false, fmt.Errorf("%w: %s: poll: %w", hal.ErrNoSignal, s.name, err)
	}
	if woken {
		s.wake.clear()
	}
	if ready&unix.POLLPRI != 0 {
		s.takeEvents()
	}
	if s.changed {
		return hal.Frame{}, false, s.renegotiate()
	}
	if ready&(unix.POLLIN|unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) == 0 {
		return hal.Frame{}, false, nil
	}
	return s.take(ready)
}

// take takes a buffer from the driver and makes a frame of it. false: it is none.
func (s *source) take(ready int16) (hal.Frame, bool, error) {
	d, err := s.loans.dequeue()
	if err != nil {
		return hal.Frame{}, false, s.dequeueFault(ready, err)
	}
	b := &d.call.buffer
	lost := s.timing.follow(b.Sequence)
	if d.starved {
		s.stats.dropped.Add(lost)
	} else {
		s.stats.lost.Add(lost)
	}
	if lost > 0 && s.picture.codec.IsInter() {
		s.wantKey.Store(true)
	}
	switch {
	case b.Flags&bufError != 0:
		s.refuse(d, "the driver marks a picture as damaged")
		return hal.Frame{}, false, nil
	case b.Flags&bufLast != 0 && d.call.used(0) == 0: // the end of what came before a change
		s.loans.giveBack(d)
		return hal.Frame{}, false, nil
	}
	taken, now := s.mono(b, d.call)
	f, ok := s.frame(d)
	if !ok {
		return f, false, nil
	}
	at := s.timing.place(taken)
	f.Stamp = hal.Stamp{DTS: at, PTS: at, Mono: min(taken, now)}
	f.Gap = s.timing.takeGap()
	s.faults.good++
	s.stats.frames.Add(1)
	return f, true, nil
}

// frame makes a frame of a buffer, or gives it back.
func (s *source) frame(d dequeued) (hal.Frame, bool) {
	if s.picture.codec == hal.Raw {
		return s.raw(d)
	}
	if s.picture.codec == hal.MJPEG {
		return s.jpeg(d)
	}
	return s.inter(d)
}

// mono returns when a picture was taken: the driver's stamp where it is one of
// CLOCK_MONOTONIC. Some drivers stamp when the picture should have ended, a little ahead of now.
func (s *source) mono(b *buffer, c *bufferCall) (taken, now int64) {
	now = s.clock.Mono()
	if t := c.mono(); b.Flags&bufTimeMask == bufTimeMonotonic && t > 0 && t < now+int64(time.Second) {
		return t, now
	}
	return now, now
}

// refuse gives a buffer back that holds no picture, and counts it.
func (s *source) refuse(d dequeued, why string) {
	s.loans.giveBack(d)
	if s.stats.malformed.Add(1) == 1 {
		s.log.Warn("camera: picture thrown away", "why", why)
	}
	s.note(why)
	s.timing.gap = true
}

// note keeps why something went wrong, for who asks.
func (s *source) note(why string) {
	if was := s.stats.fault.Load(); was == nil || *was != why {
		s.stats.fault.Store(&why)
	}
}

// raw hands a raw picture on where it lies.
func (s *source) raw(d dequeued) (hal.Frame, bool) {
	for i := range s.picture.sizes {
		// A driver may move the picture within its memory (data_offset): the layout says so.
		if off := d.call.offset(i); off != s.picture.offsets[i] && !s.shift(i, off) {
			s.refuse(d, "a picture lies outside of its memory")
			return hal.Frame{}, false
		}
		if d.call.used(i)-s.picture.offsets[i] < s.picture.need[i] {
			s.refuse(d, "a picture is shorter than its format says")
			return hal.Frame{}, false
		}
	}
	s.stats.bytes.Add(uint64(s.picture.layout.Size))
	return hal.Frame{Buf: s.loans.lend(d), Stream: s.stream.Load(), Key: true}, true
}

// shift moves the planes in a piece of memory to where the driver puts them.
func (s *source) shift(memory, offset int) bool {
	p := &s.picture
	if offset < 0 || offset+p.need[memory] > p.sizes[memory] {
		return false
	}
	for i := range p.layout.Planes {
		if pl := &p.layout.Planes[i]; pl.Stride > 0 && pl.Memory == memory {
			pl.Offset += offset - p.offsets[memory]
		}
	}
	p.offsets[memory] = offset
	s.setStream(p.track(s.rate))
	return true
}

// content returns what an encoded buffer holds.
func (s *source) content(d dequeued) []byte {
	m := s.loans.queue.buffers[d.index].planes[0]
	from, to := d.call.offset(0), min(d.call.used(0), len(m))
	if from < 0 || from > to {
		return nil
	}
	return m[from:to]
}

// jpeg hands a JPEG on where it lies.
func (s *source) jpeg(d dequeued) (hal.Frame, bool) {
	b := s.content(d)
	if !bytes.HasPrefix(b, []byte{0xff, 0xd8, 0xff}) {
		s.refuse(d, "what should be a JPEG does not begin as one")
		return hal.Frame{}, false
	}
	s.stats.bytes.Add(uint64(len(b)))
	if d.call.offset(0) != 0 {
		f, ok := s.copied(d, len(b))
		if ok {
			copy(f.Buf.Bytes(), b)
			s.loans.giveBack(d)
		}
		return f, ok
	}
	loan := s.loans.lend(d)
	loan.Shorten(len(b))
	return hal.Frame{Buf: loan, Stream: s.stream.Load(), Key: true}, true
}

// copied returns room for a frame of n bytes. Where there is none the picture is dropped.
func (s *source) copied(d dequeued, n int) (hal.Frame, bool) {
	b, err := s.arena.Get(n)
	if err != nil {
		s.loans.giveBack(d)
		s.stats.dropped.Add(1)
		s.timing.gap = true
		return hal.Frame{}, false
	}
	return hal.Frame{Buf: b, Stream: s.stream.Load(), Key: true}, true
}

// inter copies an access unit of a byte stream into the arena, with length prefixes.
func (s *source) inter(d dequeued) (hal.Frame, bool) {
	u := readUnit(s.picture.codec, s.content(d))
	if now := &s.stream.Load().Tracks[0]; u.news(now) {
		next := *now
		u.adopt(&next)
		s.setStream(next)
	}
	if !u.picture {
		if u.size == 0 {
			s.refuse(d, "an access unit holds no NAL unit")
		} else {
			s.loans.giveBack(d) // parameter sets alone
		}
		return hal.Frame{}, false
	}
	f, ok := s.copied(d, u.size)
	if !ok {
		s.wantKey.Store(true)
		return f, false
	}
	f.Buf.Shorten(u.write(f.Buf.Bytes(), f.Info()))
	f.Key = u.key
	s.stats.bytes.Add(uint64(f.Buf.Len()))
	s.loans.giveBack(d)
	return f, true
}

// takeEvents reads what the driver has to say.
func (s *source) takeEvents() {
	const most = 64
	for range most {
		var e event
		if s.node.ioctl(vidiocDequeueEvent, unsafe.Pointer(&e)) != nil {
			return
		}
		if e.Type == eventSourceChange && e.changes()&changeResolution != 0 {
			s.changed = true
		}
		if e.Pending == 0 {
			return
		}
	}
}
