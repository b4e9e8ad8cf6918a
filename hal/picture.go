package hal

import (
	"fmt"
	"slices"
)

// PixelFormat is how a raw picture's samples are arranged, by V4L2's names.
type PixelFormat uint8

// The pixel formats. NM12 and YM12 are NV12 and I420 with each plane in memory of its own.
const (
	PixelUnknown PixelFormat = iota
	I420
	YUYV
	UYVY
	NV12
	NV21
	NM12
	YM12
)

func pixelNames() [8]string {
	return [...]string{"unknown", "i420", "yuyv", "uyvy", "nv12", "nv21", "nm12", "ym12"}
}

func (p PixelFormat) String() string {
	names := pixelNames()
	if int(p) >= len(names) {
		return fmt.Sprintf("pixel(%d)", uint8(p))
	}
	return names[p]
}

// ParsePixelFormat is the inverse of String.
func ParsePixelFormat(name string) (PixelFormat, error) {
	names := pixelNames()
	if i := slices.Index(names[:], name); i > 0 {
		return PixelFormat(i), nil
	}
	return PixelUnknown, fmt.Errorf("unknown pixel format %q: one of %v", name, names[1:])
}

// Plane is where the samples of one plane begin and how far apart its lines are.
type Plane struct {
	Memory int // which of the buffer's planes of memory
	Offset int // bytes into it
	Stride int // bytes from one line to the next
}

// Layout is how raw pictures lie in their buffers. Packed formats (YUYV, UYVY) use plane 0,
// semi-planar ones (NV12, NV21, NM12) 0 and 1, planar ones (I420, YM12) all three.
type Layout struct {
	Pixel  PixelFormat
	Planes [3]Plane
	Size   int // bytes of a whole picture over all planes of memory
}

// PackedLayout returns the layout without padding, all planes one after the other in one
// piece of memory. Width and height must be even.
func PackedLayout(p PixelFormat, width, height int) (Layout, error) {
	if width < 2 || height < 2 || width%2 != 0 || height%2 != 0 || width > 16384 || height > 16384 {
		return Layout{}, fmt.Errorf("a picture of %dx%d: both must be even, 2 to 16384", width, height)
	}
	l, luma := Layout{Pixel: p}, width*height
	switch p {
	case YUYV, UYVY:
		l.Planes[0].Stride = 2 * width
		l.Size = 2 * luma
	case NV12, NV21:
		l.Planes = [3]Plane{{Stride: width}, {Offset: luma, Stride: width}}
		l.Size = luma * 3 / 2
	case I420:
		l.Planes = [3]Plane{{Stride: width}, {Offset: luma, Stride: width / 2}, {Offset: luma * 5 / 4, Stride: width / 2}}
		l.Size = luma * 3 / 2
	case PixelUnknown, NM12, YM12:
		return Layout{}, fmt.Errorf("%s has no layout in one piece of memory", p)
	}
	return l, nil
}

// Colour is how samples map to light, by the code points of ISO/IEC 23091-2; 0 is unknown.
type Colour struct {
	Primaries, Transfer, Matrix uint8
	FullRange                   bool
}
