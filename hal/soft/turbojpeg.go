//go:build linux && (386 || amd64 || arm || arm64 || loong64 || riscv64) && !android

package soft

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// turboJPEG is the library's functions, those of TurboJPEG 1.4 and later.
type turboJPEG struct {
	create, destroy, compress, limit, explain uintptr
}

// Values of turbojpeg.h.
const (
	samp420     = 2
	flagNoAlloc = 1024
)

func findTurboJPEG(names []string) (offer, error) {
	handle, name, err := load(names)
	if err != nil {
		return offer{}, err
	}
	fn, err := symbols(name, handle, "tjInitCompress", "tjDestroy", "tjCompressFromYUVPlanes", "tjBufSize", "tjGetErrorStr")
	if err != nil {
		return offer{}, err
	}
	lib := &turboJPEG{create: fn[0], destroy: fn[1], compress: fn[2], limit: fn[3], explain: fn[4]}
	return offer{
		EncoderInfo: hal.EncoderInfo{
			Name: nameTurboJPEG, Codec: hal.MJPEG, Inputs: inputs(), Rank: rankLibrary, Detail: name,
		},
		open: func(cfg hal.EncoderConfig) (coder, error) { return lib.open(cfg) },
	}, nil
}

// turboCoder is one compressor and its room for the largest file that can come out.
type turboCoder struct {
	planar
	lib     *turboJPEG
	handle  uintptr
	arena   *pool.Arena
	stream  *hal.Stream
	quality int

	args   [10]uintptr
	planes [3]*byte
	stride [3]int32
	room   []byte // the kernel gives memory only to what is written
	file   *byte
	size   uintptr // C's unsigned long
}

func (l *turboJPEG) open(cfg hal.EncoderConfig) (*turboCoder, error) {
	limit, _, _ := purego.SyscallN(l.limit, uintptr(cfg.Input.Width), uintptr(cfg.Input.Height), samp420)
	if limit == 0 || limit > 1<<30 {
		return nil, fmt.Errorf("%w: turbojpeg refuses %dx%d", hal.ErrUnsupported, cfg.Input.Width, cfg.Input.Height)
	}
	c := &turboCoder{
		lib: l, arena: cfg.Arena, stream: jpegStream(cfg.Input), quality: cfg.Quality, room: make([]byte, limit),
	}
	c.convert.Expand = !cfg.Input.Colour.FullRange
	if c.handle, _, _ = purego.SyscallN(l.create); c.handle == 0 {
		return nil, fmt.Errorf("turbojpeg makes no compressor: %s", l.reason())
	}
	return c, nil
}

func (c *turboCoder) encode(p pixel.Picture, _ hal.Stamp, _ bool) (coded, error) {
	p, err := c.i420(p)
	if err != nil {
		return coded{}, err
	}
	for i := range 3 {
		c.planes[i], c.stride[i] = unsafe.SliceData(p.Plane[i]), int32(p.Stride[i])
	}
	c.file, c.size = unsafe.SliceData(c.room), uintptr(len(c.room))
	c.args = [10]uintptr{ // in c, for a list of them would be a new one for each picture
		c.handle, uintptr(unsafe.Pointer(&c.planes)), uintptr(p.Width), uintptr(unsafe.Pointer(&c.stride)), uintptr(p.Height),
		samp420, uintptr(unsafe.Pointer(&c.file)), uintptr(unsafe.Pointer(&c.size)), uintptr(c.quality), flagNoAlloc,
	}
	r, _, _ := purego.SyscallN(c.lib.compress, c.args[:]...)
	runtime.KeepAlive(p)
	runtime.KeepAlive(c)
	c.planes = [3]*byte{}
	if int32(r) != 0 || c.size > uintptr(len(c.room)) {
		return coded{}, fmt.Errorf("turbojpeg fails on a picture: %s", c.lib.reason())
	}
	return store(c.arena, c.room[:c.size], c.stream)
}

func (c *turboCoder) close() {
	if c.handle != 0 {
		purego.SyscallN(c.lib.destroy, c.handle)
		c.handle = 0
	}
}

// reason is the library's last error in words.
func (l *turboJPEG) reason() string {
	text, _, _ := purego.SyscallN(l.explain)
	p := *(**byte)(unsafe.Pointer(&text)) // C's own memory, which Go's does not move
	if p == nil {
		return "no reason given"
	}
	n := 0
	for n < 200 && *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
