package encode

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// fitter brings pictures of one format into the form that one encoder takes (P9). Cropping moves
// no sample; a picture that needs no more than that stays where it is.
type fitter struct {
	source hal.Track // as it lies in the camera's buffer, cropped
	stream *hal.Stream

	direct  bool // nothing to do at all: frames pass as they are
	rewrite bool // samples are copied, into buffers
	buffers *pool.Buffers
	convert pixel.Converter
	scaler  *pixel.Scaler // nil: the size stays
	before  pixel.Picture // I420 to scale from, where the source is not
	after   pixel.Picture // I420 scaled to, where NV12 is wanted
}

// track is what the encoder gets.
func (f *fitter) track() hal.Track { return f.stream.Tracks[0] }

// newFitter plans the way from a source's track to what the encoder takes.
func newFitter(cfg Config, in hal.Track, info hal.EncoderInfo) (*fitter, error) {
	f := &fitter{source: in}
	if r := cfg.Crop; r != (Rect{}) {
		part, err := pixel.Crop(in, r.X, r.Y, r.Width, r.Height)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
		}
		f.source = part
	}
	size := Size{f.source.Width, f.source.Height}
	if cfg.Scale != (Size{}) {
		size = cfg.Scale
	}
	scaled := size != Size{f.source.Width, f.source.Height}
	// Hardware reads whole pictures; only software can start in the middle of one.
	moved := info.Hardware && f.source.Layout != in.Layout
	to, err := target(cfg, f.source.Layout.Pixel, info, scaled || moved)
	if err != nil {
		return nil, err
	}
	final := f.source
	final.Width, final.Height = size.Width, size.Height
	if f.rewrite = scaled || moved || to != f.source.Layout.Pixel; f.rewrite {
		if final.Layout, err = hal.PackedLayout(to, size.Width, size.Height); err != nil {
			return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
		}
		if err := f.allocate(cfg, final, scaled, info.Hardware); err != nil {
			return nil, err
		}
	}
	f.direct = !f.rewrite && final.Equal(in)
	f.stream = &hal.Stream{Tracks: []hal.Track{final}}
	return f, nil
}

// target is the pixel format that the encoder gets.
func target(cfg Config, have hal.PixelFormat, info hal.EncoderInfo, rewrite bool) (hal.PixelFormat, error) {
	takes := func(p hal.PixelFormat) bool { return len(info.Inputs) == 0 || slices.Contains(info.Inputs, p) }
	if p := cfg.Pixel; p != hal.PixelUnknown {
		if !takes(p) {
			return 0, fmt.Errorf("%w: it takes no %s, which the configuration asks for", hal.ErrUnsupported, p)
		}
		return p, nil
	}
	if takes(have) && (!rewrite || have == hal.NV12) {
		return have, nil
	}
	for _, p := range []hal.PixelFormat{hal.I420, hal.NV12} {
		if takes(p) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%w: it takes none of %s, i420, nv12", hal.ErrUnsupported, have)
}

// allocate makes the buffers that pictures are written into (P3): software gives one back before
// it takes the next, hardware keeps a few.
func (f *fitter) allocate(cfg Config, final hal.Track, scaled, hardware bool) error {
	count := cfg.Parallel + 1
	if hardware {
		count += 4
	}
	var err error
	if f.buffers, err = pool.NewBuffers(count, final.Layout.Size); err != nil {
		return fmt.Errorf("buffers for pictures: %w", err)
	}
	if !scaled {
		return nil
	}
	in := f.source
	if f.scaler, err = pixel.NewScaler(in.Width, in.Height, final.Width, final.Height); err != nil {
		return fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	if p := in.Layout.Pixel; p != hal.I420 && p != hal.YM12 {
		if f.before, err = pixel.New(hal.I420, in.Width, in.Height); err != nil {
			return fmt.Errorf("a picture to scale: %w", err)
		}
	}
	if final.Layout.Pixel != hal.I420 {
		if f.after, err = pixel.New(hal.I420, final.Width, final.Height); err != nil {
			return fmt.Errorf("a scaled picture: %w", err)
		}
	}
	return nil
}

// fit returns the picture as the encoder takes it. It owns the one given and gives it back as
// soon as it has read it.
func (f *fitter) fit(ctx context.Context, in hal.Frame) (hal.Frame, error) {
	if f.direct {
		return in, nil
	}
	out := in
	out.Stream, out.Track = f.stream, 0
	if !f.rewrite {
		return out, nil
	}
	defer in.Release()
	buf, err := f.buffers.Take(ctx)
	if err != nil {
		return hal.Frame{}, err
	}
	if err := f.write(buf, in); err != nil {
		buf.Release()
		return hal.Frame{}, err
	}
	out.Buf = buf
	return out, nil
}

func (f *fitter) write(buf pool.Buffer, in hal.Frame) error {
	final := f.track()
	src, err := pixel.View(&f.source, in.Buf)
	if err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	dst, err := pixel.Over(final.Layout.Pixel, final.Width, final.Height, buf.Bytes())
	if err != nil {
		return fmt.Errorf("room for a picture: %w", err)
	}
	if f.scaler != nil {
		if src, err = f.scale(dst, src); err != nil || dst.Format == hal.I420 {
			return err
		}
	}
	if err := f.convert.Convert(dst, src); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
}

// scale returns the scaled picture: dst itself where that is I420, one to be converted otherwise.
func (f *fitter) scale(dst, src pixel.Picture) (pixel.Picture, error) {
	if f.before.Width != 0 {
		if err := f.convert.Convert(f.before, src); err != nil {
			return src, fmt.Errorf("convert: %w", err)
		}
		src = f.before
	}
	if dst.Format != hal.I420 {
		dst = f.after
	}
	if err := f.scaler.Scale(dst, src); err != nil {
		return src, fmt.Errorf("scale: %w", err)
	}
	return dst, nil
}
