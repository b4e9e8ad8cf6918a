package event

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// believable is how old a trigger may be for its time to be believed. The time of an older one,
// or of one from the future, stands in its message, and the instant of the call counts instead.
const believable = time.Minute

// machine is what is going on in one channel's event handling. It is pure: each call says when
// it is, and adds what is to be done to out, in order. One goroutine at a time calls it.
type machine struct {
	cfg      Config
	channel  string
	on       [2]bool // services
	leaving  bool
	events   uint64 // the number of the last one
	pictures uint64
	open     *story   // takes triggers
	waiting  []*story // all that are not done, the open one too, oldest first
	rolling  []*story // with a window that is not over: two at most while the service is on
	shots    []*shot  // pictures without a result, oldest first
	due      int64    // Mono at which tick has something to do; far off where never
	out      []action
	count    Counters
}

// never is when nothing is due.
const never = math.MaxInt64

// story is an event until nothing of it waits any more.
type story struct {
	number  uint64
	closes  int64  // Mono
	closed  bool   // takes no more triggers
	fired   uint32 // sources
	best    int    // the most urgent priority that fired; sources where none is bound
	window  Window // the last one
	rolling bool   // it is not over
	told    int64  // Mono of its end, as told last
	sending int    // messages under way
	shots   int    // pictures without a result
	storing int    // windows that are over, whose video is on its way
}

// action is one thing to do outside.
type action struct {
	kind    actionKind
	message Message
	window  Window
	picture Picture
	code    Code
	notice  Notice
	wanted  bool
}

type actionKind uint8

const (
	doSend    actionKind = iota // message
	doRecord                    // window
	doCapture                   // picture
	doLook                      // at the picture's file
	doUpload                    // picture
	doGiveUp                    // the picture's upload
	doResult                    // picture, code
	doStream                    // wanted
	doNotice                    // notice
)

func newMachine(channel string, cfg Config, last uint64) *machine {
	return &machine{cfg: cfg.WithDefaults(), channel: channel, events: last, due: never}
}

// trigger is a call of the application's (C6).
func (m *machine) trigger(now Instant, set uint32, at int64) error {
	m.tick(now)
	src, err := m.admit(now, set)
	if err != nil {
		m.count.Refused++
		return err
	}
	m.count.Triggers++
	e, when := m.open, believed(now, at)
	opens, first := e.fired == 0, e.fired&set == 0
	asks := opens
	if p := m.cfg.priority(src); p == Unbound {
		asks = asks || first
	} else {
		asks = asks || p < e.best
		e.best = min(e.best, p)
	}
	e.fired |= set
	if first {
		e.sending++
		m.count.Messages++
		m.do(action{kind: doSend, message: Message{Channel: m.channel, Event: e.number, Source: src, At: at, Time: when, Opens: opens}})
	}
	m.roll(e, when)
	if asks && m.on[PictureService] {
		m.ask(e, src)
	}
	if first {
		m.reckon()
	}
	m.tick(now)
	return nil
}

// admit returns the source of a trigger call, with an event open for it, or why it is refused.
func (m *machine) admit(now Instant, set uint32) (Source, error) {
	switch {
	case m.leaving:
		return 0, ErrExiting
	case !m.on[EventService]:
		return 0, ErrOff
	}
	src, err := named(set)
	if err != nil || m.open != nil {
		return src, err
	}
	if m.cfg.Waiting > 0 && len(m.waiting) >= m.cfg.Waiting {
		return 0, ErrFull
	}
	m.begin(now)
	return src, nil
}

// believed is when a trigger was.
func believed(now Instant, at int64) Instant {
	if at > now.UTC || at < now.UTC-believable.Milliseconds() {
		return now
	}
	return now.Add(-time.Duration(now.UTC-at) * time.Millisecond)
}

// begin opens an event.
func (m *machine) begin(now Instant) {
	m.events++
	m.count.Events++
	m.open = &story{number: m.events, closes: now.Mono + int64(m.cfg.Interval), best: sources}
	m.waiting = append(m.waiting, m.open)
}

// roll has a trigger prolong the window under way, or open the next one.
func (m *machine) roll(e *story, when Instant) {
	to := when.Add(m.cfg.Minimum)
	w := &e.window
	if e.rolling {
		if to.Mono > w.To.Mono {
			w.To = to // told when the time that was told last has come
		}
		return
	}
	from := when.Add(-m.cfg.Pre)
	if w.Part > 0 && from.Mono < w.To.Mono {
		from = w.To
	}
	if to.Mono <= from.Mono {
		return // all of it is in the window before
	}
	e.window = Window{Channel: m.channel, Event: e.number, Part: w.Part + 1, From: from, To: to}
	e.rolling = true
	m.rolling = append(m.rolling, e)
	if len(m.rolling) == 1 {
		m.do(action{kind: doStream, wanted: true})
	}
	m.tell(e)
	m.reckon()
}

// tell tells the recorder of an event's window.
func (m *machine) tell(e *story) {
	e.told = e.window.To.Mono
	m.do(action{kind: doRecord, window: e.window})
}

// over ends an event's window.
func (m *machine) over(e *story) {
	e.window.Over, e.rolling = true, false
	e.storing++
	m.rolling = slices.DeleteFunc(m.rolling, func(o *story) bool { return o == e })
	m.tell(e)
	if len(m.rolling) == 0 {
		m.do(action{kind: doStream})
	}
}

// tick does what time brings.
func (m *machine) tick(now Instant) {
	if now.Mono < m.due {
		return
	}
	if m.open != nil && m.open.closes <= now.Mono {
		m.close()
	}
	for _, e := range slices.Clone(m.rolling) {
		switch {
		case e.window.To.Mono <= now.Mono:
			m.over(e)
		case e.told <= now.Mono:
			m.tell(e)
		}
	}
	m.tickShots(now)
	m.clear()
	m.reckon()
}

// close has the open event take no more triggers.
func (m *machine) close() {
	m.open.closed = true
	m.open = nil
}

// cut ends at once what runs: the open event, and every window.
func (m *machine) cut(now Instant) {
	if m.open != nil {
		m.close()
	}
	for _, e := range slices.Clone(m.rolling) {
		if e.window.To.Mono > now.Mono {
			e.window.To = now
		}
		m.over(e)
	}
}

// serve switches a service (C4) and passes the notice on (C5).
func (m *machine) serve(now Instant, n Notice) {
	m.tick(now)
	m.on[n.Service] = n.On
	if n.Service == EventService && !n.On {
		m.cut(now)
	}
	m.do(action{kind: doNotice, notice: n})
	m.clear()
	m.reckon()
}

// leave is an exit (C1): gentle, what is under way ends by itself, without more triggers and
// footage; forced, nothing is waited for, and what was left is returned.
func (m *machine) leave(now Instant, force bool) (left Left) {
	m.tick(now)
	m.leaving = true
	m.cut(now)
	if force {
		for _, e := range m.waiting {
			left.Messages += e.sending
			left.Windows += e.storing
		}
		for _, s := range slices.Clone(m.shots) {
			if s.state != asked { // else there is no picture yet, and so no result
				left.Pictures = append(left.Pictures, s.picture.Path)
				m.finish(s, TimedOut)
			}
		}
		m.waiting, m.shots = nil, nil
	}
	m.clear()
	m.reckon()
	return left
}

// sent says that a message has gone, or is lost.
func (m *machine) sent(event uint64, err error) {
	e := m.find(event)
	if e == nil {
		return
	}
	if err != nil {
		m.count.Lost++
	}
	e.sending--
	m.clear()
}

// stored says that the video of a window that is over is where it belongs, or is lost.
func (m *machine) stored(event uint64, err error) {
	e := m.find(event)
	if e == nil {
		return
	}
	if err != nil {
		m.count.Unstored++
	}
	e.storing--
	m.clear()
}

func (m *machine) find(event uint64) *story {
	for _, e := range slices.Backward(m.waiting) {
		if e.number == event {
			return e
		}
	}
	return nil
}

// clear forgets events of which nothing waits.
func (m *machine) clear() {
	m.waiting = slices.DeleteFunc(m.waiting, (*story).done)
}

func (e *story) done() bool {
	return e.closed && !e.rolling && e.sending == 0 && e.shots == 0 && e.storing == 0
}

// reckon finds when tick is due.
func (m *machine) reckon() {
	m.due = never
	if m.open != nil {
		m.due = m.open.closes
	}
	for _, e := range m.rolling {
		m.due = min(m.due, e.told)
	}
	for _, s := range m.shots {
		m.due = min(m.due, s.due())
	}
}

func (m *machine) do(a action) { m.out = append(m.out, a) }

// status is what C4 shows.
func (m *machine) status(now Instant) Status {
	m.tick(now)
	s := Status{Event: m.on[EventService], Picture: m.on[PictureService], Exiting: m.leaving, Last: m.events, Counters: m.count}
	s.Open, s.Recording, s.Pictures = m.open != nil, len(m.rolling) > 0, len(m.shots)
	for _, e := range m.waiting {
		s.Messages += e.sending
		s.Creating = s.Creating || e.sending > 0 || e.shots > 0
		if e.storing > 0 {
			s.Waiting++
		}
	}
	s.Uploading = s.Waiting > 0
	if m.open != nil {
		s.Fired = make([]Source, 0, bits.OnesCount32(m.open.fired))
		for src := range Source(sources) {
			if m.open.fired&src.Bit() != 0 {
				s.Fired = append(s.Fired, src)
			}
		}
	}
	return s
}
