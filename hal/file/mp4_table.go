package file

import "math"

// column is a table of a track, read through a small window: memory does not depend on how
// long the film is.
type column struct {
	where string
	win   *window
	start int64 // of the box
	body  int64 // of the first entry
	count uint32
	width int
}

const columnWindow = 2 << 10

// openColumn finds the table of a box whose entry count stands head bytes into it.
func openColumn(w *window, b box, where string, head int64, width int) (column, error) {
	p, err := field(w, b, where, head, 4)
	if err != nil {
		return column{}, err
	}
	c := column{where: where, start: b.start, body: b.body + head + 4, count: be32(p), width: width}
	if room := b.end - c.body; int64(c.count) > room/int64(width) {
		return column{}, damaged(b.start, where, adviceRemux, "%d entries, there is room for %d", c.count, room/int64(width))
	}
	c.win = newWindow(w.r, w.size, columnWindow)
	return c, nil
}

func (c *column) at(i uint32) ([]byte, error) {
	off := c.body + int64(i)*int64(c.width)
	p, err := c.win.bytes(off, c.width)
	if err != nil {
		return nil, readError(off, c.where, err)
	}
	return p, nil
}

// unit is one sample as a table or a fragment describes it.
type unit struct {
	off  int64
	size uint32
	dts  int64 // ticks
	cts  int32 // PTS − DTS
	dur  uint32
	desc uint32 // sample description, from 1
	key  bool
}

// tables are a track's sample tables (ISO/IEC 14496-12, 8.6 and 8.7).
type tables struct {
	stts, ctts, stsc, stsz, stco, stss column

	fixed  uint32 // size of every sample; 0: stsz says
	count  uint32 // samples
	wide   bool   // 64-bit chunk offsets
	sparse bool   // stss is there: not every sample is a key frame
	back   int32  // the lowest cts, where it is negative
	group  uint32 // bytes of a PCM frame, which stsz counts as a sample; 0: other codecs

	pos cursor
}

// cursor is where in its tables a track is.
type cursor struct {
	i      uint32 // sample
	dts    int64
	time   span32 // in stts
	offset span32 // in ctts
	delta  uint32
	cts    int32
	chunk  uint32 // the next chunk, from 0
	group  uint32 // the entry of stsc in force, +1
	per    uint32 // samples of each of its chunks
	left   uint32 // samples of the chunk
	off    int64
	desc   uint32
	sync   uint32 // entry of stss
}

// span32 is a run-length coded table's next entry, and what is left of the one before.
type span32 struct{ entry, left uint32 }

// missing names a table that the samples cannot do without.
func (t *tables) missing() string {
	switch {
	case t.count == 0:
		return ""
	case t.stts.win == nil:
		return "stts"
	case t.stsc.win == nil:
		return "stsc"
	case t.stco.win == nil:
		return "stco"
	default:
		return ""
	}
}

func (t *tables) rewind() { t.pos = cursor{} }

// next returns the next sample, or false after the last one.
func (t *tables) next() (unit, bool, error) {
	p := &t.pos
	if p.i >= t.count {
		return unit{}, false, nil
	}
	if err := t.place(); err != nil {
		return unit{}, false, err
	}
	if err := t.timing(); err != nil {
		return unit{}, false, err
	}
	u := unit{off: p.off, size: t.fixed, dts: p.dts, cts: p.cts, dur: p.delta, desc: p.desc, key: true}
	if t.group != 0 {
		t.pieces(&u)
		return u, true, nil
	}
	if t.fixed == 0 {
		e, err := t.stsz.at(p.i)
		if err != nil {
			return unit{}, false, err
		}
		u.size = be32(e)
	}
	var err error
	if u.key, err = t.isSync(); err != nil {
		return unit{}, false, err
	}
	t.advance(1, int64(u.size))
	return u, true, nil
}

// pieceLen is how many PCM frames make one frame of ours: their own would be a few bytes.
const pieceLen = 1024

func (t *tables) pieces(u *unit) {
	n := min(t.pos.left, t.pos.time.left+1, t.count-t.pos.i, pieceLen)
	u.size = n * t.group
	u.dur = n * t.pos.delta
	t.pos.time.left -= n - 1
	t.pos.dts += int64(n-1) * int64(t.pos.delta)
	t.advance(n, int64(u.size))
}

func (t *tables) advance(n uint32, bytes int64) {
	p := &t.pos
	p.i += n
	p.left -= n
	p.off += bytes
	p.dts += int64(p.delta)
}

// place finds the chunk of the next sample.
func (t *tables) place() error {
	p := &t.pos
	for p.left == 0 {
		if p.chunk >= t.stco.count {
			return damaged(t.stco.start, t.stco.where, adviceRemux, "%d chunks hold %d of the track's %d samples",
				t.stco.count, p.i, t.count)
		}
		if err := t.chunkRun(); err != nil {
			return err
		}
		e, err := t.stco.at(p.chunk)
		if err != nil {
			return err
		}
		p.off = int64(be32(e))
		if t.wide {
			p.off = int64(be64(e) & math.MaxInt64)
		}
		p.chunk++
		p.left = p.per
	}
	return nil
}

// chunkRun reads the entry of stsc that is for the next chunk.
func (t *tables) chunkRun() error {
	p := &t.pos
	if p.group < t.stsc.count {
		e, err := t.stsc.at(p.group)
		if err != nil {
			return err
		}
		if first := be32(e); first <= p.chunk+1 {
			p.per, p.desc = be32(e[4:]), be32(e[8:])
			p.group++
			if p.per == 0 {
				return damaged(t.stsc.start, t.stsc.where, adviceRemux, "entry %d: chunks without samples", p.group)
			}
		}
	}
	if p.per == 0 {
		return damaged(t.stsc.start, t.stsc.where, adviceRemux, "nothing says how many samples are in chunk 1")
	}
	return nil
}

// timing finds the next sample's duration and offset.
func (t *tables) timing() error {
	p := &t.pos
	for p.time.left == 0 {
		if p.time.entry >= t.stts.count {
			return damaged(t.stts.start, t.stts.where, adviceRemux, "durations of %d of the track's %d samples", p.i, t.count)
		}
		e, err := t.stts.at(p.time.entry)
		if err != nil {
			return err
		}
		p.time.entry++
		p.time.left, p.delta = be32(e), be32(e[4:])
	}
	p.time.left--
	for p.offset.left == 0 && p.offset.entry < t.ctts.count {
		e, err := t.ctts.at(p.offset.entry)
		if err != nil {
			return err
		}
		p.offset.entry++
		p.offset.left, p.cts = be32(e), int32(be32(e[4:]))
	}
	if p.offset.left == 0 {
		p.cts = 0
		return nil
	}
	p.offset.left--
	return nil
}

func (t *tables) isSync() (bool, error) {
	if !t.sparse {
		return true, nil
	}
	p := &t.pos
	for p.sync < t.stss.count {
		e, err := t.stss.at(p.sync)
		if err != nil {
			return false, err
		}
		n := be32(e)
		if n > p.i+1 {
			return false, nil
		}
		p.sync++
		if n == p.i+1 {
			return true, nil
		}
	}
	return false, nil
}

// lowest finds the lowest offset of ctts: where it is negative, all DTS move down by it, so
// that no picture is shown before it is decoded.
func (t *tables) lowest() error {
	for i := range t.ctts.count {
		e, err := t.ctts.at(i)
		if err != nil {
			return err
		}
		t.back = min(t.back, int32(be32(e[4:])))
	}
	return nil
}
