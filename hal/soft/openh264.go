//go:build linux && (386 || amd64 || arm || arm64 || loong64 || riscv64) && !android

package soft

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// openH264 is the library: its functions, and the size of a layer in what it writes.
type openH264 struct {
	create, destroy uintptr
	layerSize       uintptr
}

func findOpenH264(names []string) (offer, error) {
	handle, name, err := load(names)
	if err != nil {
		return offer{}, err
	}
	fn, err := symbols(name, handle, "WelsCreateSVCEncoder", "WelsDestroySVCEncoder", "WelsGetCodecVersionEx")
	if err != nil {
		return offer{}, err
	}
	version := new([8]uint32) // major, minor, revision
	purego.SyscallN(fn[2], uintptr(unsafe.Pointer(version)))
	lib := &openH264{create: fn[0], destroy: fn[1], layerSize: layerSize}
	switch major, minor := version[0], version[1]; {
	case major == 2 && minor == 6:
		lib.layerSize = layerSize6
	case major != 2 || minor < 1 || minor > 6:
		return offer{}, fmt.Errorf("%s is version %d.%d.%d: 2.1 to 2.6 can be used", name, major, minor, version[2])
	}
	return offer{
		EncoderInfo: hal.EncoderInfo{
			Name: nameOpenH264, Codec: hal.H264, Inputs: inputs(), Rank: rankLibrary,
			Detail: fmt.Sprintf("%s (%d.%d.%d)", name, version[0], version[1], version[2]),
		},
		open: func(cfg hal.EncoderConfig) (coder, error) { return lib.open(cfg) },
	}, nil
}

// The methods of ISVCEncoder by their place in its table.
const (
	methodInitialize   = 1
	methodDefaults     = 2
	methodUninitialize = 3
	methodEncode       = 4
	methodForceIntra   = 6
	methodSetOption    = 7
)

// Values of openh264's enums.
const (
	optionTraceLevel = 25
	formatI420       = 23
	rateBitrate      = 1
	profileBaseline  = 66
	profileMain      = 77
	profileHigh      = 100
)

// h264Coder is one ISVCEncoder.
type h264Coder struct {
	planar
	lib     *openH264
	cfg     hal.EncoderConfig
	coarse  int          // how many of the floors have been tried
	this    **[9]uintptr // the object begins with the pointer to its methods
	arena   *pool.Arena
	track   hal.Track
	stream  *hal.Stream
	args    [3]uintptr
	picture sourcePicture
	info    frameInfo
	refresh bool // the frame before was lost: a decoder needs a key frame
}

func (l *openH264) open(cfg hal.EncoderConfig) (*h264Coder, error) {
	c := &h264Coder{lib: l, cfg: cfg, arena: cfg.Arena, track: hal.Track{
		Codec: hal.H264, TimeScale: cfg.Input.TimeScale, Width: cfg.Input.Width, Height: cfg.Input.Height,
		FrameRate: cfg.Input.FrameRate, Colour: cfg.Input.Colour,
	}}
	if err := c.begin(); err != nil {
		return nil, err
	}
	return c, nil
}

// begin makes and sets up the library's encoder.
func (c *h264Coder) begin() error {
	profile, cabac, err := parseProfile(c.cfg.Profile)
	if err != nil {
		return err
	}
	if r, _, _ := purego.SyscallN(c.lib.create, uintptr(unsafe.Pointer(&c.this))); r != 0 || c.this == nil {
		return fmt.Errorf("openh264 makes no encoder: %d", int32(r))
	}
	level := new(int32) // 0: quiet
	c.call(methodSetOption, optionTraceLevel, uintptr(unsafe.Pointer(level)))
	params := new(encodeParams)
	if r := c.call(methodDefaults, uintptr(unsafe.Pointer(params)), 0); r != 0 {
		c.close()
		return fmt.Errorf("openh264 has no defaults: %d", r)
	}
	fill(params, c.cfg, profile, cabac)
	if c.coarse > 0 {
		params.minQP = floors()[c.coarse-1]
	}
	if r := c.call(methodInitialize, uintptr(unsafe.Pointer(params)), 0); r != 0 {
		c.close()
		return fmt.Errorf("%w: openh264 refuses %dx%d, %d bit/s, a key frame every %d, profile %q: %d",
			hal.ErrUnsupported, params.width, params.height, params.bitrate, params.intraPeriod, c.cfg.Profile, r)
	}
	c.picture = sourcePicture{format: formatI420, width: params.width, height: params.height}
	return nil
}

// floors are the least quantiser steps that are tried one after the other when a picture was too
// much for the library's buffers: white noise at a high bit rate needs about 26 (measured, 2.3.1).
func floors() [floorCount]int32 { return [...]int32{26, 32, 40} }

const floorCount = 3

// coarser replaces the library's encoder, which is of no use after it failed, by one with a
// coarser quantiser. It returns false where that was the last.
func (c *h264Coder) coarser(code int32) bool {
	if c.coarse == floorCount {
		return false
	}
	c.coarse++
	c.cfg.Log.Warn("openh264 cannot encode a picture this fine; it goes on coarser",
		"code", code, "quantiser", floors()[c.coarse-1], "bitrate", c.cfg.Bitrate)
	c.close()
	return c.begin() == nil
}

func parseProfile(name string) (idc, cabac int32, err error) {
	switch name {
	case "", "baseline": // the encoder's choice is what every decoder plays
		return profileBaseline, 0, nil
	case "main":
		return profileMain, 1, nil
	case "high":
		return profileHigh, 1, nil
	}
	return 0, 0, fmt.Errorf("%w: profile %q: one of baseline, main, high", hal.ErrUnsupported, name)
}

func fill(p *encodeParams, cfg hal.EncoderConfig, profile, cabac int32) {
	rate := cfg.Input.FrameRate
	if rate <= 0 || math.IsNaN(rate) || rate > 1000 {
		rate = 25
	}
	bitrate := cfg.Bitrate
	if bitrate == 0 { // a tenth of a bit for each pixel
		bitrate = int(float64(cfg.Input.Width*cfg.Input.Height) * rate / 10)
	}
	gop := cfg.GOP
	if gop == 0 {
		gop = max(1, int(math.Round(2*rate)))
	}
	p.usage = 0 // a camera, in real time
	p.width, p.height = int32(cfg.Input.Width), int32(cfg.Input.Height)
	p.bitrate, p.maxBitrate, p.rateMode = int32(bitrate), 0, rateBitrate
	p.frameRate = float32(rate)
	p.temporal, p.spatial = 1, 1
	p.complexity = 0
	p.intraPeriod = uint32(gop)
	p.parameterSetIDs = 0 // the same at each key frame, so that the stream stays the same
	p.cabac = cabac
	p.frameSkip, p.sceneChange, p.denoise, p.longTerm = 0, 0, 0, 0
	p.threads = 1 // channels stand side by side; a library's threads would be nobody's share
	l := &p.layers[0]
	l.width, l.height, l.frameRate = p.width, p.height, p.frameRate
	l.bitrate, l.maxBitrate = p.bitrate, 0
	l.profile = profile
	if colour := cfg.Input.Colour; colour != (hal.Colour{}) {
		l.signalPresent, l.videoFormat = 1, 5 // format unspecified
		if colour.FullRange {
			l.fullRange = 1
		}
		l.colourPresent = 1
		l.primaries, l.transfer, l.matrix = named(colour.Primaries), named(colour.Transfer), named(colour.Matrix)
	}
}

// named turns an unknown code point, 0, into the one that says so.
func named(code uint8) uint8 {
	if code == 0 {
		return 2
	}
	return code
}

// call calls a method; what it does not take does no harm. Pointers among the arguments must be
// to the heap: the pragma keeps them there, and alive until the end. The arguments stand in c
// because a list of them would be a new one for each call.
//
//go:uintptrescapes
func (c *h264Coder) call(method int, a, b uintptr) int32 {
	c.args = [3]uintptr{uintptr(unsafe.Pointer(c.this)), a, b}
	r, _, _ := purego.SyscallN((*c.this)[method], c.args[:]...)
	runtime.KeepAlive(c)
	return int32(r) //nolint:gosec // C's int
}

func (c *h264Coder) encode(p pixel.Picture, stamp hal.Stamp, key bool) (coded, error) {
	p, err := c.i420(p)
	if err != nil {
		return coded{}, err
	}
	r := c.run(p, stamp, key || c.refresh)
	for r != 0 && c.coarser(r) {
		r = c.run(p, stamp, true)
	}
	if r != 0 {
		c.refresh = true
		return coded{}, fmt.Errorf("openh264 fails on a picture: %d", r)
	}
	return c.collect()
}

// run has the library encode a picture; what comes of it is in info.
func (c *h264Coder) run(p pixel.Picture, stamp hal.Stamp, key bool) int32 {
	if c.this == nil {
		return -1
	}
	for i := range 3 {
		c.picture.planes[i], c.picture.stride[i] = unsafe.SliceData(p.Plane[i]), int32(p.Stride[i])
	}
	c.picture.setStamp(int64(stamp.PTS / time.Millisecond))
	if key {
		c.call(methodForceIntra, 1, ^uintptr(0)) // an IDR picture, of every layer
	}
	r := c.call(methodEncode, uintptr(unsafe.Pointer(&c.picture)), uintptr(unsafe.Pointer(&c.info)))
	runtime.KeepAlive(p)
	c.picture.planes = [4]*byte{}
	return r
}

// collect joins the NAL units that the library holds into one frame.
func (c *h264Coder) collect() (coded, error) {
	size, key := 0, false
	sps, pps := c.track.SPS, c.track.PPS
	for w := c.units(); w.next(); {
		switch k := w.kind(); {
		case k == nal.SPS:
			sps = w.nal
		case k == nal.PPS:
			pps = w.nal
		case k != nal.Delimiter:
			key = key || k == nal.Key
			size += nal.PrefixLen + len(w.nal)
		}
	}
	if size == 0 {
		c.refresh = true
		return coded{}, nil
	}
	c.learn(sps, pps)
	buf, err := c.arena.Get(size)
	if err != nil {
		c.refresh = true
		return coded{}, err
	}
	out := buf.Bytes()
	for w := c.units(); w.next(); {
		if k := w.kind(); !k.IsSet() && k != nal.Delimiter {
			out = out[nal.Put(out, w.nal):]
		}
	}
	c.refresh = false
	return coded{buf: buf, stream: c.stream, key: key}, nil
}

// units walks over the NAL units in the library's own memory.
type units struct {
	info    *frameInfo
	size    uintptr // of a layer
	layer   int     // the next one
	lengths []int32 // of this layer's units to come
	rest    *byte   // where they lie
	nal     []byte  // the unit, without its start code, not empty
}

func (c *h264Coder) units() units { return units{info: &c.info, size: c.lib.layerSize} }

func (w *units) kind() nal.Kind { return nal.KindOf(hal.H264, w.nal[0]) }

func (w *units) next() bool {
	for {
		for len(w.lengths) > 0 {
			n := w.lengths[0]
			w.lengths = w.lengths[1:]
			w.nal = withoutStartCode(unsafe.Slice(w.rest, n))
			w.rest = (*byte)(unsafe.Add(unsafe.Pointer(w.rest), n))
			if len(w.nal) > 0 {
				return true
			}
		}
		if w.layer >= w.info.layers() {
			return false
		}
		l := w.info.layer(w.layer, w.size)
		w.layer++
		if l.bytes != nil && l.lengths != nil && l.nals > 0 {
			w.rest, w.lengths = l.bytes, unsafe.Slice(l.lengths, l.nals)
		}
	}
}

func withoutStartCode(nal []byte) []byte {
	for i, b := range nal {
		if b == 1 && i >= 2 {
			return nal[i+1:]
		}
		if b != 0 {
			break
		}
	}
	return nil
}

// learn makes a new stream where the parameter sets are others than before.
func (c *h264Coder) learn(sps, pps []byte) {
	if c.stream != nil && bytes.Equal(sps, c.track.SPS) && bytes.Equal(pps, c.track.PPS) {
		return
	}
	c.track.SPS, c.track.PPS = slices.Clone(sps), slices.Clone(pps)
	c.stream = &hal.Stream{Tracks: []hal.Track{c.track}}
}

func (c *h264Coder) close() {
	if c.this == nil {
		return
	}
	c.call(methodUninitialize, 0, 0)
	purego.SyscallN(c.lib.destroy, uintptr(unsafe.Pointer(c.this)))
	c.this = nil
}
