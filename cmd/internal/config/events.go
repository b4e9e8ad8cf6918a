package config

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/millrace-video/millrace/stages/event"
	"github.com/millrace-video/millrace/stages/snapshot"
)

func (d *decoder) events(e *Events) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"enabled", d.boolean(&e.Enabled)},
			entry{"interval", d.duration(&e.Interval, event.Least, event.MaxInterval)},
			entry{"minimum", d.duration(&e.Minimum, event.Least, event.MaxInterval)},
			entry{"pre", d.duration(&e.Pre, 0, event.MaxPre)},
			entry{"waiting", d.integer(&e.Waiting, 0, 1_000_000)},
			entry{"priorities", d.priorities(&e.Priorities)},
			entry{"record", d.boolean(&e.Record)},
			entry{"ring", d.size(&e.Ring, 1<<20, 1_000_000_000)},
			entry{"motion", d.motion(&e.Motion)},
			entry{"pictures", d.pictures(&e.Pictures)},
		)
	}
}

func (d *decoder) motion(m *Motion) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"enabled", d.boolean(&m.Enabled)},
			entry{"sensitivity", d.integer(&m.Sensitivity, 1, 100)},
			entry{"area", d.number(&m.Area, 0.1, 100, "percent of the picture")},
			entry{"rate", d.number(&m.Rate, 0.5, 30, "pictures a second")},
			entry{"hold", d.duration(&m.Hold, 100*time.Millisecond, time.Minute)},
		)
	}
}

func (d *decoder) pictures(p *Pictures) setter {
	return func(n *node, path string) {
		d.fields(n, path,
			entry{"enabled", func(n *node, path string) {
				p.Said = true
				d.boolean(&p.Enabled)(n, path)
			}},
			entry{"width", d.integer(&p.Width, snapshot.MinWidth, snapshot.MaxWidth)},
		)
	}
}

// pictureRelations checks that there is what pictures come from.
func (d *decoder) pictureRelations(n *node, path string, ch *Channel) {
	f := n.at("events").get("pictures")
	if f != nil && ch.Events.Pictures.Enabled && !ch.Snapshot.Enabled {
		d.problem(f.line, f.col, join(path, "events.pictures"), "are taken from snapshots, which snapshot.enabled: false turns off: one of the two")
	}
}

// EventPictures says whether the pictures of the channel's events go to the store from the start.
func (ch *Channel) EventPictures() bool {
	if !ch.Events.Enabled || !ch.Snapshot.Enabled {
		return false
	}
	if ch.Events.Pictures.Said {
		return ch.Events.Pictures.Enabled
	}
	return ch.Cloud.Enabled && ch.Cloud.Events
}

// number reads a number with or without a fraction.
func (d *decoder) number(dst *float64, low, high float64, of string) setter {
	return func(n *node, path string) {
		want := fmt.Sprintf("%s, from %g to %g", of, low, high)
		raw, ok := d.scalar(n, path, want, isInteger, isFloat)
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(raw, 64)
		if err != nil || math.IsNaN(v) || v < low || v > high {
			d.wrong(n, path, "is %s: %s", d.show(raw), want)
			return
		}
		*dst = v
	}
}

// priorities reads an object of sources and their priorities for pictures.
func (d *decoder) priorities(dst *map[event.Source]int) setter {
	return func(n *node, path string) {
		const want = "an object of triggers and their priorities, such as {person: 0, motion: 1, user-16: -1}"
		if n.kind != isObject {
			if n.kind != isBroken && n.kind != isNull {
				d.wrong(n, path, "is %s: %s", n.kind, want)
			}
			return
		}
		set := map[event.Source]int{}
		for _, f := range n.fields {
			s, err := event.ParseSource(f.name)
			if err != nil {
				d.problem(f.line, f.col, path, fmt.Sprintf("key %q: motion, person, sound, linkage, user-16 to user-31, or a number from 0 to 31", d.show(f.name)))
				continue
			}
			p := 0
			d.integer(&p, event.Unbound, 31)(f.value, join(path, d.show(f.name)))
			if _, twice := set[s]; twice {
				d.problem(f.line, f.col, path, fmt.Sprintf("%s is given twice", s))
			}
			set[s] = p
		}
		*dst = set
	}
}

// eventRelations checks what is wrong between keys that are right each for itself. A minimum that
// is not given goes along with a short interval.
func (d *decoder) eventRelations(n *node, path string, e *Events) {
	if e.Minimum <= e.Interval {
		return
	}
	if f := n.at("events").get("minimum"); f != nil && f.value.kind != isBroken {
		d.wrong(f.value, join(path, "events.minimum"), "is %s: at most the interval, %s", short(e.Minimum), short(e.Interval))
		return
	}
	e.Minimum = e.Interval
}
