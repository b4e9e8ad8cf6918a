package event

import (
	"fmt"
	"slices"
)

// naive is C6 to C8 a second time, without a thought for speed: it keeps all that ever happened
// and answers each question by going through it. Time is in ticks; footage is a set of ticks.
type naive struct {
	cfg    naiveConfig
	script *script
	events []*naiveEvent
	on     [2]bool
	said   []string
	asked  int // pictures
	parts  int // of recordings
	told   int // messages
}

type naiveConfig struct {
	interval, minimum, pre, upload, waiting int
	priority                                [sources]int
}

type naiveEvent struct {
	number   int
	opened   int
	cut      int // when the service went off; −1: it did not
	triggers []naiveTrigger
	messages []int // when each has gone
	stores   []int // when each is stored
	pictures []*naivePicture
	footage  map[int]bool
	part     bool // one runs
}

type naiveTrigger struct{ call, when, source int }

type naivePicture struct {
	number, at int
	replaced   int // when; −1: it was not
	how        pictureScript
}

// script is what the world does, by number.
type script struct {
	messages, stores []int // ticks until it has gone, is stored
	pictures         []pictureScript
}

type pictureScript struct {
	none    bool // no path
	appears int  // ticks until the file is there
	grows   int  // ticks until it is larger than 2 KiB
	takes   int  // ticks of its upload
	ends    int  // 0: well, 1: with an error, 3: the file is gone
}

const growth = 50 // ticks: 5 s

func (e *naiveEvent) takesTriggers(t int, c naiveConfig) bool {
	return t < e.opened+c.interval && (e.cut < 0 || t < e.cut)
}

// end is when the recording ends by the triggers so far.
func (e *naiveEvent) end(c naiveConfig) int {
	end := -1 << 30
	for _, tr := range e.triggers {
		end = max(end, tr.when+c.minimum)
	}
	return end
}

func (e *naiveEvent) recording(t int, c naiveConfig) bool {
	return len(e.triggers) > 0 && t < e.end(c) && (e.cut < 0 || t < e.cut)
}

func (p *naivePicture) start() int { return p.at + p.how.grows }

// result is a picture's code and when it comes.
func (p *naivePicture) result(c naiveConfig) (code, at int) {
	switch {
	case p.replaced >= 0:
		return 2, p.replaced
	case p.how.grows > growth && p.how.appears > growth:
		return 3, p.at + growth
	case p.how.grows > growth:
		return 1, p.at + growth
	case p.how.takes > c.upload:
		return 1, p.start() + c.upload
	}
	return p.how.ends, p.start() + p.how.takes
}

func (e *naiveEvent) done(t int, c naiveConfig) bool {
	if e.takesTriggers(t, c) || e.part {
		return false
	}
	for _, gone := range slices.Concat(e.messages, e.stores) {
		if gone > t {
			return false
		}
	}
	for _, p := range e.pictures {
		if _, at := p.result(c); at > t {
			return false
		}
	}
	return true
}

// step ends the parts that end at t.
func (n *naive) step(t int) {
	for _, e := range n.events {
		if e.part && !e.recording(t, n.cfg) {
			e.part = false
			e.stores = append(e.stores, t+n.script.stores[n.parts])
			n.parts++
		}
	}
}

func (n *naive) serve(t int, s Service, on bool) {
	n.on[s] = on
	if s != EventService || on {
		return
	}
	for _, e := range n.events {
		if !e.takesTriggers(t, n.cfg) && !e.part {
			continue
		}
		e.cut = t
		for tick := range e.footage {
			if tick >= t {
				delete(e.footage, tick)
			}
		}
	}
	n.step(t)
}

func (n *naive) trigger(t, source, at int) string {
	if !n.on[EventService] {
		return "off"
	}
	var e *naiveEvent
	undone := 0
	for _, o := range n.events {
		if o.takesTriggers(t, n.cfg) {
			e = o
		}
		if !o.done(t, n.cfg) {
			undone++
		}
	}
	if e == nil {
		if n.cfg.waiting > 0 && undone >= n.cfg.waiting {
			return "full"
		}
		e = &naiveEvent{number: len(n.events) + 1, opened: t, cut: -1, footage: map[int]bool{}}
		n.events = append(n.events, e)
	}
	when := at
	if at > t || at < t-600 {
		when = t
	}
	fired, urgent := false, true
	for _, before := range e.triggers {
		fired = fired || before.source == source
		if p := n.cfg.priority[before.source]; p != Unbound && p <= n.cfg.priority[source] {
			urgent = false
		}
	}
	if n.cfg.priority[source] == Unbound {
		urgent = !fired
	}
	if !fired {
		n.say(t, "message %d %d at %d, %d, opens %t", e.number, source, at, when, len(e.triggers) == 0)
		e.messages = append(e.messages, t+n.script.messages[n.told])
		n.told++
	}
	n.film(e, t, when)
	asks := urgent || len(e.triggers) == 0
	e.triggers = append(e.triggers, naiveTrigger{t, when, source})
	n.step(t)
	if asks && n.on[PictureService] {
		n.ask(e, t, source)
	}
	return ""
}

func (n *naive) film(e *naiveEvent, t, when int) {
	from := when - n.cfg.pre
	if len(e.triggers) > 0 {
		from = max(from, e.end(n.cfg))
	}
	if e.recording(t, n.cfg) {
		from = e.end(n.cfg)
	}
	for tick := from; tick < when+n.cfg.minimum; tick++ {
		e.footage[tick], e.part = true, true
	}
}

func (n *naive) ask(e *naiveEvent, t, source int) {
	p := &naivePicture{number: n.asked + 1, at: t, replaced: -1, how: n.script.pictures[n.asked]}
	n.asked++
	n.say(t, "capture %d of %d by %d", p.number, e.number, source)
	if p.how.none {
		return
	}
	for _, o := range e.pictures {
		if _, at := o.result(n.cfg); at > t && o.start() > t {
			o.replaced = t
		}
	}
	e.pictures = append(e.pictures, p)
}

func (n *naive) say(t int, format string, args ...any) {
	n.said = append(n.said, fmt.Sprintf("%06d ", t)+fmt.Sprintf(format, args...))
}

// account is all that was to happen, in an order that is the same for the machine.
func (n *naive) account() []string {
	said := slices.Clone(n.said)
	for _, e := range n.events {
		for _, p := range e.pictures {
			code, at := p.result(n.cfg)
			said = append(said, fmt.Sprintf("%06d result of %d: %d, /p/%d", at, p.number, code, p.number))
		}
		said = append(said, fmt.Sprintf("footage of %d: %s", e.number, runs(e.footage)))
	}
	slices.Sort(said)
	return said
}

// runs writes a set of ticks.
func runs(set map[int]bool) string {
	ticks := make([]int, 0, len(set))
	for tick := range set {
		ticks = append(ticks, tick)
	}
	slices.Sort(ticks)
	text := ""
	for i, tick := range ticks {
		if i == 0 || ticks[i-1] != tick-1 {
			text += fmt.Sprintf(" %d-", tick)
		}
		if i == len(ticks)-1 || ticks[i+1] != tick+1 {
			text += fmt.Sprintf("%d", tick)
		}
	}
	return text
}
