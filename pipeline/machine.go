package pipeline

import (
	"log/slog"
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// machine is a channel's state and the only place that changes it.
type machine struct {
	channel string
	clock   *hal.Clock
	log     *slog.Logger
	tell    func(Event) // may be nil
	turn    sync.Mutex  // of who changes and tells, so that changes are told in their order

	mu    sync.Mutex
	phase phase
	up    bool // frames flow
	down  int  // branches that are down
	cause string
	since int64
	seq   uint64
}

// fire moves the machine, and says whether the phase takes the trigger. Where it does, also is
// done in the same step, so that no other trigger comes in between; it must not call back.
func (m *machine) fire(t trigger, cause string, also ...func()) bool {
	return m.change(cause, func() bool {
		next := transitions()[m.phase][t]
		if next == refused {
			return false
		}
		if next != phaseStarted && next != phasePaused {
			m.up = false
		}
		if next == phaseExited {
			m.down = 0 // who was down has left too
		}
		m.phase = next
		for _, do := range also {
			do()
		}
		return true
	})
}

// setUp says that frames flow or no longer do.
func (m *machine) setUp(up bool, cause string) {
	m.change(cause, func() bool { m.up = up; return true })
}

// branchDown says that one branch more, or less, is down.
func (m *machine) branchDown(by int, cause string) {
	m.change(cause, func() bool { m.down += by; return true })
}

// change is the one setter: it applies what happened, and where the state is another one it
// logs and tells it.
func (m *machine) change(cause string, apply func() bool) bool {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	from := m.phase.state(m.up, m.down)
	ok := apply()
	to := m.phase.state(m.up, m.down)
	changed := from != to
	var e Event
	if changed {
		m.seq++
		m.since = m.clock.Mono()
		m.cause = cause
		e = Event{Channel: m.channel, Seq: m.seq, At: m.clock.Wall(m.since), From: from, To: to, Cause: cause}
	}
	m.mu.Unlock()
	if changed {
		m.log.Info("channel state", "channel", m.channel, "from", from.String(), "to", to.String(), "cause", cause)
		if m.tell != nil {
			m.tell(e)
		}
	}
	return ok
}

func (m *machine) now() (p phase, s State, cause string, since int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.phase, m.phase.state(m.up, m.down), m.cause, m.since
}

// because takes note of why a channel that waits does so.
func (m *machine) because(cause string) {
	m.mu.Lock()
	m.cause = cause
	m.mu.Unlock()
}
