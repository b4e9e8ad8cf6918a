package event

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// application is the world of a trace around the real thing: Channel, Handling, workers, files.
type application struct {
	t      *testing.T
	dir    string
	start  Instant
	script *script

	clock func() Instant

	mu      sync.Mutex
	later   map[int][]func() // at a tick, before its calls
	files   map[int][]func() // behind the calls of a tick
	said    []string
	footage map[int]map[int]bool
	sends   int
	parts   int
}

func (a *application) now() int { return a.tickOf(a.clock()) }

func (a *application) say(format string, args ...any) {
	a.said = append(a.said, fmt.Sprintf("%06d ", a.now())+fmt.Sprintf(format, args...))
}

func (a *application) tickOf(i Instant) int { return int((i.Mono - a.start.Mono) / int64(tick)) }

// after answers at once, or has it answered later.
func (a *application) after(ticks int, do func()) {
	if ticks > 0 {
		at := a.now() + ticks
		a.later[at] = append(a.later[at], do)
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	do()
}

func (a *application) Send(_ context.Context, m Message, sent func(error)) {
	a.mu.Lock()
	a.say("message %d %d at %d, %d, opens %t", m.Event, m.Source, int(m.At-a.start.UTC)/int(tick.Milliseconds()), a.tickOf(m.Time), m.Opens)
	a.sends++
	a.after(a.script.messages[a.sends-1], func() { sent(nil) })
}

func (a *application) Record(w Window, stored func(error)) {
	if !w.Over {
		return
	}
	a.mu.Lock()
	set := a.footage[int(w.Event)]
	if set == nil {
		set = map[int]bool{}
		a.footage[int(w.Event)] = set
	}
	for at := a.tickOf(w.From); at < a.tickOf(w.To); at++ {
		set[at] = true
	}
	a.parts++
	a.after(a.script.stores[a.parts-1], func() { stored(nil) })
}

func (a *application) capture(p Picture) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.say("capture %d of %d by %d", p.Number, p.Event, p.Source)
	how := a.script.pictures[p.Number-1]
	if how.none {
		return ""
	}
	path := filepath.Join(a.dir, fmt.Sprint(p.Number))
	write := func(age, size int) {
		do := func() { require.NoError(a.t, os.WriteFile(path, make([]byte, size), 0o600)) }
		if age == 0 {
			do()
			return
		}
		at := a.now() + age - 1
		a.files[at] = append(a.files[at], do)
	}
	write(how.appears, 2<<10)
	write(how.grows, 2<<10+1)
	return path
}

func (a *application) Upload(_ context.Context, p Picture, done func(error)) {
	a.mu.Lock()
	how := a.script.pictures[p.Number-1]
	err := map[int]error{1: errors.New("refused"), 3: fmt.Errorf("open: %w", fs.ErrNotExist)}[how.ends]
	a.after(how.takes, func() { done(err) })
}

func (a *application) result(r Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.say("result of %d: %d, %s", r.Number, r.Code, strings.Replace(r.Path, a.dir, "/p", 1))
}

// at does what is due at a tick, and lets everybody finish.
func (a *application) at(list map[int][]func()) {
	a.mu.Lock()
	due := list[a.now()]
	delete(list, a.now())
	a.mu.Unlock()
	for _, do := range due {
		do()
	}
	synctest.Wait()
}

// live has the real thing live through a trace, beside the naive model.
func live(t *testing.T, tr trace) {
	p, err := pool.NewPool(16)
	require.NoError(t, err)
	w, err := p.Reserve(3)
	require.NoError(t, err)
	h := NewHandling(HandlingConfig{Clock: hal.NewClock()})
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, w.Go(func() error { return h.Run(ctx, w) }, nil))
	defer func() {
		cancel()
		w.Wait()
		w.Close()
		require.NoError(t, p.Close(time.Minute))
	}()
	a := &application{
		t: t, dir: t.TempDir(), start: h.now(), clock: h.now, script: &tr.script,
		later: map[int][]func(){}, files: map[int][]func(){}, footage: map[int]map[int]bool{},
	}
	c := NewChannel(h, "gate")
	require.NoError(t, c.Init(ctx, tr.cfg.real(), Ends{Recorder: a, Messages: a, Uploader: a, Callbacks: Callbacks{Capture: a.capture, Result: a.result}}))
	n := &naive{cfg: tr.cfg, script: &tr.script}
	for _, s := range []Service{EventService, PictureService} {
		require.NoError(t, c.Serve(Notice{Service: s, On: true}))
		n.serve(0, s, true)
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for now := 0; now < tr.length+700; now++ {
		if now > 0 {
			<-ticker.C
		}
		synctest.Wait()
		a.at(a.later)
		n.step(now)
		for _, call := range tr.calls[now] {
			if call.serve {
				require.NoError(t, c.Serve(Notice{Service: call.service, On: call.on}))
				n.serve(now, call.service, call.on)
			} else {
				err := c.Trigger(Source(call.source).Bit(), a.start.Add(time.Duration(call.at)*tick).UTC)
				want := map[string]error{"off": ErrOff, "full": ErrFull}[n.trigger(now, call.source, call.at)]
				require.ErrorIs(t, err, want, "at %d", now)
			}
			synctest.Wait()
		}
		a.at(a.files)
	}
	said := a.said
	for number, set := range a.footage {
		said = append(said, fmt.Sprintf("footage of %d: %s", number, runs(set)))
	}
	slices.Sort(said)
	require.Equal(t, n.account(), said)
	left, err := c.Exit(ctx, false)
	require.NoError(t, err)
	require.False(t, left.Any())
}

// C6, C7, C8: the same with everything around the machine, its timer, workers and files, under
// synctest. 20,000 traces under MILLRACE_TORTURE=1.
func TestHandlingDoesWhatTheModelDoes(t *testing.T) {
	traces := uint64(30)
	if os.Getenv("MILLRACE_TORTURE") != "" {
		traces = 20_000
	}
	for seed := range traces {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			live(t, randomTrace(rand.New(rand.NewPCG(seed, 6))))
		})
	}
}
