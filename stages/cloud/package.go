package cloud

import (
	"fmt"
	"slices"
	"time"
)

// stage is how far a package is.
type stage uint8

const (
	kept    stage = iota // for an event that may come
	waiting              // accepted
	flying
	stored
	lost
)

// pkg is one package on its way. The Cloud's mu guards what changes.
type pkg struct {
	name

	ch       *Channel
	from, to int64  // Mono; 0 where it is from a run before
	body     []byte // nil: it lies in the spool
	size     int64

	stage    stage
	event    bool // it belongs to one
	windows  []*window
	accepted int64 // Mono; 0: in a run before
	tries    int
	due      int64 // Mono of the next attempt
}

func (p *pkg) key() string { return p.ch.root + mediaFolder + p.folder + "/" + p.base() }

// live says whether it goes up ahead of the backlog: it came just now.
func (p *pkg) live(now int64) bool {
	return p.accepted != 0 && now-p.accepted < int64(liveFor)
}

// liveFor is how long a package is of the present.
const liveFor = 10 * time.Second

// class is what the uplink is told.
func (p *pkg) class(now int64) Class {
	switch {
	case !p.live(now):
		return BackfillClass
	case p.event:
		return EventClass
	}
	return FullTimeClass
}

// mostWaiting is how many packages wait in memory (C3).
const mostWaiting = 3

// wait puts an accepted package where it belongs in the channel's order. The caller holds mu.
func (c *Cloud) wait(p *pkg) {
	p.stage = waiting
	all := p.ch.waiting
	i, _ := slices.BinarySearchFunc(all, p.number, func(o *pkg, n uint64) int {
		switch {
		case o.number < n:
			return -1
		case o.number > n:
			return 1
		}
		return 0
	})
	p.ch.waiting = slices.Insert(all, i, p)
	if p.body != nil {
		c.boundMemory(p.ch)
	}
}

// boundMemory drops the oldest package in memory while too much waits there (C3). The caller
// holds mu.
func (c *Cloud) boundMemory(ch *Channel) {
	most := mostWaiting * ch.size()
	for {
		n, sum := 0, int64(0)
		var oldest *pkg
		for _, p := range ch.waiting {
			if p.body == nil {
				continue
			}
			if oldest == nil {
				oldest = p
			}
			n++
			sum += p.size
		}
		if n == 1 && sum > most && ch.cfg.Bytes > 0 && !ch.warned {
			ch.warned = true
			text := fmt.Sprintf("a package of %d bytes is larger than three times the set size: it is sent all the same; set cloud.package_bytes to %d or more, or to 0 to have it measured", sum, sum/mostWaiting+1)
			c.after = append(c.after, func() { c.log.Warn(text, "channel", ch.name) })
		}
		if n <= 1 || n <= mostWaiting && sum <= most {
			return
		}
		c.drop(oldest, "too much waited in memory")
	}
}

// drop gives up a package that waits. The caller holds mu.
func (c *Cloud) drop(p *pkg, cause string) {
	p.ch.waiting = slices.DeleteFunc(p.ch.waiting, func(o *pkg) bool { return o == p })
	p.stage = lost
	p.ch.figures.Dropped++
	p.ch.figures.DroppedBytes += uint64(p.size) //nolint:gosec // a size
	c.leaves(p, func(w *window) { w.lost++ })
	l := Lost{Channel: p.ch.name, Number: p.number, From: p.start, To: p.start.Add(p.length), Event: p.event, Cause: cause}
	p.ch.losses = append(p.ch.losses[max(0, len(p.ch.losses)-15):], l)
	spooled := p.body == nil
	if spooled {
		c.spooled -= p.size
	}
	p.body = nil
	c.after = append(c.after, func() {
		if spooled {
			c.unspool(p)
		}
		if c.cfg.Lost != nil {
			c.cfg.Lost(l)
		}
	})
}
