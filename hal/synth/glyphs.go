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

// glyphAt returns the colour of a block of the clock, whose first line is 0.
func (p plan) glyphAt(s *scene, col, line int) colour {
	left := p.clockLeft
	for i := p.clockFrom; i < 11; i++ {
		w := glyphWidth(i)
		if x := col - left; x >= 0 && x < w {
			return whiteIf(glyph(s.digits[i])>>(14-3*line-x)&1 != 0)
		}
		left += w + 1
	}
	return black
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
