package v4l2

import (
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// picture is a format that is set, in the words of hal.
type picture struct {
	known
	width, height int
	colour        hal.Colour
	layout        hal.Layout     // of raw pictures
	need          [maxPlanes]int // bytes that a whole raw picture has in each piece of memory
	offsets       [maxPlanes]int // where the picture begins in each
	sizes         []int          // bytes of each piece of memory, as the driver says
}

// describe reads a format that the driver has set. What it says is checked, because pictures
// are read by it.
func describe(f *format) (picture, error) {
	p := picture{}
	var strides []int
	var pixel fourCC
	field := f.single().Field // of either API at the same place
	if f.Type.multiplanar() {
		m := f.multi()
		pixel, p.width, p.height = m.Pixel, int(m.Width), int(m.Height)
		p.colour = colourOf(m.Colorspace, uint32(m.XferFunc), uint32(m.YcbcrEnc), uint32(m.Quant))
		for i := range min(int(m.NumPlanes), maxPlanes) {
			p.sizes = append(p.sizes, int(m.Planes[i].SizeImage))
			strides = append(strides, int(m.Planes[i].BytesPerLine))
		}
	} else {
		s := f.single()
		pixel, p.width, p.height = s.Pixel, int(s.Width), int(s.Height)
		p.colour = colourOf(s.Colorspace, s.XferFunc, s.YcbcrEnc, s.Quant)
		p.sizes, strides = []int{int(s.SizeImage)}, []int{int(s.BytesPerLine)}
	}
	var ok bool
	if p.known, ok = lookup(pixel); !ok {
		return p, fmt.Errorf("%w: the camera delivers %s: choose one of its other formats", hal.ErrUnsupported, pixel)
	}
	if p.width < 2 || p.height < 2 || p.width > maxSize || p.height > maxSize || len(p.sizes) == 0 {
		return p, fmt.Errorf("%w: pictures of %dx%d in %d planes", hal.ErrUnsupported, p.width, p.height, len(p.sizes))
	}
	if field >= fieldApart && field <= fieldAlternate {
		return p, fmt.Errorf("%w: the camera delivers the two fields of a picture apart (field order %d): choose a progressive mode", hal.ErrUnsupported, field)
	}
	if p.codec != hal.Raw {
		return p, nil
	}
	return p, p.lay(strides)
}

// lay places the planes of a raw picture in memory.
func (p *picture) lay(strides []int) error {
	if p.width%2 != 0 || p.height%2 != 0 {
		return fmt.Errorf("%w: raw pictures of %dx%d: both must be even", hal.ErrUnsupported, p.width, p.height)
	}
	least := p.width
	if p.known.layout == hal.YUYV || p.known.layout == hal.UYVY {
		least *= 2
	}
	stride := strides[0]
	if stride == 0 {
		stride = least
	}
	if stride < least || stride > 8*maxSize {
		return fmt.Errorf("%w: lines of %d bytes for %d pixels of %s", hal.ErrUnsupported, stride, p.width, p.pixel)
	}
	p.layout = hal.Layout{Pixel: p.known.layout}
	if err := p.arrange(stride, strides); err != nil {
		return err
	}
	for i, n := range p.need[:len(p.sizes)] {
		if p.sizes[i] < n {
			return fmt.Errorf("%w: plane %d of %s has %d bytes where a picture of %dx%d needs %d",
				hal.ErrUnsupported, i, p.pixel, p.sizes[i], p.width, p.height, n)
		}
		p.layout.Size += n
	}
	return nil
}

// arrange places the planes one after the other, or each in memory of its own.
func (p *picture) arrange(stride int, strides []int) error {
	half := p.height / 2
	l := &p.layout.Planes
	switch p.known.layout {
	case hal.YUYV, hal.UYVY:
		l[0] = hal.Plane{Stride: stride}
		p.need[0] = stride * p.height
	case hal.NV12, hal.NV21:
		l[0], l[1] = hal.Plane{Stride: stride}, hal.Plane{Offset: stride * p.height, Stride: stride}
		p.need[0] = stride * (p.height + half)
	case hal.I420:
		c := stride / 2
		l[0], l[1] = hal.Plane{Stride: stride}, hal.Plane{Offset: stride * p.height, Stride: c}
		l[2] = hal.Plane{Offset: stride*p.height + c*half, Stride: c}
		p.need[0] = stride*p.height + 2*c*half
	case hal.NM12, hal.YM12:
		return p.apart(stride, strides, half)
	case hal.PixelUnknown:
	}
	return nil
}

// apart places planes that lie in separate memory.
func (p *picture) apart(stride int, strides []int, half int) error {
	planes, least := 2, p.width
	if p.known.layout == hal.YM12 {
		planes, least = 3, p.width/2
	}
	if len(p.sizes) != planes {
		return fmt.Errorf("%w: %s in %d planes of memory", hal.ErrUnsupported, p.pixel, len(p.sizes))
	}
	p.layout.Planes[0] = hal.Plane{Stride: stride}
	p.need[0] = stride * p.height
	for i := 1; i < planes; i++ {
		s := strides[i]
		if s == 0 {
			s = least
		}
		if s < least || s > 8*maxSize {
			return fmt.Errorf("%w: plane %d of %s: lines of %d bytes", hal.ErrUnsupported, i, p.pixel, s)
		}
		p.layout.Planes[i] = hal.Plane{Memory: i, Stride: s}
		p.need[i] = s * half
	}
	return nil
}

// track makes the track of it.
func (p *picture) track(rate float64) hal.Track {
	return hal.Track{
		Codec: p.codec, TimeScale: 90000, Width: p.width, Height: p.height, FrameRate: rate,
		Layout: p.layout, Colour: p.colour,
	}
}
