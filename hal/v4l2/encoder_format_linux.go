package v4l2

import (
	"fmt"
	"unsafe"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
)

// setCoded sets what is to come out.
func (e *encoder) setCoded(c codedFormat) error {
	f := e.format(e.coded.typ, c.pixel)
	if err := e.coded.setFormat(&f); err != nil {
		return encoderError(fmt.Sprintf("the format %s", c.pixel), err)
	}
	if got := pixelOf(&f); got != c.pixel {
		return fmt.Errorf("%w: the encoder makes %s of %s", hal.ErrUnsupported, got, c.pixel)
	}
	return nil
}

// setRaw sets what goes in. The driver is asked for the lines that the pictures have, so that
// they can be read where they lie.
func (e *encoder) setRaw(m *m2m) error {
	in := &e.cfg.Input
	take, ok := m.choose(in.Layout.Pixel)
	if !ok {
		return fmt.Errorf("%w: the encoder takes no %s", hal.ErrUnsupported, in.Layout.Pixel)
	}
	f := e.format(e.raw.typ, take.pixel)
	if take.layout == in.Layout.Pixel {
		e.askStrides(&f)
	}
	if err := e.raw.setFormat(&f); err != nil {
		return encoderError(fmt.Sprintf("pictures of %dx%d in %s", in.Width, in.Height, take.pixel), err)
	}
	var err error
	if e.picture, err = describe(&f); err != nil {
		return err
	}
	if e.picture.pixel != take.pixel {
		return fmt.Errorf("%w: the encoder makes %s of %s", hal.ErrUnsupported, e.picture.pixel, take.pixel)
	}
	if err := e.crop(); err != nil {
		return err
	}
	e.direct = e.picture.layout.Pixel == in.Layout.Pixel && e.picture.layout.Planes == in.Layout.Planes
	return nil
}

// format fills in what both formats have.
func (e *encoder) format(typ bufType, pixel fourCC) format {
	in := &e.cfg.Input
	f := format{Type: typ}
	space, transfer, matrix, quantisation := colourFor(in.Colour)
	if typ.multiplanar() {
		p := f.multi()
		p.Width, p.Height, p.Pixel, p.Field = uint32(in.Width), uint32(in.Height), pixel, fieldNone
		p.NumPlanes = 1
		p.Colorspace, p.XferFunc, p.YcbcrEnc, p.Quant = space, uint8(transfer), uint8(matrix), uint8(quantisation)
		return f
	}
	p := f.single()
	p.Width, p.Height, p.Pixel, p.Field = uint32(in.Width), uint32(in.Height), pixel, fieldNone
	p.Priv = privMagic
	p.Colorspace, p.XferFunc, p.YcbcrEnc, p.Quant = space, transfer, matrix, quantisation
	return f
}

// askStrides asks for the lines that the pictures have.
func (e *encoder) askStrides(f *format) {
	planes := &e.cfg.Input.Layout.Planes
	if !f.Type.multiplanar() {
		f.single().BytesPerLine = uint32(planes[0].Stride)
		return
	}
	m := f.multi()
	m.NumPlanes = 1
	for _, p := range planes {
		if p.Stride > 0 && p.Memory < maxPlanes {
			m.NumPlanes = max(m.NumPlanes, uint8(p.Memory+1))
			if l := &m.Planes[p.Memory]; l.BytesPerLine == 0 {
				l.BytesPerLine = uint32(p.Stride)
			}
		}
	}
}

func pixelOf(f *format) fourCC {
	if f.Type.multiplanar() {
		return f.multi().Pixel
	}
	return f.single().Pixel
}

// crop tells the driver what part of its pictures is to be seen, where it made them larger.
func (e *encoder) crop() error {
	in := &e.cfg.Input
	if e.picture.width < in.Width || e.picture.height < in.Height {
		return fmt.Errorf("%w: pictures of %dx%d: the encoder takes %dx%d at most",
			hal.ErrUnsupported, in.Width, in.Height, e.picture.width, e.picture.height)
	}
	if e.picture.width == in.Width && e.picture.height == in.Height {
		return nil
	}
	// The single-planar type is right in both APIs; the kernel translates it.
	s := selection{Type: outputSingle, Rect: rectangle{Width: int32(in.Width), Height: int32(in.Height)}}
	err := e.node.ioctl(vidiocSetSelection, unsafe.Pointer(&s))
	if err == nil && int(s.Rect.Width) == in.Width && int(s.Rect.Height) == in.Height {
		return nil
	}
	return fmt.Errorf("%w: pictures of %dx%d: the encoder takes %dx%d, or at the least shows %dx%d of it: scale them",
		hal.ErrUnsupported, in.Width, in.Height, e.picture.width, e.picture.height, s.Rect.Width, s.Rect.Height)
}

// colourFor is the inverse of colourOf: the numbers with the fewest of them set expressly that
// it reads so; zeros, which leave it to the driver, where there are none.
func colourFor(c hal.Colour) (space, transfer, matrix, quantisation uint32) {
	if c == (hal.Colour{}) {
		return 0, 0, 0, 0
	}
	for _, quantisation := range [...]uint32{0, 1, 2} {
		for transfer := range uint32(8) {
			for matrix := range uint32(9) {
				for space := range uint32(13) {
					if colourOf(space, transfer, matrix, quantisation) == c {
						return space, transfer, matrix, quantisation
					}
				}
			}
		}
	}
	return 0, 0, 0, 0
}

// target makes the raw queue take its pictures from memory of this kind. No picture is in it,
// and the writer has all credits. On an error there is no buffer.
func (e *encoder) target(kind memory, count int) error {
	if e.streaming {
		if err := e.raw.stream(false); err != nil {
			return encoderError("a pause", err)
		}
	}
	if e.raw.buffers != nil {
		e.raw.unmapAll()
		e.raw.release()
		e.raw.buffers = nil
	}
	e.raw.memory, e.targets, e.given = kind, nil, 0
	if err := e.raw.request(min(count, maxBuffers)); err != nil {
		return encoderError("buffers for pictures", err)
	}
	n := len(e.raw.buffers)
	e.mu.Lock()
	e.held, e.busy = make([]hal.Frame, n), make([]bool, n)
	e.mu.Unlock()
	e.given = n
	if kind == memoryMapped {
		for i := range e.raw.buffers {
			p, err := e.view(e.raw.buffers[i].planes)
			if err != nil {
				return err
			}
			e.targets = append(e.targets, p)
		}
	} else {
		e.given = min(e.keep, n)
	}
	if e.streaming {
		if err := e.raw.stream(true); err != nil {
			return encoderError("to go on", err)
		}
	}
	e.fresh = true
	e.giveCredits(e.given)
	return nil
}

// view returns the picture in mapped memory.
func (e *encoder) view(planes [][]byte) (pixel.Picture, error) {
	l := &e.picture.layout
	p := pixel.Picture{Format: flat(l.Pixel), Width: e.cfg.Input.Width, Height: e.cfg.Input.Height}
	for i, pl := range l.Planes {
		if pl.Stride == 0 {
			continue
		}
		if pl.Memory >= len(planes) || len(planes[pl.Memory]) < e.picture.need[pl.Memory] {
			return p, fmt.Errorf("%w: the encoder's own memory is smaller than its format says", hal.ErrUnsupported)
		}
		p.Plane[i], p.Stride[i] = planes[pl.Memory][pl.Offset:], pl.Stride
	}
	return p, nil
}

func (e *encoder) giveCredits(n int) {
	for range n {
		e.credits <- struct{}{}
	}
}
