package v4l2

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// A trace is JSON lines. The first says what it is a trace of; every other is one call: when
// it returned in ns since the trace began, its name (an ioctl's as in the kernel's header,
// without VIDIOC_; "mmap", "poll", "close"), its argument before and after, the name of the
// error, and, of a picture, its content as far as it is kept. What stands in a trace is what
// the kernel and this package said to each other, and pictures only where that was asked for.

// traceHeader is the first line.
type traceHeader struct {
	Trace string `json:"trace"` // traceName
	Node  string `json:"node"`
	Asked string `json:"asked,omitempty"` // the parameters of the URL that the camera was opened by
	Mono  int64  `json:"mono"`            // CLOCK_MONOTONIC when the trace began
}

const traceName = "millrace-v4l2-1"

// traceLine is every other line.
type traceLine struct {
	T     int64           `json:"t"`
	Call  string          `json:"call"`
	In    json.RawMessage `json:"in,omitempty"`
	Out   json.RawMessage `json:"out,omitempty"`
	Errno string          `json:"errno,omitempty"`
	Data  [][]byte        `json:"data,omitempty"` // of each plane
}

// mapCall and pollCall are the arguments of the calls that are no ioctls.
type mapCall struct {
	Offset uintptr
	Length int
}

type pollCall struct {
	Events, Ready int16
	Woken         bool
}

// recorder is a node that writes what passes through it.
type recorder struct {
	node    node
	clock   *hal.Clock
	calls   []call
	payload int // bytes of each plane that are kept

	mu     sync.Mutex // one line at a time; what is written to is a file, and recording is not for the fast path
	out    io.WriteCloser
	failed error
	began  int64
	maps   map[uintptr][]byte
	planes map[[2]uint32]uintptr // buffer and plane: offset
}

// newRecorder writes the calls to n into out, which it closes with the node.
func newRecorder(n node, name, asked string, out io.WriteCloser, payload int, clock *hal.Clock) *recorder {
	r := &recorder{
		node: n, clock: clock, calls: calls(), payload: payload, out: out, began: clock.Mono(),
		maps: map[uintptr][]byte{}, planes: map[[2]uint32]uintptr{},
	}
	r.write(traceHeader{Trace: traceName, Node: name, Asked: asked, Mono: r.began})
	return r
}

// write writes a line. The caller holds mu, or is the only one.
func (r *recorder) write(line any) {
	if r.failed != nil {
		return
	}
	b, err := json.Marshal(line)
	if err == nil {
		_, err = r.out.Write(append(b, '\n'))
	}
	r.failed = err
}

// log writes a call that has returned.
func (r *recorder) log(name string, in, out json.RawMessage, err error, data [][]byte) {
	r.write(traceLine{T: r.clock.Mono() - r.began, Call: name, In: in, Out: out, Errno: errnoName(err), Data: data})
}

func (r *recorder) ioctl(req request, arg unsafe.Pointer) error {
	var c call
	for _, c = range r.calls {
		if c.req == req {
			break
		}
	}
	in := encode(c.view(arg))
	err := r.node.ioctl(req, arg)
	out := encode(c.view(arg))
	r.mu.Lock()
	defer r.mu.Unlock()
	var data [][]byte
	if err == nil {
		switch req { //nolint:exhaustive // the others have no pictures
		case vidiocQueryBuffer:
			r.place((*bufferCall)(arg))
		case vidiocDequeueBuffer:
			data = r.content((*bufferCall)(arg))
		}
	}
	if string(in) == string(out) {
		out = nil
	}
	r.log(c.name, in, out, err, data)
	return err
}

// place remembers where a buffer's planes are.
func (r *recorder) place(c *bufferCall) {
	if !c.buffer.Type.multiplanar() {
		r.planes[[2]uint32{c.buffer.Index, 0}] = c.buffer.M & 0xffffffff
		return
	}
	for p := range min(c.buffer.Length, maxPlanes) {
		r.planes[[2]uint32{c.buffer.Index, p}] = c.planes[p].M & 0xffffffff
	}
}

// content copies what is to be kept of a picture.
func (r *recorder) content(c *bufferCall) [][]byte {
	if r.payload <= 0 {
		return nil
	}
	var data [][]byte
	n := uint32(1)
	if c.buffer.Type.multiplanar() {
		n = min(c.buffer.Length, maxPlanes)
	}
	for p := range n {
		m := r.maps[r.planes[[2]uint32{c.buffer.Index, p}]]
		data = append(data, m[:min(len(m), c.used(int(p)), r.payload)])
	}
	return data
}

func (r *recorder) mmap(offset uintptr, length int) ([]byte, error) {
	b, err := r.node.mmap(offset, length)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maps[offset] = b
	r.log("mmap", encode(mapCall{offset, length}), nil, err, nil)
	return b, err
}

func (r *recorder) munmap(b []byte) error {
	r.mu.Lock()
	for offset, m := range r.maps {
		if len(m) > 0 && len(b) > 0 && &m[0] == &b[0] {
			delete(r.maps, offset)
		}
	}
	r.mu.Unlock()
	return r.node.munmap(b)
}

func (r *recorder) poll(events int16, w *wake, limit time.Duration) (int16, bool, error) {
	ready, woken, err := r.node.poll(events, w, limit)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log("poll", encode(pollCall{events, ready, woken}), nil, err, nil)
	return ready, woken, err
}

func (r *recorder) close() error {
	err := r.node.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log("close", nil, nil, err, nil)
	failed := errors.Join(r.failed, r.out.Close())
	r.failed = errors.New("the trace is closed")
	if failed != nil {
		return errors.Join(err, fmt.Errorf("write the trace: %w", failed))
	}
	return err
}

// encode is json.Marshal of what cannot fail.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// errnoName returns an error's name, as EINVAL; "" for none.
func errnoName(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[unix.Errno](err); ok {
		if name := unix.ErrnoName(e); name != "" {
			return name
		}
	}
	return err.Error()
}
