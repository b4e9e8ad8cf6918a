package synth

// Each glyph of the clock is 3 blocks wide, a colon 1, and 1 is between two.

func glyphWidth(i int) int {
	if i%3 == 2 {
		return 1
	}
	return 3
}

// glyphsWidth returns the width of the clock's glyphs from one to the last.
func glyphsWidth(from int) int {
	w := -1
	for i := from; i < 11; i++ {
		w += glyphWidth(i) + 1
	}
	return w
}

// clockColumns is the width of the longest clock, in blocks.
const clockColumns = 38

// strip says of each column of the clock which glyph it cuts, and where: 4 times the glyph's
// index and the column within it, or blank.
type strip [clockColumns]uint8

const blank = 0xFF

func newStrip(from int) strip {
	var s strip
	for i := range s {
		s[i] = blank
	}
	left := 0
	for i := from; i < 11; i++ {
		for x := range glyphWidth(i) {
			s[left+x] = uint8(4*i + x)
		}
		left += glyphWidth(i) + 1
	}
	return s
}

// glyphAt returns the colour of a block of the clock, whose first line is 0.
func (p *plan) glyphAt(s *scene, col, line int) colour {
	col -= p.clockLeft
	if col < 0 || col >= clockColumns || p.clock[col] == blank {
		return black
	}
	cut := p.clock[col]
	return whiteIf(s.glyphs[cut/4]>>(14-3*line-int(cut&3))&1 != 0)
}

// glyph returns 5 lines of 3 blocks, the first in the highest bits. A colon uses the left
// column only.
func glyph(digit uint8) uint16 {
	return [...]uint16{
		0b111_101_101_101_111,
		0b010_110_010_010_111,
		0b111_001_111_100_111,
		0b111_001_111_001_111,
		0b101_101_111_001_001,
		0b111_100_111_001_111,
		0b111_100_111_101_111,
		0b111_001_010_010_010,
		0b111_101_111_101_111,
		0b111_101_111_001_111,
		0b000_100_000_100_000,
	}[digit]
}
