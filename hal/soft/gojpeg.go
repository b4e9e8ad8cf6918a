package soft

import (
	"fmt"
	"image"
	"image/jpeg"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// planar gives a coder its pictures as I420 in the range it wants: where they lie if that is
// what they are, converted otherwise.
type planar struct {
	convert pixel.Converter
	scratch pixel.Picture
}

// i420 returns p as I420 whose chroma planes have lines of one length, valid until the next call.
func (c *planar) i420(p pixel.Picture) (pixel.Picture, error) {
	if p.Format == hal.I420 && p.Stride[1] == p.Stride[2] && !c.convert.Expand {
		return p, nil
	}
	if c.scratch.Width != p.Width || c.scratch.Height != p.Height {
		s, err := pixel.New(hal.I420, p.Width, p.Height)
		if err != nil {
			return pixel.Picture{}, fmt.Errorf("room for a picture: %w", err)
		}
		c.scratch = s
	}
	if err := c.convert.Convert(c.scratch, p); err != nil {
		return pixel.Picture{}, fmt.Errorf("convert: %w", err)
	}
	return c.scratch, nil
}

// jpegStream is the stream of JPEGs made of pictures like in. A JPEG file has the full range of
// values, which is why its coders expand what has video range.
func jpegStream(in hal.Track) *hal.Stream {
	colour := in.Colour
	colour.FullRange = true
	return &hal.Stream{Tracks: []hal.Track{{
		Codec: hal.MJPEG, TimeScale: in.TimeScale,
		Width: in.Width, Height: in.Height, FrameRate: in.FrameRate, Colour: colour,
	}}}
}

// goJPEG is the last resort: always there, ten times the work of turbojpeg.
func goJPEG() offer {
	return offer{
		EncoderInfo: hal.EncoderInfo{
			Name: nameGoJPEG, Codec: hal.MJPEG, Inputs: inputs(), Rank: rankGo, Detail: "Go's image/jpeg",
		},
		open: func(cfg hal.EncoderConfig) (coder, error) {
			c := &goCoder{arena: cfg.Arena, stream: jpegStream(cfg.Input)}
			c.options.Quality = cfg.Quality
			c.convert.Expand = !cfg.Input.Colour.FullRange
			return c, nil
		},
	}
}

type goCoder struct {
	planar
	arena   *pool.Arena
	stream  *hal.Stream
	options jpeg.Options
	image   image.YCbCr
	file    spool
}

func (c *goCoder) encode(p pixel.Picture, _ hal.Stamp, _ bool) (coded, error) {
	p, err := c.i420(p)
	if err != nil {
		return coded{}, err
	}
	c.image = image.YCbCr{
		Y: p.Plane[0], Cb: p.Plane[1], Cr: p.Plane[2], YStride: p.Stride[0], CStride: p.Stride[1],
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, p.Width, p.Height),
	}
	c.file = c.file[:0]
	if err := jpeg.Encode(&c.file, &c.image, &c.options); err != nil {
		return coded{}, fmt.Errorf("image/jpeg: %w", err)
	}
	c.image = image.YCbCr{}
	return store(c.arena, c.file, c.stream)
}

func (c *goCoder) close() {}

// store copies a finished file into the arena.
func store(arena *pool.Arena, file []byte, stream *hal.Stream) (coded, error) {
	buf, err := arena.Get(len(file))
	if err != nil {
		return coded{}, err
	}
	copy(buf.Bytes(), file)
	return coded{buf: buf, stream: stream, key: true}, nil
}

// spool collects a file. image/jpeg writes into it without a buffer of its own in between.
type spool []byte

func (s *spool) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

func (s *spool) WriteByte(b byte) error {
	*s = append(*s, b)
	return nil
}

func (s *spool) Flush() error { return nil }
