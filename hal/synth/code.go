package synth

// The burnt-in number is a field of 8 by 7 blocks in the upper left corner, black and white: a
// line that is always the same, by which the field is found, 4 lines with the 32 bits of the
// number and 2 with a CRC, the highest bits first.
const (
	codeCols, codeRows = 8, 7
	codeCells          = codeCols * codeRows
	codeSync           = 0b10100110
)

// encode returns the field's cells for a number, the first in bit 55.
func encode(number uint32) uint64 {
	return codeSync<<48 | uint64(number)<<16 | uint64(crc16(number))
}

// crc16 is CRC-16/CCITT (polynomial 0x1021, starting from 0xFFFF).
func crc16(number uint32) uint16 {
	crc := uint16(0xFFFF)
	for i := 31; i >= 0; i-- {
		bit := uint16(number>>i) & 1
		top := crc >> 15
		crc <<= 1
		if top^bit != 0 {
			crc ^= 0x1021
		}
	}
	return crc
}

// luma is a decoded picture's brightness.
type luma struct {
	samples               []byte
	stride, width, height int
}

// ReadNumber reads the burnt-in number from the luma plane of a decoded picture of w by h
// pixels, whose lines are stride bytes apart. The picture may have been coded with loss and
// scaled (to a width of 64 pixels and more, its shape kept or not). It returns false where
// there is no number to be read.
func ReadNumber(samples []byte, stride, w, h int) (uint32, bool) {
	number, _, ok := luma{samples, stride, w, h}.find()
	return number, ok
}

// ReadFlash says whether the flash field is white in the luma plane of a decoded picture. ok
// is false where no number was found to place it by.
func ReadFlash(samples []byte, stride, w, h int) (flash, ok bool) {
	l := luma{samples, stride, w, h}
	_, g, ok := l.find()
	if !ok {
		return false, false
	}
	v := l.around((flashLeft+0.5)*g.x, float64(flashRows)/2*g.y, g)
	return v >= 128, true
}

// grid is the size of one block in a decoded picture, in pixels.
type grid struct{ x, y float64 }

// find looks for the field: at the size it was made in, then at every size it can have been
// scaled to.
func (l luma) find() (uint32, grid, bool) {
	if l.width < 64 || l.height < 45 || l.stride < l.width || len(l.samples) < (l.height-1)*l.stride+l.width {
		return 0, grid{}, false
	}
	if n, ok := l.read(grid{block, block}); ok {
		return n, grid{block, block}, true
	}
	x, ok := l.measure()
	if !ok {
		return 0, grid{}, false
	}
	for _, fx := range [...]float64{1, 0.97, 1.03} {
		for y := x; y <= 2*x; y *= 1.04 { // no shape but the picture's own first
			for _, g := range [...]grid{{x * fx, y}, {x * fx, x * x / y}} {
				if n, ok := l.read(g); ok {
					return n, g, true
				}
			}
		}
	}
	return 0, grid{}, false
}

// measure finds the width of a block from the first line of the field, white-black-white-
// black-black-white-white-black: its edges lie at 1, 2, 3, 5 and 7 blocks.
func (l luma) measure() (float64, bool) {
	line := l.samples[1*l.stride:][:l.width]
	edges := [...]float64{1, 2, 3, 5, 7}
	var sum, weight float64
	found := 0
	for x := 1; x < l.width && found < len(edges); x++ {
		isWhite := found%2 == 0 // before this edge
		if (line[x] < 126) != isWhite {
			continue
		}
		a, b := float64(line[x-1]), float64(line[x])
		at := float64(x) - 0.5 + (126-a)/(b-a+1e-9) // between two samples' middles
		sum += at * edges[found]
		weight += edges[found] * edges[found]
		found++
	}
	size := sum / max(weight, 1)
	return size, found == len(edges) && size >= 2
}

// read reads the field with blocks of a size.
func (l luma) read(g grid) (uint32, bool) {
	if g.x*codeCols > float64(l.width) || g.y*codeRows > float64(l.height) {
		return 0, false
	}
	var cells uint64
	for i := range codeCells {
		v := l.around((float64(i%codeCols)+0.5)*g.x, (float64(i/codeCols)+0.5)*g.y, g)
		cells <<= 1
		if v >= 126 {
			cells |= 1
		}
		if i == codeCols-1 && cells != codeSync {
			return 0, false
		}
	}
	number := uint32(cells >> 16)
	return number, cells == encode(number)
}

// around returns the mean brightness of the middle of a block.
func (l luma) around(x, y float64, g grid) int {
	rx, ry := int(g.x/5), int(g.y/5)
	sum, n := 0, 0
	for j := int(y) - ry; j <= int(y)+ry; j++ {
		for i := int(x) - rx; i <= int(x)+rx; i++ {
			if i >= 0 && j >= 0 && i < l.width && j < l.height {
				sum += int(l.samples[j*l.stride+i])
				n++
			}
		}
	}
	return sum / max(n, 1)
}
