package pixel

import (
	"fmt"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Picture is a raw picture's samples where they lie. It is passed by value and owns nothing.
// NM12 and YM12 are seen as NV12 and I420: which memory a plane is in no longer matters.
type Picture struct {
	Format        hal.PixelFormat
	Width, Height int       // even
	Plane         [3][]byte // each begins at the plane's first sample
	Stride        [3]int    // bytes from one line of a plane to the next
}

// maxSide and maxStride bound what a layout from outside can make us compute.
const (
	maxSide   = 16384
	maxStride = 1 << 20
)

// View returns the picture in b, which the track describes. A layout that does not fit the
// size or the memory is an error, so that what it returns can be walked without a check.
func View(t *hal.Track, b pool.Buffer) (Picture, error) {
	p := Picture{Format: flat(t.Layout.Pixel), Width: t.Width, Height: t.Height}
	if err := checkSize(t.Width, t.Height); err != nil {
		return Picture{}, err
	}
	n := planes(p.Format)
	if n == 0 {
		return Picture{}, fmt.Errorf("pixel format %s is not one that can be read", t.Layout.Pixel)
	}
	for i := range n {
		l := t.Layout.Planes[i]
		if l.Memory < 0 || l.Memory >= b.Planes() {
			return Picture{}, fmt.Errorf("plane %d lies in memory %d of %d", i, l.Memory, b.Planes())
		}
		mem := b.Plane(l.Memory)
		row, lines := p.row(i), p.lines(i)
		if l.Stride < row || l.Stride > maxStride || l.Offset < 0 || l.Offset > len(mem) ||
			int64(lines-1)*int64(l.Stride)+int64(row) > int64(len(mem)-l.Offset) {
			return Picture{}, fmt.Errorf("plane %d: %d lines of %d bytes, %d apart from byte %d on, do not fit into %d bytes",
				i, lines, row, l.Stride, l.Offset, len(mem))
		}
		p.Plane[i], p.Stride[i] = mem[l.Offset:], l.Stride
	}
	return p, nil
}

// New returns a picture with memory of its own, without padding: I420, NV12 or a packed format.
func New(format hal.PixelFormat, width, height int) (Picture, error) {
	l, err := hal.PackedLayout(format, width, height)
	if err != nil {
		return Picture{}, err
	}
	return of(l, width, height, make([]byte, l.Size)), nil
}

// Over returns the picture that a packed layout makes of mem.
func Over(format hal.PixelFormat, width, height int, mem []byte) (Picture, error) {
	l, err := hal.PackedLayout(format, width, height)
	if err != nil {
		return Picture{}, err
	}
	if len(mem) < l.Size {
		return Picture{}, fmt.Errorf("a picture of %d bytes in %d", l.Size, len(mem))
	}
	return of(l, width, height, mem), nil
}

func of(l hal.Layout, width, height int, mem []byte) Picture {
	p := Picture{Format: l.Pixel, Width: width, Height: height}
	for i := range planes(l.Pixel) {
		p.Plane[i], p.Stride[i] = mem[l.Planes[i].Offset:], l.Planes[i].Stride
	}
	return p
}

// Crop returns the track of a part of t's pictures: the samples stay where they are, only the
// layout changes. All four numbers must be even and the part must lie inside.
func Crop(t hal.Track, x, y, width, height int) (hal.Track, error) {
	if x < 0 || y < 0 || (x|y)%2 != 0 || checkSize(width, height) != nil ||
		x > t.Width-width || y > t.Height-height {
		return hal.Track{}, fmt.Errorf("crop %dx%d at %d,%d of %dx%d: even numbers, inside the picture",
			width, height, x, y, t.Width, t.Height)
	}
	format := flat(t.Layout.Pixel)
	for i := range planes(format) {
		p := &t.Layout.Planes[i]
		switch {
		case planes(format) == 1:
			p.Offset += y*p.Stride + 2*x
		case i == 0:
			p.Offset += y*p.Stride + x
		case planes(format) == 2:
			p.Offset += y/2*p.Stride + x
		default:
			p.Offset += y/2*p.Stride + x/2
		}
	}
	t.Width, t.Height = width, height
	return t, nil
}

func checkSize(width, height int) error {
	if width < 2 || height < 2 || width > maxSide || height > maxSide || (width|height)%2 != 0 {
		return fmt.Errorf("a picture of %dx%d: both must be even, 2 to %d", width, height, maxSide)
	}
	return nil
}

// flat is the format regardless of which memory its planes are in.
func flat(f hal.PixelFormat) hal.PixelFormat {
	switch f {
	case hal.NM12:
		return hal.NV12
	case hal.YM12:
		return hal.I420
	case hal.PixelUnknown, hal.I420, hal.YUYV, hal.UYVY, hal.NV12, hal.NV21:
	}
	return f
}

// planes returns how many planes a format has, 0 for one that is not known.
func planes(f hal.PixelFormat) int {
	switch f {
	case hal.YUYV, hal.UYVY:
		return 1
	case hal.NV12, hal.NV21, hal.NM12:
		return 2
	case hal.I420, hal.YM12:
		return 3
	case hal.PixelUnknown:
	}
	return 0
}

// row returns the bytes of a line of plane i that carry samples.
func (p Picture) row(i int) int {
	switch {
	case planes(p.Format) == 1:
		return 2 * p.Width
	case planes(p.Format) == 3 && i > 0:
		return p.Width / 2
	}
	return p.Width
}

// lines returns the lines of plane i.
func (p Picture) lines(i int) int {
	if i > 0 {
		return p.Height / 2
	}
	return p.Height
}

// line returns line y of plane i, its samples alone.
func (p Picture) line(i, y int) []byte {
	return p.Plane[i][y*p.Stride[i]:][:p.row(i)]
}
