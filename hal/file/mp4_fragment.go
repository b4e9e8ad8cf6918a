package file

import (
	"math"
)

// defaults are what a fragment's samples are where it does not say.
type defaults struct{ desc, dur, size, flags uint32 }

// run is a trun box (ISO/IEC 14496-12, 8.8.8): samples that lie one after the other. Its
// entries stay in the file until they are due.
type run struct {
	start   int64 // of the box
	entries int64 // of the first entry
	width   int   // of an entry
	count   uint32
	flags   uint32 // what an entry says
	first   uint32 // flags of the first sample, where flags says so
	data    int64  // of the first sample; where unset it follows the run before
	dts     int64  // of the first sample; where unset it follows the run before
	defaults
}

const unset = math.MinInt64

// Flags of trun and tfhd.
const (
	trunData     = 0x1
	trunFirst    = 0x4
	trunDuration = 0x100
	trunSize     = 0x200
	trunFlags    = 0x400
	trunOffset   = 0x800

	tfhdBase     = 0x1
	tfhdDesc     = 0x2
	tfhdDuration = 0x8
	tfhdSize     = 0x10
	tfhdFlags    = 0x20

	nonSync = 0x10000 // sample_is_non_sync_sample
)

// runs are what is known of a track's fragments and not yet played.
type runs struct {
	win   *window
	list  []run
	head  int
	i     uint32 // sample of the run at head
	off   int64  // of the next sample
	dts   int64  // of the next sample
	begun bool
}

func (r *runs) rewind() {
	r.list, r.head, r.i, r.off, r.dts, r.begun = r.list[:0], 0, 0, 0, 0, false
}

func (r *runs) waiting() int { return len(r.list) - r.head }

// next returns the next sample of the runs, or false where there is none.
func (r *runs) next() (unit, bool, error) {
	for r.head < len(r.list) {
		n := &r.list[r.head]
		if r.i < n.count {
			u, err := r.read(n)
			return u, err == nil, err
		}
		r.head, r.i, r.begun = r.head+1, 0, false
	}
	r.list, r.head = r.list[:0], 0
	return unit{}, false, nil
}

func (r *runs) read(n *run) (unit, error) {
	if !r.begun {
		r.begun = true
		if n.data != unset {
			r.off = n.data
		}
		if n.dts != unset {
			r.dts = n.dts
		}
	}
	u := unit{off: r.off, dts: r.dts, size: n.size, dur: n.dur, desc: n.desc}
	flags := n.defaults.flags
	if n.width > 0 {
		at := n.entries + int64(r.i)*int64(n.width)
		p, err := r.win.bytes(at, n.width)
		if err != nil {
			return u, readError(at, "moof/traf/trun", err)
		}
		p, u.dur = take(p, n.flags, trunDuration, u.dur)
		p, u.size = take(p, n.flags, trunSize, u.size)
		p, flags = take(p, n.flags, trunFlags, flags)
		var cts uint32
		_, cts = take(p, n.flags, trunOffset, 0)
		u.cts = int32(cts)
	}
	if r.i == 0 && n.flags&trunFirst != 0 {
		flags = n.first
	}
	u.key = flags&nonSync == 0
	r.i++
	r.off += int64(u.size)
	r.dts += int64(u.dur)
	return u, nil
}

// take reads a field where flags has bit, else it returns what is the default.
func take(p []byte, flags, bit, def uint32) ([]byte, uint32) {
	if flags&bit == 0 {
		return p, def
	}
	return p[4:], be32(p)
}

// maxRuns is how many runs are known ahead at most.
const maxRuns = 1024

// fragment finds the next moof box and adds its runs. False at the end of the file.
func (m *mp4) fragment() (bool, error) {
	for {
		b, ok, err := m.top.next()
		if err != nil || !ok {
			return false, err
		}
		switch {
		case b.kind == cc("moof") && b.cut:
			return false, damaged(b.start, "moof", adviceCut, "the file ends within this fragment's header")
		case b.kind == cc("moof"):
			return true, m.moof(b)
		case b.cut && b.kind != cc("mdat"):
			return false, damaged(b.start, b.kind.String(), adviceCut, "the file ends within this box")
		}
	}
}

func (m *mp4) moof(b box) error {
	l := inside(m.win, b, 0, "moof")
	for {
		c, ok, err := l.next()
		if err != nil || !ok {
			return err
		}
		if c.kind == cc("traf") {
			if err := m.traf(c, b.start); err != nil {
				return err
			}
		}
	}
}

// traf reads a track's part of a fragment.
func (m *mp4) traf(b box, moof int64) error {
	var t *mp4Track
	var d defaults
	var base int64
	dts, follows := int64(unset), false
	l := inside(m.win, b, 0, "moof/traf")
	for {
		c, ok, err := l.next()
		if err != nil || !ok {
			return err
		}
		switch {
		case c.kind == cc("tfhd"):
			t, d, base, err = m.tfhd(c, moof)
		case c.kind == cc("tfdt"):
			dts, err = m.tfdt(c)
		case c.kind == cc("trun") && t != nil && t.index >= 0:
			var n run
			if n, err = m.trun(c, d, base, follows); err != nil {
				return err
			}
			n.dts = dts
			dts, follows = unset, true
			if t.runs.waiting() >= 1<<16 {
				return damaged(c.start, "moof/traf", adviceRemux, "more than %d runs in a fragment", 1<<16)
			}
			if n.count > 0 {
				t.runs.list = append(t.runs.list, n)
			}
		}
		if err != nil {
			return err
		}
	}
}

// tfhd returns the track, its defaults and what the runs' offsets count from: the fragment's
// header where nothing else is said.
func (m *mp4) tfhd(b box, moof int64) (*mp4Track, defaults, int64, error) {
	const where = "moof/traf/tfhd"
	p, err := field(m.win, b, where, 0, 8)
	if err != nil {
		return nil, defaults{}, 0, err
	}
	flags := be32(p) & 0xffffff
	t := m.byID(be32(p[4:]))
	if t == nil {
		return nil, defaults{}, 0, nil // a track that is not played
	}
	d := t.trex
	base := moof
	want := int64(8)
	for _, f := range []struct {
		bit  uint32
		size int64
	}{{tfhdBase, 8}, {tfhdDesc, 4}, {tfhdDuration, 4}, {tfhdSize, 4}, {tfhdFlags, 4}} {
		if flags&f.bit != 0 {
			want += f.size
		}
	}
	if p, err = field(m.win, b, where, 0, want); err != nil {
		return nil, d, 0, err
	}
	p = p[8:]
	if flags&tfhdBase != 0 {
		base, p = int64(be64(p)&math.MaxInt64), p[8:]
	}
	p, d.desc = take(p, flags, tfhdDesc, d.desc)
	p, d.dur = take(p, flags, tfhdDuration, d.dur)
	p, d.size = take(p, flags, tfhdSize, d.size)
	_, d.flags = take(p, flags, tfhdFlags, d.flags)
	return t, d, base, nil
}

func (m *mp4) tfdt(b box) (int64, error) {
	const where = "moof/traf/tfdt"
	p, err := field(m.win, b, where, 0, 8)
	if err != nil {
		return 0, err
	}
	if p[0] != 1 {
		return int64(be32(p[4:])), nil
	}
	if p, err = field(m.win, b, where, 4, 8); err != nil {
		return 0, err
	}
	return int64(be64(p) & math.MaxInt64), nil
}

// trun reads a run's header. base is what its offset counts from; without one it lies there, or
// after the run that it follows.
func (m *mp4) trun(b box, d defaults, base int64, follows bool) (run, error) {
	const where = "moof/traf/trun"
	n := run{start: b.start, data: base, defaults: d}
	p, err := field(m.win, b, where, 0, 8)
	if err != nil {
		return n, err
	}
	n.flags, n.count = be32(p)&0xffffff, be32(p[4:])
	head := int64(8)
	if n.flags&trunData != 0 {
		head += 4
	}
	if n.flags&trunFirst != 0 {
		head += 4
	}
	if p, err = field(m.win, b, where, 8, head-8); err != nil {
		return n, err
	}
	if n.flags&trunData != 0 {
		n.data, p = base+int64(int32(be32(p))), p[4:]
	} else if follows {
		n.data = unset
	}
	if n.flags&trunFirst != 0 {
		n.first = be32(p)
	}
	n.entries = b.body + head
	err = n.bound(b, m.size)
	return n, err
}

// bound makes sure that there is room for what a run counts.
func (n *run) bound(b box, size int64) error {
	const where = "moof/traf/trun"
	for _, bit := range [...]uint32{trunDuration, trunSize, trunFlags, trunOffset} {
		if n.flags&bit != 0 {
			n.width += 4
		}
	}
	if room := b.end - n.entries; n.width > 0 && int64(n.count) > room/int64(n.width) {
		return damaged(b.start, where, adviceRemux, "%d samples, there is room for %d", n.count, room/int64(n.width))
	}
	if n.flags&trunSize == 0 && n.count > 0 && (n.size == 0 || int64(n.count) > size/int64(n.size)) {
		return damaged(b.start, where, adviceRemux, "%d samples of %d bytes each", n.count, n.size)
	}
	return nil
}

// lookRuns is how many samples are looked at for offsets below zero.
const lookRuns = 256

// lowest returns the lowest offset of PTS from DTS among the first samples, where negative.
// first is the one that was taken from the runs already.
func (r *runs) lowest(first unit) int32 {
	look := *r
	low := min(0, first.cts)
	for range lookRuns {
		u, ok, err := look.next()
		if err != nil || !ok {
			break
		}
		low = min(low, u.cts)
	}
	return low
}
