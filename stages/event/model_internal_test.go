package event

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tick is the unit of time of the traces. Their clocks have origins of their own.
const (
	tick       = 100 * time.Millisecond
	originUTC  = 1_800_000_000_000
	originMono = 77_000_000_000
)

func instant(t int) Instant {
	return Instant{UTC: originUTC + int64(t)*tick.Milliseconds(), Mono: originMono + int64(t)*int64(tick)}
}

func ticksOf(i Instant) int { return int((i.Mono - originMono) / int64(tick)) }

// world carries out what a machine says, by the script.
type world struct {
	t       *testing.T
	m       *machine
	script  *script
	now     int
	later   map[int][]func(Instant)
	said    []string
	footage map[int]map[int]bool
	live    map[uint64]bool // events with a window that is not over
	told    map[uint64]int  // until when, as told last
	wanted  bool
	asked   map[uint64]int // when a path was returned
	sends   int
	parts   int
}

func (w *world) say(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf("%06d ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) after(ticks int, do func(Instant)) {
	if ticks == 0 {
		do(instant(w.now))
		return
	}
	w.later[w.now+ticks] = append(w.later[w.now+ticks], do)
}

// settle carries out until nothing more is said.
func (w *world) settle() {
	for len(w.m.out) > 0 {
		batch := w.m.out
		w.m.out = nil
		for _, a := range batch {
			w.carryOut(a)
		}
	}
}

func (w *world) carryOut(a action) {
	p := a.picture
	switch a.kind {
	case doSend:
		at := int(a.message.At-originUTC) / int(tick.Milliseconds())
		w.say("message %d %d at %d, %d, opens %t", a.message.Event, a.message.Source, at, ticksOf(a.message.Time), a.message.Opens)
		w.sends++
		w.after(w.script.messages[w.sends-1], func(Instant) { w.m.sent(a.message.Event, nil) })
	case doRecord:
		w.record(a.window)
	case doCapture:
		w.say("capture %d of %d by %d", p.Number, p.Event, p.Source)
		path := fmt.Sprintf("/p/%d", p.Number)
		if w.script.pictures[p.Number-1].none {
			path = ""
		}
		w.asked[p.Number] = w.now
		w.m.captured(instant(w.now), p, path)
	case doLook:
		how, age, size := w.script.pictures[p.Number-1], w.now-w.asked[p.Number], int64(-1)
		if age >= how.appears {
			size = 2 << 10
		}
		if age >= how.grows {
			size = 2<<10 + 1
		}
		w.m.looked(instant(w.now), p.Number, size)
	case doUpload:
		how := w.script.pictures[p.Number-1]
		err := map[int]error{1: errors.New("refused"), 3: fmt.Errorf("open: %w", fs.ErrNotExist)}[how.ends]
		w.after(how.takes, func(now Instant) { w.m.uploaded(now, p.Number, err) })
	case doResult:
		w.say("result of %d: %d, %s", p.Number, a.code, p.Path)
	case doStream:
		require.NotEqual(w.t, w.wanted, a.wanted)
		w.wanted = a.wanted
	case doGiveUp, doNotice:
	}
}

func (w *world) record(win Window) {
	w.live[win.Event], w.told[win.Event] = !win.Over, ticksOf(win.To)
	if !win.Over {
		require.Greater(w.t, ticksOf(win.To), ticksOf(win.From))
		return
	}
	set := w.footage[int(win.Event)]
	if set == nil {
		set = map[int]bool{}
		w.footage[int(win.Event)] = set
	}
	for at := ticksOf(win.From); at < ticksOf(win.To); at++ {
		if set[at] {
			require.Fail(w.t, "footage twice within an event")
		}
		set[at] = true
	}
	w.parts++
	w.after(w.script.stores[w.parts-1], func(Instant) { w.m.stored(win.Event, nil) })
}

// trace is one random history: what is configured, what the world does, what is called.
type trace struct {
	cfg    naiveConfig
	script script
	calls  map[int][]call
	length int
}

type call struct {
	serve      bool
	service    Service
	on         bool
	source, at int
}

func randomTrace(r *rand.Rand) trace {
	tr := trace{calls: map[int][]call{}, length: 100 + r.IntN(500)}
	tr.cfg = naiveConfig{interval: 40 + r.IntN(60), pre: []int{0, 10, 50, 70}[r.IntN(4)], upload: 20 + r.IntN(60), waiting: []int{0, 0, 1, 2, 3}[r.IntN(5)]}
	tr.cfg.minimum = 40 + r.IntN(tr.cfg.interval-39)
	kinds := 2 + r.IntN(6)
	for s := range tr.cfg.priority {
		tr.cfg.priority[s] = s
		if r.IntN(2) == 0 {
			tr.cfg.priority[s] = r.IntN(9) - 1
		}
	}
	calls := 2 + r.IntN(40)
	at := 0
	for range calls {
		if r.IntN(3) > 0 { // else at the same tick
			at = min(tr.length-1, at+r.IntN(2*tr.length/calls+2))
		}
		c := call{source: r.IntN(kinds) * 5, at: at}
		switch r.IntN(12) {
		case 0:
			c = call{serve: true, service: Service(r.IntN(2)), on: r.IntN(3) > 0}
		case 1:
			c.at = at - r.IntN(100)
		case 2:
			c.at = at + 1 + r.IntN(1000)
		case 3:
			c.at = at - 590 - r.IntN(20)
		}
		tr.calls[at] = append(tr.calls[at], c)
	}
	for range calls {
		tr.script.messages = append(tr.script.messages, r.IntN(3)*r.IntN(60))
		how := pictureScript{none: r.IntN(6) == 0, appears: r.IntN(60), takes: r.IntN(70), ends: []int{0, 0, 0, 1, 3}[r.IntN(5)]}
		how.grows = how.appears + r.IntN(3)*r.IntN(30)
		if how.takes == tr.cfg.upload {
			how.takes++
		}
		tr.script.pictures = append(tr.script.pictures, how)
		tr.script.stores = append(tr.script.stores, r.IntN(3)*r.IntN(200))
	}
	return tr
}

// real is the configuration as the machine has it.
func (c naiveConfig) real() Config {
	cfg := Config{
		Interval: time.Duration(c.interval) * tick, Minimum: time.Duration(c.minimum) * tick, Pre: time.Duration(c.pre) * tick,
		UploadTimeout: time.Duration(c.upload) * tick, Waiting: c.waiting, Priorities: map[Source]int{},
	}
	for s, p := range c.priority {
		cfg.Priorities[Source(s)] = p
	}
	return cfg
}

// play has a machine and the naive model live through the trace, and compares what came of it.
func play(t *testing.T, tr trace) {
	t.Helper()
	cfg := tr.cfg.real()
	require.NoError(t, cfg.Validate())
	n := &naive{cfg: tr.cfg, script: &tr.script}
	w := &world{
		t: t, m: newMachine("gate", cfg, 0), script: &tr.script, later: map[int][]func(Instant){},
		footage: map[int]map[int]bool{}, live: map[uint64]bool{}, told: map[uint64]int{}, asked: map[uint64]int{},
	}
	for _, s := range []Service{EventService, PictureService} {
		w.m.serve(instant(0), Notice{Service: s, On: true})
		n.serve(0, s, true)
	}
	for w.now = 0; w.now < tr.length+700; w.now++ {
		for _, do := range w.later[w.now] {
			do(instant(w.now))
		}
		w.m.tick(instant(w.now))
		w.settle()
		n.step(w.now)
		for _, c := range tr.calls[w.now] {
			if c.serve {
				w.m.serve(instant(w.now), Notice{Service: c.service, On: c.on})
				n.serve(w.now, c.service, c.on)
			} else {
				err := w.m.trigger(instant(w.now), Source(c.source).Bit(), instant(c.at).UTC)
				want := map[string]error{"off": ErrOff, "full": ErrFull}[n.trigger(w.now, c.source, c.at)]
				require.ErrorIs(t, err, want, "at %d", w.now)
			}
			w.settle()
		}
		wanted := false
		for _, e := range n.events {
			rolling := e.recording(w.now, tr.cfg)
			if rolling != w.live[uint64(e.number)] {
				require.Equal(t, rolling, w.live[uint64(e.number)], "recording of %d at %d", e.number, w.now)
			}
			if rolling && w.told[uint64(e.number)] <= w.now {
				require.Fail(t, "prolonged, and the recorder does not know")
			}
			wanted = wanted || rolling
		}
		if wanted != w.wanted {
			require.Equal(t, wanted, w.wanted)
		}
	}
	said := w.said
	for number, set := range w.footage {
		said = append(said, fmt.Sprintf("footage of %d: %s", number, runs(set)))
	}
	slices.Sort(said)
	require.Equal(t, n.account(), said)
	require.Empty(t, w.m.waiting, "what is done is forgotten")
	require.Empty(t, w.m.shots)
}

// C6, C7, C8: on random traces the machine and the naive model say the same messages, record the
// same footage, ask for the same pictures and give them the same results. 100,000 of them under
// MILLRACE_TORTURE=1.
func TestMachineDoesWhatTheModelDoes(t *testing.T) {
	traces := uint64(1_000)
	if os.Getenv("MILLRACE_TORTURE") != "" {
		traces = 100_000
	}
	playing := uint64(0)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", playing)
		}
	}()
	for seed := range traces {
		playing = seed
		play(t, randomTrace(rand.New(rand.NewPCG(seed, 5))))
	}
}
