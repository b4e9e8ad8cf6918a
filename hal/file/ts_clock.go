package file

const (
	tsScale = 90000
	// A step back of more than half a second or ahead of more than ten is another time line, not
	// a frame that came late.
	maxBack  = tsScale / 2
	maxAhead = 10 * tsScale
)

// signed33 is the difference of two 33-bit time stamps, whichever way round is shorter.
func signed33(d int64) int64 { return d << 31 >> 31 }

// timeline maps a file's 33-bit time stamps, which wrap and may jump where files were joined,
// to one that runs on.
type timeline struct {
	origin        int64 // the stamp that is time 0
	shift, before int64 // added in force, and before the last jump
	end           int64 // of the latest sample
}

func (l *timeline) restart() { l.shift, l.before, l.end = 0, 0, 0 }

// placed is how far one stream is.
type placed struct {
	used bool
	raw  int64 // the stamp before
	ext  int64 // the same without wrapping, from origin
	last int64 // where it was placed
}

// place returns the time of a stamp. After a jump the first stream to see it moves the time
// line, the others follow.
func (l *timeline) place(p *placed, raw int64) (ticks int64, jumped bool) {
	if !p.used {
		*p = placed{used: true, raw: raw, ext: signed33(raw - l.origin)}
		p.last = max(0, p.ext+l.shift)
		return p.last, false
	}
	p.ext += signed33(raw - p.raw)
	p.raw = raw
	fits := func(t int64) bool { return t >= p.last-maxBack && t <= p.last+maxAhead }
	t := p.ext + l.shift
	switch {
	case fits(t):
	case fits(p.ext + l.before):
		t = p.ext + l.before
	default:
		l.before = l.shift
		l.shift = max(l.end, p.last) - p.ext
		t = p.ext + l.shift
		jumped = true
	}
	p.last = max(p.last, t)
	return p.last, jumped
}
