package v4l2

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// player is a node that plays a trace: a camera that answers as the recorded one did. What was
// asked in the same words gets the same answer; pictures come at the recorded times into
// whatever buffers are queued, and are lost where none is; a fault comes when it came. The
// order in which buffers come back may differ from the recorded one. At the end of the trace
// the camera is gone, or its pictures begin anew where it loops.
type player struct {
	trace *Trace
	clock *hal.Clock
	calls []call
	loop  bool

	mu     sync.Mutex
	used   map[string]int // answers given, by the call's name
	counts map[string]int // calls that may fail by count
	maps   map[uintptr][]byte
	places map[[2]uint32]uintptr
	mapped int
	queued []uint32
	on     bool
	at     int   // in the script
	shift  int64 // from the trace's time to the clock's
	more   uint32
	gone   bool
}

// maxReplayed bounds the memory that a trace can ask for.
const maxReplayed = 256 << 20

func newPlayer(t *Trace, loop bool, clock *hal.Clock) *player {
	return &player{
		trace: t, clock: clock, calls: calls(), loop: loop, used: map[string]int{}, counts: map[string]int{},
		maps: map[uintptr][]byte{}, places: map[[2]uint32]uintptr{},
	}
}

func (p *player) ioctl(req request, arg unsafe.Pointer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return unix.ENODEV
	}
	i := slices.IndexFunc(p.calls, func(c call) bool { return c.req == req })
	if i < 0 {
		return unix.ENOTTY
	}
	c := p.calls[i]
	switch req { //nolint:exhaustive // the others fail by their words
	case vidiocQueueBuffer, vidiocStreamOn, vidiocStreamOff, vidiocRequestBuffers:
		n := p.counts[c.name]
		p.counts[c.name]++
		if errno := p.trace.faults[c.name][n]; errno != 0 {
			p.gone = errno == unix.ENODEV
			return errno
		}
	}
	switch req { //nolint:exhaustive // the others are answered by their words
	case vidiocQueueBuffer:
		if p.on {
			p.due() // what came while no buffer was queued is lost
		}
		p.queued = append(p.queued, (*bufferCall)(arg).buffer.Index)
		return nil
	case vidiocStreamOn:
		p.start()
		return nil
	case vidiocStreamOff:
		p.on, p.queued = false, nil
		return nil
	case vidiocDequeueBuffer:
		return p.dequeue((*bufferCall)(arg))
	case vidiocDequeueEvent:
		return p.event((*event)(arg))
	case vidiocRequestBuffers:
		if (*requestBuffers)(arg).Count == 0 {
			return nil
		}
	}
	err := p.answer(c, arg)
	if err == nil && req == vidiocQueryBuffer {
		p.place((*bufferCall)(arg))
	}
	return err
}

// loose are the calls whose recorded answer is given to whatever is asked.
func loose(name string) bool {
	return slices.Contains([]string{"G_FMT", "S_FMT", "G_PARM", "S_PARM", "REQBUFS", "QUERYCAP"}, name)
}

// answer finds what was answered to the same words: the next time, or the last time. Some
// calls get the last answer to any words.
func (p *player) answer(c call, arg unsafe.Pointer) error {
	all := p.trace.answers[c.name]
	in := encode(c.view(arg))
	same := func(a answer) bool { return string(a.in) == string(in) }
	from := min(p.used[c.name], len(all))
	i := slices.IndexFunc(all[from:], same)
	if i >= 0 {
		i += from
		p.used[c.name] = i + 1
	} else if i = lastIndex(all, same); i < 0 && loose(c.name) {
		i = lastIndex(all, func(a answer) bool { return a.errno == 0 })
	}
	if i < 0 {
		if len(all) == 0 {
			return unix.ENOTTY
		}
		return unix.EINVAL
	}
	a := all[i]
	if a.errno != 0 && c.name != "REQBUFS" { // its faults come by count
		p.gone = a.errno == unix.ENODEV
		return a.errno
	}
	if err := json.Unmarshal(a.out, c.view(arg)); err != nil {
		return unix.EINVAL
	}
	return nil
}

func lastIndex(all []answer, same func(answer) bool) int {
	for i, a := range slices.Backward(all) {
		if same(a) {
			return i
		}
	}
	return -1
}

func (p *player) place(c *bufferCall) {
	if !c.buffer.Type.multiplanar() {
		p.places[[2]uint32{c.buffer.Index, 0}] = c.buffer.M & 0xffffffff
		return
	}
	for i := range min(c.buffer.Length, maxPlanes) {
		p.places[[2]uint32{c.buffer.Index, i}] = c.planes[i].M & 0xffffffff
	}
}

// start begins, or goes on with, the script.
func (p *player) start() {
	p.on = true
	now := p.clock.Mono()
	for i := p.at; i < len(p.trace.script); i++ {
		if s := &p.trace.script[i]; s.kind == sceneStart {
			p.at, p.shift = i+1, now-s.t
			return
		}
	}
	if p.at < len(p.trace.script) {
		p.shift = now - p.trace.script[p.at].t
	}
}

// scene returns what happens next and when, by the clock. false: the camera is gone.
func (p *player) scene() (*scene, int64, bool) {
	for range len(p.trace.script) + 1 {
		if p.at == len(p.trace.script) && !p.rewind() {
			break
		}
		s := &p.trace.script[p.at]
		if s.kind != sceneStart {
			return s, s.t + p.shift, true
		}
		p.at++
	}
	p.gone = true
	return nil, 0, false
}

// rewind begins the pictures anew, a frame's time after the last one.
func (p *player) rewind() bool {
	all := p.trace.script
	first := slices.IndexFunc(all, func(s scene) bool { return s.kind == scenePicture })
	if !p.loop || first < 0 {
		return false
	}
	last := &all[len(all)-1]
	n := len(all) - first
	step := int64(time.Second)
	if n > 1 {
		step = max((last.t-all[first].t)/int64(n-1), int64(time.Millisecond))
	}
	p.shift += last.t - all[first].t + step
	p.more += last.buffer.buffer.Sequence - all[first].buffer.buffer.Sequence + 1
	p.at = first
	return true
}

// due brings the script to where something can happen now: pictures that no buffer is queued
// for are lost. It returns what happens and how long until then.
func (p *player) due() (*scene, time.Duration) {
	for {
		s, at, ok := p.scene()
		if !ok {
			return nil, 0
		}
		wait := time.Duration(at - p.clock.Mono())
		if wait <= 0 && s.kind == scenePicture && len(p.queued) == 0 {
			p.at++
			continue
		}
		return s, max(0, wait)
	}
}

func (p *player) dequeue(c *bufferCall) error {
	if !p.on {
		return unix.EINVAL
	}
	s, wait := p.due()
	switch {
	case s == nil:
		return unix.ENODEV
	case wait > 0 || s.kind == sceneEvent:
		return unix.EAGAIN
	case s.kind == sceneFault:
		p.at++
		p.gone = s.errno == unix.ENODEV
		return s.errno
	}
	p.at++
	index := p.queued[0]
	p.queued = append(p.queued[:0], p.queued[1:]...)
	typ := c.buffer.Type
	*c = s.buffer
	c.buffer.Index, c.buffer.Type = index, typ
	c.buffer.Sequence += p.more
	if c.buffer.Flags&bufTimeMask == bufTimeMonotonic {
		mono := c.mono() - p.trace.mono + p.shift
		c.buffer.Time = timeval{Sec: mono / 1e9, Usec: mono % 1e9 / 1e3}
	}
	for i, d := range s.data {
		copy(p.maps[p.places[[2]uint32{index, uint32(i)}]], d)
	}
	return nil
}

func (p *player) event(e *event) error {
	if s, wait := p.due(); s != nil && wait == 0 && s.kind == sceneEvent {
		*e = s.event
		e.Pending = 0
		p.at++
		return nil
	}
	return unix.ENOENT
}

func (p *player) mmap(offset uintptr, length int) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if length < 1 || p.mapped+length > maxReplayed {
		return nil, unix.ENOMEM
	}
	p.mapped += length
	b := make([]byte, length)
	p.maps[offset] = b
	return b, nil
}

// munmap spoils the memory, so that who still reads it is found out.
func (p *player) munmap(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b {
		b[i] = 0xdd
	}
	p.mapped -= len(b)
	return nil
}

func (p *player) poll(events int16, w *wake, limit time.Duration) (int16, bool, error) {
	for {
		ready, wait := p.ready(events)
		if ready != 0 {
			wait = 0
		} else if limit >= 0 && (wait < 0 || limit < wait) {
			wait = limit
		}
		fds := [1]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}
		if err := pollUntil(fds[:], wait); err != nil {
			return 0, false, err
		}
		if ready != 0 || fds[0].Revents != 0 || limit >= 0 {
			return ready, fds[0].Revents != 0, nil
		}
	}
}

// ready returns what poll says, or how long nothing will happen; negative: until the wake.
func (p *player) ready(events int16) (int16, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case events == 0:
		return 0, -1
	case p.gone:
		return unix.POLLERR | unix.POLLHUP, 0
	case !p.on:
		return unix.POLLERR, 0
	}
	s, wait := p.due()
	switch {
	case s == nil:
		return unix.POLLERR | unix.POLLHUP, 0
	case wait > 0:
		return 0, wait
	}
	switch s.kind {
	case scenePicture:
		return unix.POLLIN & events, 0
	case sceneEvent:
		return unix.POLLPRI & events, 0
	case sceneFault, sceneStart:
	}
	if s.ready&(unix.POLLERR|unix.POLLHUP|unix.POLLIN) == 0 {
		return unix.POLLERR, 0
	}
	return s.ready, 0
}

func (p *player) close() error { return nil }

func (p *player) String() string { return fmt.Sprintf("trace of %s", p.trace.node) }
