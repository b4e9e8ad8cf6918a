package pixel

import (
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// Converter turns pictures of any known format into I420 or NV12, chroma lines of 4:2:2
// averaged in pairs. One goroutine at a time uses it; its scratch is two half lines.
type Converter struct {
	// Expand stretches video range (luma 16–235, chroma 16–240), which cameras deliver, to the
	// full range that JPEG files have.
	Expand bool

	u, v []byte
}

// Convert writes src into dst, which has the same size and is I420 or NV12.
func (c *Converter) Convert(dst, src Picture) error {
	if dst.Width != src.Width || dst.Height != src.Height {
		return fmt.Errorf("convert %dx%d into %dx%d", src.Width, src.Height, dst.Width, dst.Height)
	}
	if dst.Format != hal.I420 && dst.Format != hal.NV12 {
		return fmt.Errorf("convert to %s: only to i420 and nv12", dst.Format)
	}
	if planes(src.Format) == 0 {
		return fmt.Errorf("convert from pixel format %s", src.Format)
	}
	if half := dst.Width / 2; dst.Format == hal.NV12 && len(c.u) != half {
		c.u, c.v = make([]byte, half), make([]byte, half)
	}
	for y := 0; y < dst.Height; y += 2 {
		c.pair(dst, src, y)
	}
	return nil
}

// pair converts the lines y and y+1, so that all of it happens while they are in the cache.
func (c *Converter) pair(dst, src Picture, y int) {
	y0, y1 := dst.line(0, y), dst.line(0, y+1)
	u, v := c.u, c.v
	if dst.Format == hal.I420 {
		u, v = dst.line(1, y/2), dst.line(2, y/2)
	}
	switch src.Format {
	case hal.YUYV:
		packedPair(y0, y1, u, v, src.line(0, y), src.line(0, y+1), 0)
	case hal.UYVY:
		packedPair(y0, y1, u, v, src.line(0, y), src.line(0, y+1), 8)
	case hal.NV12, hal.NV21:
		copy(y0, src.line(0, y))
		copy(y1, src.line(0, y+1))
		if src.Format == hal.NV21 {
			u, v = v, u
		}
		split(u, v, src.line(1, y/2))
		if src.Format == hal.NV21 {
			u, v = v, u
		}
	case hal.I420:
		copy(y0, src.line(0, y))
		copy(y1, src.line(0, y+1))
		copy(u, src.line(1, y/2))
		copy(v, src.line(2, y/2))
	case hal.PixelUnknown, hal.NM12, hal.YM12: // not in a Picture
	}
	if c.Expand {
		expandLuma(y0)
		expandLuma(y1)
		expandChroma(u)
		expandChroma(v)
	}
	if dst.Format == hal.NV12 {
		merge(dst.line(1, y/2), u, v)
	}
}
