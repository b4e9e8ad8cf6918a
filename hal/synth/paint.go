package synth

import (
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// Paint draws a frame's picture into dst, which lies as the layout says: I420, NV12, NV21,
// YUYV or UYVY in one piece of memory, of at least layout.Size bytes.
func (c Card) Paint(dst []byte, layout hal.Layout, frame int) error {
	if len(dst) < layout.Size {
		return fmt.Errorf("a picture of %d bytes does not fit in %d", layout.Size, len(dst))
	}
	b := brush{card: c, plan: c.plan(), layout: layout, dst: dst}
	b.scene = c.scene(&b.plan, frame)
	switch layout.Pixel {
	case hal.I420:
		b.plane(0, [2]int{0, 0}, 1, 1)
		b.plane(1, [2]int{1, 1}, 1, 2)
		b.plane(2, [2]int{2, 2}, 1, 2)
	case hal.NV12:
		b.plane(0, [2]int{0, 0}, 1, 1)
		b.plane(1, [2]int{1, 2}, 2, 2)
	case hal.NV21:
		b.plane(0, [2]int{0, 0}, 1, 1)
		b.plane(1, [2]int{2, 1}, 2, 2)
	case hal.YUYV:
		b.packed([4]int{0, 1, 0, 2})
	case hal.UYVY:
		b.packed([4]int{1, 0, 2, 0})
	case hal.PixelUnknown, hal.NM12, hal.YM12:
		return fmt.Errorf("a test card cannot be painted as %s", layout.Pixel)
	}
	return nil
}

// brush paints one picture. Each line of blocks is drawn once and copied down.
type brush struct {
	card   Card
	plan   plan
	scene  scene
	layout hal.Layout
	dst    []byte
}

// plane paints one plane of planar or semi-planar memory: two alternating components (the
// same twice where there is one), bytes per sample place, and how much coarser it is than luma.
func (b *brush) plane(n int, parts [2]int, bytes, sub int) {
	size := block / sub * bytes // bytes of one block's line
	width := b.card.Width / sub * bytes
	b.rows(b.layout.Planes[n], width, b.card.Height/sub, block/sub, func(line []byte, row int) {
		for col := range b.plan.cols {
			v := b.plan.at(&b.scene, col, row).sample()
			cell := line[col*size : min((col+1)*size, width)]
			for i := range cell {
				cell[i] = v[parts[i&1]]
			}
		}
	})
}

// packed paints 4:2:2 in one plane: which component each of 4 bytes holds.
func (b *brush) packed(parts [4]int) {
	width := 2 * b.card.Width
	b.rows(b.layout.Planes[0], width, b.card.Height, block, func(line []byte, row int) {
		for col := range b.plan.cols {
			v := b.plan.at(&b.scene, col, row).sample()
			cell := line[col*2*block : min((col+1)*2*block, width)]
			for i := range cell {
				cell[i] = v[parts[i&3]]
			}
		}
	})
}

func (b *brush) rows(p hal.Plane, width, height, step int, draw func(line []byte, row int)) {
	for row := 0; row*step < height; row++ {
		at := p.Offset + row*step*p.Stride
		first := b.dst[at : at+width]
		draw(first, row)
		for y := row*step + 1; y < min((row+1)*step, height); y++ {
			copy(b.dst[p.Offset+y*p.Stride:][:width], first)
		}
	}
}
