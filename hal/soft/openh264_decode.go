//go:build linux && (386 || amd64 || arm || arm64 || loong64 || riscv64) && !android

package soft

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// The methods of ISVCDecoder by their place in its table.
const (
	decodeInitialize   = 0
	decodeUninitialize = 1
	decodeNoDelay      = 3
	decodeFlush        = 5
	decodeSetOption    = 8
)

// Values of openh264's enums for its decoder.
const (
	decodeTraceLevel = 9
	bitstreamAVC     = 0
)

// decodeParams is SDecodingParam, the same from 2.1 to 2.6.
type decodeParams struct {
	_          *byte // a file's name
	_          uint32
	layer      uint8
	concealing int32 // 0: none, so that a picture with holes is an error
	_          uint8
	size, kind uint32 // of the bit stream
}

// decodedPicture is SBufferInfo: an int, two 64-bit time stamps, the picture's width, height,
// format and two strides, and pointers that we do not need.
type decodedPicture struct{ words [16]uint64 }

// picture returns what stands behind the time stamps, which only 386 aligns to four bytes.
func (p *decodedPicture) picture() (ready bool, width, height int, stride [2]int) {
	at := uintptr(24)
	if runtime.GOARCH == "386" {
		at = 20
	}
	word := func(offset uintptr) int {
		return int(*(*int32)(unsafe.Add(unsafe.Pointer(&p.words[0]), offset)))
	}
	return word(0) == 1, word(at), word(at + 4), [2]int{word(at + 12), word(at + 16)}
}

// stampsAt is where the two time stamps are: what goes in with a unit, and what comes out with its
// picture.
func stampsAt() (in, out uintptr) {
	if runtime.GOARCH == "386" {
		return 4, 12
	}
	return 8, 16
}

func (p *decodedPicture) half(offset uintptr) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(&p.words[0]), offset))
}

func (p *decodedPicture) setNumber(n uint64) {
	in, _ := stampsAt()
	*p.half(in), *p.half(in + 4) = uint32(n), uint32(n>>32) //nolint:gosec // both halves, on purpose
}

func (p *decodedPicture) number() uint64 {
	_, out := stampsAt()
	return uint64(*p.half(out)) | uint64(*p.half(out + 4))<<32
}

// h264Decoder is one ISVCDecoder.
type h264Decoder struct {
	this    **[9]uintptr // the object begins with the pointer to its methods
	destroy uintptr
	args    [5]uintptr
	planes  [3]*byte
	info    decodedPicture
	units   uint64 // that were decoded
}

// newLone makes a decoder of lone key frames.
func (d Driver) newLone() (loneDecoder, error) { //nolint:ireturn // other systems have none
	c, err := d.newH264Decoder()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// lone decodes a key frame. After an error the decoder is of no use for another one.
func (c *h264Decoder) lone(t *hal.Track, unit []byte, room pool.Buffer, arena *pool.Arena) (hal.Frame, error) {
	c.units++
	c.info.setNumber(c.units)
	err := c.decode(annexB(t, unit))
	if err == nil && c.info.number() != c.units {
		err = errors.New("openh264 gives the picture of another key frame")
	}
	if err != nil {
		room.Release()
		return hal.Frame{}, err
	}
	return c.collect(t, room, arena)
}

// newH264Decoder makes and sets up the library's decoder.
func (d Driver) newH264Decoder() (*h264Decoder, error) {
	handle, name, err := load(d.openH264Names())
	if err != nil {
		return nil, fmt.Errorf("%w: openh264: %s", hal.ErrNoDevice, advice(nameOpenH264))
	}
	fn, err := symbols(name, handle, "WelsCreateDecoder", "WelsDestroyDecoder")
	if err != nil {
		return nil, err
	}
	c := &h264Decoder{destroy: fn[1]}
	if r, _, _ := purego.SyscallN(fn[0], uintptr(unsafe.Pointer(&c.this))); r != 0 || c.this == nil {
		return nil, fmt.Errorf("openh264 makes no decoder: %d", int32(r))
	}
	level := new(int32) // 0: quiet
	c.call(decodeSetOption, decodeTraceLevel, uintptr(unsafe.Pointer(level)), 0, 0)
	params := &decodeParams{layer: 255, size: 8, kind: bitstreamAVC}
	if r := c.call(decodeInitialize, uintptr(unsafe.Pointer(params)), 0, 0, 0); r != 0 {
		purego.SyscallN(c.destroy, uintptr(unsafe.Pointer(c.this)))
		return nil, fmt.Errorf("openh264's decoder does not start: %d", r)
	}
	return c, nil
}

func (c *h264Decoder) close() {
	if c.this == nil {
		return
	}
	c.call(decodeUninitialize, 0, 0, 0, 0)
	purego.SyscallN(c.destroy, uintptr(unsafe.Pointer(c.this)))
	c.this = nil
}

// annexB is a key frame as openh264 wants it: start codes, the parameter sets first.
func annexB(t *hal.Track, unit []byte) []byte {
	return appendAnnexB(make([]byte, 0, len(unit)+len(t.SPS)+len(t.PPS)+2*nal.PrefixLen), t, unit)
}

// appendAnnexB appends an access unit with start codes, the track's parameter sets first where
// there is a track.
func appendAnnexB(out []byte, t *hal.Track, unit []byte) []byte {
	add := func(u []byte) { out = append(append(out, 0, 0, 0, 1), u...) }
	if t != nil {
		for _, set := range [][]byte{t.SPS, t.PPS} {
			if len(set) > 0 {
				add(set)
			}
		}
	}
	for walk := nal.Prefixed(unit); ; {
		u, ok := walk.Next()
		if !ok {
			return out
		}
		add(u)
	}
}

// decode has the library decode an access unit and give up the picture, which a decoder that
// waits for B-frames otherwise keeps until more comes.
func (c *h264Decoder) decode(stream []byte) error {
	if len(stream) == 0 {
		return errors.New("a key frame without a byte")
	}
	r := c.call(decodeNoDelay, uintptr(unsafe.Pointer(unsafe.SliceData(stream))), uintptr(len(stream)),
		uintptr(unsafe.Pointer(&c.planes)), uintptr(unsafe.Pointer(&c.info)))
	runtime.KeepAlive(stream)
	if r != 0 {
		return fmt.Errorf("openh264 cannot decode the key frame: %#x", uint32(r)) //nolint:gosec // flags
	}
	if ready, _, _, _ := c.info.picture(); ready {
		return nil
	}
	if r := c.call(decodeFlush, uintptr(unsafe.Pointer(&c.planes)), uintptr(unsafe.Pointer(&c.info)), 0, 0); r != 0 {
		return fmt.Errorf("openh264 cannot decode the key frame: %#x", uint32(r)) //nolint:gosec // flags
	}
	if ready, _, _, _ := c.info.picture(); !ready {
		return errors.New("openh264 makes no picture of the key frame")
	}
	return nil
}

// collect copies the picture out of the library's memory: into room, which it owns, where that is as
// large, else into memory of the arena.
func (c *h264Decoder) collect(t *hal.Track, room pool.Buffer, arena *pool.Arena) (hal.Frame, error) {
	_, width, height, stride := c.info.picture()
	width, height = width&^1, height&^1
	layout, err := hal.PackedLayout(hal.I420, width, height)
	if err != nil || stride[0] < width || stride[1] < width/2 || c.planes[0] == nil || c.planes[1] == nil || c.planes[2] == nil {
		hal.Frame{Buf: room}.Release()
		return hal.Frame{}, fmt.Errorf("openh264 gives a picture of %dx%d that cannot be used", width, height)
	}
	if room.IsZero() || room.Len() != layout.Size {
		hal.Frame{Buf: room}.Release()
		if room, err = arena.Get(layout.Size); err != nil {
			return hal.Frame{}, err
		}
	}
	dst, err := pixel.Over(hal.I420, width, height, room.Bytes())
	if err != nil {
		room.Release()
		return hal.Frame{}, err
	}
	c.copyTo(dst, stride)
	return hal.Frame{Buf: room, Key: true, Stream: &hal.Stream{Tracks: []hal.Track{{
		Codec: hal.Raw, TimeScale: t.TimeScale, Width: width, Height: height, Layout: layout, Colour: t.Colour,
	}}}}, nil
}

// copyTo copies the planes, whose lines lie stride apart: of luma, and of chroma.
func (c *h264Decoder) copyTo(dst pixel.Picture, stride [2]int) {
	for i, from := range c.planes {
		wide, lines, step := dst.Width, dst.Height, stride[0]
		if i > 0 {
			wide, lines, step = wide/2, lines/2, stride[1]
		}
		for y := range lines {
			copy(dst.Plane[i][y*dst.Stride[i]:][:wide], unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(from), y*step)), wide))
		}
	}
}

// call calls a method; what it does not take does no harm. See h264Coder.call.
//
//go:uintptrescapes
func (c *h264Decoder) call(method int, a, b, p, q uintptr) int32 {
	c.args = [5]uintptr{uintptr(unsafe.Pointer(c.this)), a, b, p, q}
	r, _, _ := purego.SyscallN((*c.this)[method], c.args[:]...)
	runtime.KeepAlive(c)
	return int32(r) //nolint:gosec // C's int
}
