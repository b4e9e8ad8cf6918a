package v4l2

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"
)

// Trace is what a camera and this driver said to each other, recorded by Driver.Record. A
// driver that has one serves it as a camera. It is immutable.
type Trace struct {
	node    string
	asked   string // parameters of a URL
	mono    int64
	answers map[string][]answer // by the call's name
	script  []scene
	faults  map[string]map[int]unix.Errno // calls that failed, by name and count
}

// answer is a call and what came back.
type answer struct {
	in, out json.RawMessage
	errno   unix.Errno
}

// sceneKind is what happens next in a stream.
type sceneKind uint8

const (
	sceneStart   sceneKind = iota // STREAMON
	scenePicture                  // DQBUF gives a buffer
	sceneFault                    // DQBUF fails
	sceneEvent                    // DQEVENT gives an event
)

// scene is something that happened while the camera streamed.
type scene struct {
	kind   sceneKind
	t      int64
	ready  int16 // what poll said before
	errno  unix.Errno
	buffer bufferCall
	event  event
	data   [][]byte
}

// Bounds of a trace that is read: a customer's is a few MB.
const (
	maxTraceLine  = 64 << 20
	maxTraceLines = 1 << 20
	maxTraceBytes = 1 << 30
	maxTraceTime  = 1e15 // ns: 11 days
	maxAsked      = 8 << 10
)

// ReadTrace reads a trace that Driver.Record wrote. The error names the line.
func ReadTrace(r io.Reader) (*Trace, error) {
	lines := bufio.NewScanner(io.LimitReader(r, maxTraceBytes))
	lines.Buffer(make([]byte, 0, 64<<10), maxTraceLine)
	t := &Trace{answers: map[string][]answer{}, faults: map[string]map[int]unix.Errno{}}
	b := traceBuilder{trace: t, counts: map[string]int{}}
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if n > maxTraceLines {
			return nil, fmt.Errorf("a trace of more than %d lines", maxTraceLines)
		}
		if err := b.line(line, n == 1); err != nil {
			return nil, fmt.Errorf("trace, line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("trace, line %d: %w", n+1, err)
	}
	if n == 0 {
		return nil, fmt.Errorf("an empty trace: the first line says %q", traceName)
	}
	return t, nil
}

// traceBuilder sorts the lines of a trace.
type traceBuilder struct {
	trace  *Trace
	counts map[string]int
	last   int64 // time of the line before
	ready  int16 // of the last poll
}

func (b *traceBuilder) line(line []byte, first bool) error {
	if first {
		return b.header(line)
	}
	l, errno, err := b.read(line)
	if err != nil {
		return err
	}
	switch l.Call {
	case "poll":
		var p pollCall
		if err := json.Unmarshal(l.In, &p); err != nil {
			return fmt.Errorf("poll: %w", err)
		}
		b.ready = p.Ready
	case "DQBUF", "DQEVENT":
		return b.happening(&l, errno)
	case "QBUF", "STREAMON", "STREAMOFF":
		if l.Call == "STREAMON" && errno == 0 {
			b.trace.script = append(b.trace.script, scene{kind: sceneStart, t: l.T})
		}
		b.fault(l.Call, errno)
	case "REQBUFS":
		b.fault(l.Call, errno)
		b.answer(&l, errno)
	case "mmap", "close":
	default:
		b.answer(&l, errno)
	}
	return nil
}

// read reads a line and checks what all of them have.
func (b *traceBuilder) read(line []byte) (traceLine, unix.Errno, error) {
	var l traceLine
	if err := json.Unmarshal(line, &l); err != nil {
		return l, 0, fmt.Errorf("not a call: %w", err)
	}
	if l.T < b.last || l.T > maxTraceTime {
		return l, 0, fmt.Errorf("time %d: %d to %d ns", l.T, b.last, int64(maxTraceTime))
	}
	b.last = l.T
	if l.Out == nil {
		l.Out = l.In
	}
	errno, err := errnoOf(l.Errno)
	return l, errno, err
}

func (b *traceBuilder) header(line []byte) error {
	var h traceHeader
	if err := json.Unmarshal(line, &h); err != nil || h.Trace != traceName {
		return fmt.Errorf("not a trace of a camera: the first line has no %q", traceName)
	}
	if h.Mono < 0 || h.Mono > math.MaxInt64/4 {
		return fmt.Errorf("a trace that began at %d ns", h.Mono)
	}
	if len(h.Asked) > maxAsked {
		return fmt.Errorf("a trace of a URL of %d bytes: at most %d", len(h.Asked), maxAsked)
	}
	b.trace.node, b.trace.asked, b.trace.mono = h.Node, h.Asked, h.Mono
	return nil
}

// fault notes that a call of this name failed, by its count.
func (b *traceBuilder) fault(name string, errno unix.Errno) {
	if errno != 0 {
		if b.trace.faults[name] == nil {
			b.trace.faults[name] = map[int]unix.Errno{}
		}
		b.trace.faults[name][b.counts[name]] = errno
	}
	b.counts[name]++
}

func (b *traceBuilder) answer(l *traceLine, errno unix.Errno) {
	b.trace.answers[l.Call] = append(b.trace.answers[l.Call], answer{in: compact(l.In), out: l.Out, errno: errno})
}

// compact takes white space out, so that arguments compare.
func compact(j json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, j) != nil {
		return j
	}
	return b.Bytes()
}

// happening is what a stream gave: a picture, a fault, an event.
func (b *traceBuilder) happening(l *traceLine, errno unix.Errno) error {
	s := scene{t: l.T, ready: b.ready, errno: errno, data: l.Data}
	switch {
	case errno == unix.EAGAIN, errno != 0 && l.Call == "DQEVENT":
		return nil
	case errno != 0:
		s.kind = sceneFault
	case l.Call == "DQEVENT":
		s.kind = sceneEvent
		if err := json.Unmarshal(l.Out, &s.event); err != nil {
			return fmt.Errorf("event: %w", err)
		}
	default:
		s.kind = scenePicture
		if err := json.Unmarshal(l.Out, &s.buffer); err != nil {
			return fmt.Errorf("picture: %w", err)
		}
	}
	b.trace.script = append(b.trace.script, s)
	return nil
}

// errnoOf returns the error of a name.
func errnoOf(name string) (unix.Errno, error) {
	if name == "" {
		return 0, nil
	}
	const most = 200 // Linux numbers its errors up to 133
	for e := unix.Errno(1); e < most; e++ {
		if unix.ErrnoName(e) == name {
			return e, nil
		}
	}
	return 0, fmt.Errorf("unknown error %.40q", name)
}
