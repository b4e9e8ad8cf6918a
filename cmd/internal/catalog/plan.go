package catalog

import (
	"math"
	"time"
)

// View is what the planner looks at.
type View struct {
	Now      int64 // ns since 1970
	Trusted  bool  // the clock: no age counts before
	MaxBytes int64 // of all; 0: no limit
	Channels []ChannelView
	Disks    []DiskView
	Spool    *SpoolView // nil: there is none
}

// ChannelView is a channel in a View.
type ChannelView struct {
	Name     string
	Disk     int // in View.Disks
	Limits   Limits
	Bytes    int64         // of all its files, the one that grows too
	Segments []FileView    // that are closed, the oldest first; not all, where More says so
	More     map[bool]bool // there are more than listed, of those that are pinned (true) and not
}

// FileView is a file in a View.
type FileView struct {
	Place   uint64
	Copy    bool // a merged file beside its parts
	File    string
	Bytes   int64
	Age     Age
	Start   int64 // label
	End     int64 // label
	Labeled bool  // the label can be trusted
	Pinned  bool
}

// Age orders files of all channels, whatever the wall clock did: by the boots of the machine in
// their order, and by Mono within one.
type Age struct {
	Boot uint32
	Mono int64
}

func (a Age) before(b Age) bool { return a.Boot < b.Boot || a.Boot == b.Boot && a.Mono < b.Mono }

// DiskView is a file system in a View.
type DiskView struct {
	Name    string // a folder on it
	Total   int64
	Free    int64
	MinFree int64
	Want    int64 // somebody needs that much at once
}

// Why is what a file is given up for.
type Why string

// The causes, in the order in which they are looked at.
const (
	WhyAge     Why = "age"      // it is older than its channel keeps
	WhyChannel Why = "channel"  // its channel's bytes
	WhyTotal   Why = "total"    // the bytes of all
	WhyFree    Why = "min-free" // the space that is to stay free
)

// Sacrifice is a file that is to be given up.
type Sacrifice struct {
	Channel string `json:"channel"`
	File    string `json:"file"`
	Bytes   int64  `json:"bytes"`
	Why     Why    `json:"why"`
	Pinned  bool   `json:"pinned,omitempty"`
	Spool   bool   `json:"spool,omitempty"` // not a file but so much of the spool: of events where pinned

	place uint64
	kept  bool // it is a copy
}

// Shortage is a limit that cannot be held: nothing is left to give up.
type Shortage struct {
	Why   Why    `json:"why"`
	Where string `json:"where"` // a channel, or a disk
	Bytes int64  `json:"bytes"` // how much too much there is
}

// Plan says what is to be given up so that every limit holds, in the order of sacrifice: what is
// too old; then, while a channel has too many bytes, its oldest; while all have too many, the
// oldest of all; while a disk has too little free, the oldest on it. What is pinned goes only
// where nothing else is left. Where all files of the first kind are gone, what the spool has of no
// event goes, and where those of the second are, what it has of events. The segment that grows is
// never given up. more says that there is more to give up than the view lists: make another when
// this is done.
func Plan(v View) (gone []Sacrifice, short []Shortage, more bool) {
	p := newPlanner(v)
	if v.Trusted {
		p.old()
	}
	for i := range v.Channels {
		if most := v.Channels[i].Limits.MaxBytes; most > 0 {
			p.until(WhyChannel, v.Channels[i].Name, false, func(ch int) bool { return ch == i }, func() int64 { return p.bytes[i] - most })
		}
	}
	if v.MaxBytes > 0 {
		p.until(WhyTotal, "all", true, func(int) bool { return true }, func() int64 { return p.total - v.MaxBytes })
	}
	for d := range v.Disks {
		disk := v.Disks[d]
		p.until(WhyFree, disk.Name, v.spoolOn(d), func(ch int) bool { return v.Channels[ch].Disk == d },
			func() int64 { return max(disk.MinFree, disk.Want) - p.free[d] })
	}
	return p.gone, p.short, p.more
}

// Next returns what goes first, in the order of sacrifice, when a disk has too little free.
func Next(v View, disk, most int) []Sacrifice {
	p := newPlanner(v)
	on := func(ch int) bool { return v.Channels[ch].Disk == disk }
	for left := true; left && len(p.gone) < most; {
		left = p.giveUp(WhyFree, v.spoolOn(disk), math.MaxInt64, on)
	}
	return p.gone
}

// planner takes files away in its mind.
type planner struct {
	View

	taken []map[int]bool // of each channel
	bytes []int64        // of each channel
	free  []int64        // of each disk
	spool map[bool]int64 // in the spool, of events (true) and not
	total int64

	gone  []Sacrifice
	short []Shortage
	more  bool
}

func newPlanner(v View) *planner {
	p := &planner{View: v, spool: map[bool]int64{}}
	if s := v.Spool; s != nil {
		p.spool[false], p.spool[true] = s.Rest, s.Events
		p.total = s.Rest + s.Events
	}
	for _, ch := range v.Channels {
		p.taken = append(p.taken, map[int]bool{})
		p.bytes = append(p.bytes, ch.Bytes)
		p.total += ch.Bytes
	}
	for _, d := range v.Disks {
		p.free = append(p.free, d.Free)
	}
	return p
}

// old takes what is older than its channel keeps.
func (p *planner) old() {
	for i, ch := range p.Channels {
		if ch.Limits.Keep <= 0 {
			continue
		}
		all := true
		for n, s := range ch.Segments {
			if s.Labeled && !s.Pinned && p.Now-s.End > int64(ch.Limits.Keep) {
				p.take(i, n, WhyAge)
			} else if !s.Pinned {
				all = false
			}
		}
		p.more = p.more || all && len(ch.Segments) > 0 && ch.More[false]
	}
}

// spoolOn says whether the spool lies on a disk.
func (v *View) spoolOn(disk int) bool { return v.Spool != nil && v.Spool.Disk == disk }

// until gives up the oldest of some channels, and of the spool, while there is too much.
func (p *planner) until(why Why, where string, spool bool, of func(ch int) bool, over func() int64) {
	for over() > 0 {
		if p.giveUp(why, spool, over(), of) {
			continue
		}
		if !p.more {
			p.short = append(p.short, Shortage{why, where, over()})
		}
		return
	}
}

// giveUp takes the oldest file of some channels, one that is not pinned before one that is, and
// after each kind, where none is left, as much as is wanted of the spool's. It returns false where
// none is left in the view.
func (p *planner) giveUp(why Why, spool bool, want int64, of func(ch int) bool) bool {
	for _, pinned := range []bool{false, true} {
		ch, n := p.oldest(of, pinned)
		if ch >= 0 {
			p.take(ch, n, why)
			return true
		}
		if p.unseen(of, pinned) {
			p.more = true
			return false
		}
		if n := min(p.spool[pinned], want); spool && n > 0 {
			p.spool[pinned] -= n
			p.total -= n
			p.free[p.Spool.Disk] += n
			p.gone = append(p.gone, Sacrifice{Bytes: n, Why: why, Pinned: pinned, Spool: true})
			return true
		}
	}
	return false
}

// unseen says whether there are more files than the view lists.
func (p *planner) unseen(of func(ch int) bool, pinned bool) bool {
	for i, ch := range p.Channels {
		if of(i) && ch.More[pinned] {
			return true
		}
	}
	return false
}

// oldest finds the oldest file of some channels; none where one whose list has come to its end
// may have an older one.
func (p *planner) oldest(of func(ch int) bool, pinned bool) (ch, n int) {
	ch, n = -1, -1
	for i, c := range p.Channels {
		if !of(i) {
			continue
		}
		first := p.first(i, pinned)
		switch {
		case first < 0 && c.More[pinned]:
			return -1, -1
		case first < 0:
		case ch < 0 || c.Segments[first].Age.before(p.Channels[ch].Segments[n].Age):
			ch, n = i, first
		}
	}
	return ch, n
}

func (p *planner) first(ch int, pinned bool) int {
	for n, s := range p.Channels[ch].Segments {
		if s.Pinned == pinned && !p.taken[ch][n] {
			return n
		}
	}
	return -1
}

func (p *planner) take(ch, n int, why Why) {
	c := &p.Channels[ch]
	s := c.Segments[n]
	p.taken[ch][n] = true
	p.bytes[ch] -= s.Bytes
	p.total -= s.Bytes
	p.free[c.Disk] += s.Bytes
	p.gone = append(p.gone, Sacrifice{Channel: c.Name, File: s.File, Bytes: s.Bytes, Why: why, Pinned: s.Pinned, place: s.Place, kept: s.Copy})
}

// keptFor is how long a pin without an end of its own holds.
func (l Limits) keptFor() time.Duration {
	if l.KeepEvents > 0 {
		return l.KeepEvents
	}
	return defaultKeepEvents
}
