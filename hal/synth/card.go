package synth

import (
	"fmt"
	"time"
)

// Card is what a synthetic camera shows: a picture of flat-coloured blocks of 16x16 pixels,
// for every frame number. It has the burnt-in number in its upper left corner, beside it a
// field that flashes at each whole second, below them a clock where it has room, colour bars,
// and a box that moves.
type Card struct {
	Width, Height int // pixels, both even
	Rate          Rate
	Seed          int // other seeds give other colours and another way of the box
	Still         int // so many frames, from frame 0 on, all show frame 0
}

// shown is the frame whose card a frame shows.
func (c Card) shown(frame int) int {
	if frame < c.Still {
		return 0
	}
	return frame
}

// BeepLength is how long the beep and the flash last, from each whole second on.
const BeepLength = 100 * time.Millisecond

// Number returns what the picture of a frame has burnt in.
func (c Card) Number(frame int) uint32 { return uint32(c.shown(frame)) }

// Time returns when a frame is shown, counted from frame 0.
func (c Card) Time(frame int) time.Duration { return c.Rate.Time(frame) }

// Flash says whether the flash field is white in a frame: in the first one at or after each
// whole second and in those that follow within BeepLength.
func (c Card) Flash(frame int) bool { return Beep(c.Time(c.shown(frame))) }

// Beep says whether the beep sounds at t.
func Beep(t time.Duration) bool { return t%time.Second < BeepLength }

// Clock returns the burnt-in clock of a frame, hours:minutes:seconds:frame. A small card shows
// the end of it.
func (c Card) Clock(frame int) string {
	p := c.plan()
	s := c.scene(&p, frame)
	return fmt.Sprintf("%02d:%02d:%02d:%02d",
		10*int(s.digits[0])+int(s.digits[1]), 10*int(s.digits[3])+int(s.digits[4]),
		10*int(s.digits[6])+int(s.digits[7]), 10*int(s.digits[9])+int(s.digits[10]))
}

// The card's regions, in blocks. The clock's rows and those below exist where the picture is
// high enough.
const (
	block      = 16
	flashLeft  = codeCols + 1
	flashRight = flashLeft + 4
	flashRows  = codeRows
	clockTop   = codeRows + 1
	clockRows  = 5
	boxSide    = 2
	colon      = 10
)

// scene is what changes from one frame to another.
type scene struct {
	code   uint64
	digits [11]uint8  // 0 to 9, or colon
	glyphs [11]uint16 // their pictures
	box    int        // the box's left column
	flash  bool
}

// plan is where things are on a card, worked out once.
type plan struct {
	cols, rows int
	clockFrom  int // the first of the clock's 11 glyphs that is shown; 11: none
	clockLeft  int // its column
	clock      strip
	boxTop     int // −1: no box
	seed       int
}

func (c Card) plan() plan {
	p := plan{cols: (c.Width + block - 1) / block, rows: (c.Height + block - 1) / block, clockFrom: 11, boxTop: -1, seed: c.Seed}
	below := clockTop
	if c.Height/block >= clockTop+clockRows {
		for _, from := range [...]int{0, 3, 6, 9} {
			if w := glyphsWidth(from); w <= c.Width/block {
				p.clockFrom, p.clockLeft = from, (c.Width/block-w)/2
				p.clock = newStrip(from)
				below = clockTop + clockRows + 1
				break
			}
		}
	}
	if top := c.Height/block - boxSide; top >= below {
		p.boxTop = top
	}
	return p
}

// scene works out the changing parts of a frame.
func (c Card) scene(p *plan, frame int) scene {
	frame = c.shown(frame)
	t := c.Time(frame)
	sec := int(t / time.Second)
	sub := frame - c.Rate.Frame(t.Truncate(time.Second))
	s := scene{code: encode(c.Number(frame)), flash: c.Flash(frame)}
	for i, v := range [...]int{sec / 3600 % 100, sec / 60 % 60, sec % 60, sub % 100} {
		s.digits[3*i], s.digits[3*i+1] = uint8(v/10), uint8(v%10)
		if i < 3 {
			s.digits[3*i+2] = colon
		}
	}
	for i, d := range s.digits {
		s.glyphs[i] = glyph(d)
	}
	if way := p.cols - boxSide; way > 0 { // to and fro
		s.box = (frame + 7*c.Seed) % (2 * way)
		if s.box >= way {
			s.box = 2*way - s.box
		}
	}
	return s
}

// changes says whether a block can differ between two frames.
func (p *plan) changes(col, row int) bool {
	switch {
	case row < codeRows:
		return row > 0 && col < codeCols || col >= flashLeft && col < flashRight
	case row < clockTop+clockRows && p.clockFrom < 11:
		return row >= clockTop
	default:
		return p.boxTop >= 0 && row >= p.boxTop && row < p.boxTop+boxSide
	}
}

// at returns the colour of a block in a scene.
func (p *plan) at(s *scene, col, row int) colour {
	switch {
	case row <= codeRows && col < flashLeft:
		return whiteIf(row < codeRows && col < codeCols && s.code>>(codeCells-1-row*codeCols-col)&1 != 0)
	case row < flashRows && col < flashRight:
		return whiteIf(s.flash)
	case row < clockTop:
	case p.clockFrom < 11 && row < clockTop+clockRows:
		return p.glyphAt(s, col, row-clockTop)
	case p.boxTop >= 0 && row >= p.boxTop && row < p.boxTop+boxSide:
		if col >= s.box && col < s.box+boxSide {
			return bar0 + colour((p.seed+3)%bars)
		}
		return grey
	}
	return bar0 + colour((col*bars/p.cols+p.seed)%bars)
}

func whiteIf(on bool) colour {
	if on {
		return white
	}
	return black
}

// colour is an index into the palette.
type colour uint8

const (
	black colour = iota
	white
	grey
	bar0
	bars = 7
)

// sample returns a colour's Y, Cb and Cr: video range, and bars of 75 % by BT.709.
func (c colour) sample() [3]uint8 {
	return [...][3]uint8{
		{16, 128, 128},
		{235, 128, 128},
		{90, 128, 128},
		{180, 128, 128},
		{168, 44, 136},
		{145, 147, 44},
		{133, 63, 52},
		{63, 193, 204},
		{51, 109, 212},
		{28, 212, 120},
	}[c]
}
