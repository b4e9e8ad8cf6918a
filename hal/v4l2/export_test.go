//go:build linux

package v4l2

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// Word is the size of a pointer.
const Word = word

// Requests returns the number of every request by its name.
func Requests() map[string]uintptr {
	all := map[string]uintptr{}
	for _, c := range calls() {
		all[c.name] = uintptr(c.req)
	}
	return all
}

// Fake writes the trace of a camera that never was: what a driver would have answered, and the
// pictures and faults that follow.
type Fake struct {
	out     bytes.Buffer
	typ     bufType
	planes  []FakePlane
	t       int64
	number  uint32
	buffers int
}

// FakePlane is a plane of memory of a fake camera's pictures.
type FakePlane struct {
	Size, Stride int
}

const fakeMono = int64(5000 * time.Second)

// FakeBuffers is how many buffers a fake camera gives.
const FakeBuffers = 6

// NewFake begins the trace of a camera with one format and size.
func NewFake(multi bool, pixel string, w, h int, planes ...FakePlane) *Fake {
	f := &Fake{typ: captureSingle, planes: planes}
	if multi {
		f.typ = captureMulti
	}
	f.json(traceHeader{Trace: traceName, Node: "/dev/fake", Mono: fakeMono})
	c := capability{Capabilities: capDeviceCaps, DeviceCaps: capStreaming | capCapture}
	if multi {
		c.DeviceCaps = capStreaming | capCaptureMulti
	}
	copy(c.Card[:], "Fake")
	f.Call("QUERYCAP", &capability{}, &c, 0)
	f.Call("SUBSCRIBE_EVENT", &eventSubscription{Type: eventSourceChange}, nil, 0)
	f.Offer(0, pixel, w, h)
	f.Format(pixel, w, h, planes...)
	parm := streamParm{Type: f.typ, Capability: timePerFrame, TimePerFrame: fraction{1, 100}}
	f.Call("G_PARM", &streamParm{Type: f.typ}, &parm, 0)
	f.Call("S_PARM", &streamParm{Type: f.typ}, &parm, 0)
	return f
}

// Offer adds a pixel format with one size at 100 pictures a second to what the camera lists.
func (f *Fake) Offer(index int, pixel string, w, h int) *Fake {
	in := formatDesc{Index: uint32(index), Type: uint32(f.typ)}
	out := in
	out.Pixel = fourCCOf(pixel)
	f.Call("ENUM_FMT", &in, &out, 0)
	size := sizeEnum{Pixel: fourCCOf(pixel)}
	sized := size
	sized.Type, sized.Words = kindDiscrete, [6]uint32{uint32(w), uint32(h)}
	f.Call("ENUM_FRAMESIZES", &size, &sized, 0)
	rate := rateEnum{Pixel: fourCCOf(pixel), Width: uint32(w), Height: uint32(h)}
	rated := rate
	rated.Type, rated.Intervals[0] = kindDiscrete, fraction{1, 100}
	f.Call("ENUM_FRAMEINTERVALS", &rate, &rated, 0)
	return f
}

// Format is what the camera answers to G_FMT and S_FMT, and the buffers that go with it.
func (f *Fake) Format(pixel string, w, h int, planes ...FakePlane) *Fake {
	f.planes = planes
	set := formatOf(f.typ, wanted{fourCCOf(pixel), w, h})
	in := set
	if m := set.multi(); f.typ.multiplanar() {
		m.NumPlanes = uint8(len(planes))
		for i, p := range planes {
			m.Planes[i] = planeFormat{SizeImage: uint32(p.Size), BytesPerLine: uint32(p.Stride)}
		}
		m.Colorspace = 3
	} else {
		s := set.single()
		s.SizeImage, s.BytesPerLine, s.Colorspace = uint32(planes[0].Size), uint32(planes[0].Stride), 3
	}
	f.Call("G_FMT", &format{Type: f.typ}, &set, 0)
	f.Call("S_FMT", &in, &set, 0)
	r := requestBuffers{Count: FakeBuffers, Type: f.typ, Memory: memoryMapped}
	f.Call("REQBUFS", &r, &r, 0)
	q := newQueue(nil, f.typ)
	q.planes = len(planes)
	for i := range FakeBuffers {
		var in, out bufferCall
		q.prepare(&in, i)
		out = in
		for p := range planes {
			f.buffers++
			length, offset := uint32((planes[p].Size+4095)&^4095), uintptr(f.buffers)<<20
			out.planes[p].M, out.planes[p].Length = offset, length
			if !f.typ.multiplanar() {
				out.buffer.M, out.buffer.Length = offset, length
			}
		}
		f.Call("QUERYBUF", &in, &out, 0)
	}
	return f
}

// Call adds a call and its answer.
func (f *Fake) Call(name string, in, out any, errno unix.Errno) *Fake {
	l := traceLine{T: f.t, Call: name}
	if errno != 0 {
		l.Errno = unix.ErrnoName(errno)
	}
	if in != nil {
		l.In = encode(in)
	}
	if out != nil {
		l.Out = encode(out)
	}
	f.json(l)
	return f
}

func (f *Fake) json(line any) {
	b, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	f.out.Write(append(b, '\n'))
}

// After lets time pass.
func (f *Fake) After(d time.Duration) *Fake {
	f.t += int64(d)
	return f
}

// Start is the stream switched on.
func (f *Fake) Start() *Fake { return f.Call("STREAMON", &f.typ, nil, 0) }

// Skip leaves numbers out, as of pictures that the driver lost.
func (f *Fake) Skip(n int) *Fake {
	f.number += uint32(n)
	return f
}

// Picture adds a picture 10 ms after what was before, of these bytes in each plane; used is
// how many the driver says there are where it is not what is given.
func (f *Fake) Picture(data ...[]byte) *Fake {
	f.After(10 * time.Millisecond)
	return f.picture(0, nil, data)
}

// Damaged adds a picture that the driver marks as such.
func (f *Fake) Damaged() *Fake {
	f.After(10 * time.Millisecond)
	return f.picture(bufError, nil, nil)
}

// Short adds a picture with so few bytes in its first plane.
func (f *Fake) Short(n int) *Fake {
	f.After(10 * time.Millisecond)
	return f.picture(0, &n, nil)
}

func (f *Fake) picture(flags uint32, used *int, data [][]byte) *Fake {
	c := bufferCall{buffer: buffer{Type: f.typ, Memory: memoryMapped, Flags: flags | bufTimeMonotonic, Sequence: f.number}}
	f.number++
	mono := fakeMono + f.t - int64(time.Millisecond)
	c.buffer.Time = timeval{mono / 1e9, mono % 1e9 / 1e3}
	c.buffer.Length = uint32(len(f.planes))
	for i, p := range f.planes {
		n := p.Size
		if i < len(data) && data[i] != nil {
			n = len(data[i])
		}
		if used != nil && i == 0 {
			n = *used
		}
		c.planes[i].BytesUsed = uint32(n)
		if i == 0 {
			c.buffer.BytesUsed = uint32(n)
		}
	}
	f.json(traceLine{T: f.t, Call: "DQBUF", In: encode(&c), Data: data})
	return f
}

// Fault is DQBUF that fails, after poll said what is ready.
func (f *Fake) Fault(errno unix.Errno, ready int16) *Fake {
	f.After(10 * time.Millisecond)
	f.Call("poll", pollCall{Events: unix.POLLIN, Ready: ready}, nil, 0)
	return f.Call("DQBUF", &bufferCall{}, nil, errno)
}

// Refuse is a call that fails at this count of its name.
func (f *Fake) Refuse(name string) *Fake { return f.Call(name, nil, nil, unix.EINVAL) }

// RefuseFirst makes the first call of this name fail.
func (f *Fake) RefuseFirst(name string) *Fake {
	header, rest, _ := strings.Cut(f.out.String(), "\n")
	f.out.Reset()
	f.out.WriteString(header + "\n")
	f.Refuse(name)
	f.out.WriteString(rest)
	return f
}

// Accept is n calls that succeed.
func (f *Fake) Accept(name string, n int) *Fake {
	for range n {
		f.Call(name, &bufferCall{}, nil, 0)
	}
	return f
}

// Change is the event that the signal has another format.
func (f *Fake) Change() *Fake {
	f.After(10 * time.Millisecond)
	e := event{Type: eventSourceChange}
	e.Union[0] = changeResolution
	return f.Call("DQEVENT", &event{}, &e, 0)
}

// Text returns the trace.
func (f *Fake) Text() string { return f.out.String() }

// Trace reads the trace.
func (f *Fake) Trace() *Trace {
	t, err := ReadTrace(strings.NewReader(f.Text()))
	if err != nil {
		panic(err)
	}
	return t
}

// Nodes lists the video nodes of a system whose sysfs lies at sys, Serial the serial number of
// one's device.
func Nodes(sys string) ([]string, error) { return machine{sys: sys}.nodes() }

// Serial returns the serial number of a node's device.
func Serial(sys, name string) string { return machine{sys: sys}.serial(name) }

// Same says whether a camera found at a bus, with a serial number, name and index is the one
// known by the others.
func Same(bus, serial, card string, index int, bus2, serial2, card2 string, index2 int) bool {
	return identity{bus, serial, card, index}.is(identity{bus2, serial2, card2, index2})
}

// ControlName is controlName.
func ControlName(name string) string { return controlName(name) }

// Repack reads an access unit and writes it as a frame of the track would be.
func Repack(codec hal.Codec, b []byte, t *hal.Track) (frame []byte, key, picture bool) {
	u := readUnit(codec, b)
	u.adopt(t)
	out := make([]byte, u.size)
	return out[:u.write(out, t)], u.key, u.picture
}

// ColourOf is colourOf.
func ColourOf(space, transfer, matrix, quantisation uint32) hal.Colour {
	return colourOf(space, transfer, matrix, quantisation)
}

// Timing is timing.
type Timing struct{ timing }

// Follow is timing.follow.
func (t *Timing) Follow(sequence uint32) uint64 { return t.follow(sequence) }

// Place is timing.place.
func (t *Timing) Place(mono int64) time.Duration { return t.place(mono) }

// ParseEvent is parseEvent.
func ParseEvent(b []byte) (Event, bool) { return parseEvent(b) }
