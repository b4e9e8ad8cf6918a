package catalog

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/stages/record"
)

// anchors are the maps between Mono and wall that instants refer to.
type anchors struct {
	mu  sync.RWMutex
	all map[uint32]Anchor
}

func newAnchors() *anchors { return &anchors{all: map[uint32]Anchor{}} }

// get returns an anchor; the zero one where it is not known.
func (a *anchors) get(id uint32) Anchor {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.all[id]
}

// put makes an anchor known. One that is trusted stays so.
func (a *anchors) put(n Anchor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n.Trusted = n.Trusted || a.all[n.ID].Trusted
	a.all[n.ID] = n
}

// name returns the number of an instant's anchor in this catalog, and makes one where the
// instant is the first of its anchor.
func (a *anchors) name(t record.Instant, boot, start string) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	highest := uint32(0)
	for id, n := range a.all {
		if n.Start == start && n.Number == t.Anchor {
			return id
		}
		highest = max(highest, id)
	}
	n := Anchor{ID: highest + 1, Boot: boot, Start: start, Number: t.Anchor, Mono: t.Mono, Wall: t.Wall}
	a.all[n.ID] = n
	return n.ID
}

// better returns the map by which a time of an anchor is to be labelled: the first trusted one
// after it in its boot, up to the number last; the anchor itself where it is trusted or there is
// no better one.
func (a *anchors) better(id, last uint32) Anchor {
	a.mu.RLock()
	defer a.mu.RUnlock()
	best := a.all[id]
	if best.Trusted || best.Boot == "" {
		return best
	}
	for n := id + 1; n <= last; n++ {
		if to := a.all[n]; to.Trusted && to.Boot == best.Boot {
			return to
		}
	}
	return best
}

// relabel gives an instant the wall time that its boot's clock had it known. It says whether
// anything changed.
func (a *anchors) relabel(t *record.Instant, last uint32) bool {
	to := a.better(t.Anchor, last)
	if to.ID == 0 || to.ID == t.Anchor {
		return false
	}
	t.Wall, t.Anchor = to.label(t.Mono), to.ID
	return true
}

// sameBoot implements clockwork.
func (a *anchors) sameBoot(x, y record.Instant) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return x.Anchor != 0 && (x.Anchor == y.Anchor || a.all[x.Anchor].Boot != "" && a.all[x.Anchor].Boot == a.all[y.Anchor].Boot)
}

// between implements clockwork: within a boot by Mono, and otherwise by the walls where both can
// be trusted.
func (a *anchors) between(x, y record.Instant) (time.Duration, bool) {
	if a.sameBoot(x, y) {
		return time.Duration(y.Mono - x.Mono), true
	}
	if a.get(x.Anchor).Trusted && a.get(y.Anchor).Trusted && y.Wall >= x.Wall {
		return time.Duration(y.Wall - x.Wall), true
	}
	return 0, false
}

// list returns the anchors in their order.
func (a *anchors) list() []Anchor {
	a.mu.RLock()
	defer a.mu.RUnlock()
	all := make([]Anchor, 0, len(a.all))
	for _, n := range a.all {
		all = append(all, n)
	}
	slices.SortFunc(all, func(x, y Anchor) int { return cmp.Compare(x.ID, y.ID) })
	return all
}

// near returns the latest anchor by which an instant without one can have been labelled; 0 where
// there is none.
func (a *anchors) near(t record.Instant) uint32 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	best := uint32(0)
	for id, n := range a.all {
		if off := time.Duration(n.label(t.Mono) - t.Wall); off.Abs() < 2*time.Second {
			best = max(best, id)
		}
	}
	return best
}

// find returns the catalog's number of a program's anchor, or, where that has none yet, of
// another of its anchors; 0 where there is none.
func (a *anchors) find(number uint32, start string) uint32 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	other := uint32(0)
	for id, n := range a.all {
		if n.Start != start {
			continue
		}
		if n.Number == number {
			return id
		}
		other = max(other, id)
	}
	return other
}
