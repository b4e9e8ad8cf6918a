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

// life is a channel of the real thing (Channel, Handling, workers, files) with an application
// around it, which does and notes what its trace says, and the naive model beside it.
type life struct {
	seed   uint64
	tr     trace
	naive  *naive
	ch     *Channel
	prefix string // of the paths of its pictures
	start  Instant
	clock  func() Instant

	mu      sync.Mutex
	later   map[int][]func() // at a tick, before its calls
	files   map[int][]func() // behind the calls of a tick
	said    []string
	footage map[int]map[int]bool
	told    map[int]int // by event, until when its recording runs, as told last
	wanted  bool        // data, by the callbacks
	sends   int
	parts   int
}

func (l *life) now() int { return l.tickOf(l.clock()) }

func (l *life) say(format string, args ...any) {
	l.said = append(l.said, fmt.Sprintf("%06d ", l.now())+fmt.Sprintf(format, args...))
}

func (l *life) tickOf(i Instant) int { return int((i.Mono - l.start.Mono) / int64(tick)) }

// after answers at once, or has it answered later.
func (l *life) after(ticks int, do func()) {
	if ticks > 0 {
		at := l.now() + ticks
		l.later[at] = append(l.later[at], do)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	do()
}

func (l *life) Send(_ context.Context, m Message, sent func(error)) {
	l.mu.Lock()
	l.say("message %d %d at %d, %d, opens %t", m.Event, m.Source, int(m.At-l.start.UTC)/int(tick.Milliseconds()), l.tickOf(m.Time), m.Opens)
	l.sends++
	l.after(l.tr.script.messages[l.sends-1], func() { sent(nil) })
}

func (l *life) Record(w Window, stored func(error)) {
	l.mu.Lock()
	if !w.Over {
		l.told[int(w.Event)] = l.tickOf(w.To)
		l.mu.Unlock()
		return
	}
	delete(l.told, int(w.Event))
	set := l.footage[int(w.Event)]
	if set == nil {
		set = map[int]bool{}
		l.footage[int(w.Event)] = set
	}
	for at := l.tickOf(w.From); at < l.tickOf(w.To); at++ {
		if set[at] {
			l.say("footage twice within event %d", w.Event)
		}
		set[at] = true
	}
	l.parts++
	l.after(l.tr.script.stores[l.parts-1], func() { stored(nil) })
}

func (l *life) capture(p Picture) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say("capture %d of %d by %d", p.Number, p.Event, p.Source)
	how := l.tr.script.pictures[p.Number-1]
	if how.none {
		return ""
	}
	path := l.prefix + fmt.Sprint(p.Number)
	write := func(age, size int) {
		do := func() {
			err := os.Truncate(path, int64(size))
			if errors.Is(err, fs.ErrNotExist) {
				err = os.WriteFile(path, make([]byte, size), 0o600)
			}
			if err != nil {
				panic(err)
			}
		}
		if age == 0 {
			do()
			return
		}
		at := l.now() + age - 1
		l.files[at] = append(l.files[at], do)
	}
	write(how.appears, 2<<10)
	write(how.grows, 2<<10+1)
	return path
}

func (l *life) Upload(_ context.Context, p Picture, done func(error)) {
	l.mu.Lock()
	how := l.tr.script.pictures[p.Number-1]
	err := map[int]error{1: errors.New("refused"), 3: fmt.Errorf("open: %w", fs.ErrNotExist)}[how.ends]
	l.after(how.takes, func() { done(err) })
}

func (l *life) result(r Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say("result of %d: %d, %s", r.Number, r.Code, strings.Replace(r.Path, l.prefix, "/p/", 1))
}

func (l *life) stream(wanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wanted == wanted {
		l.say("stream %t twice", wanted)
	}
	l.wanted = wanted
}

// due does what is due at a tick, and says whether there was anything.
func (l *life) due(list map[int][]func(), now int) bool {
	l.mu.Lock()
	due := list[now]
	delete(list, now)
	l.mu.Unlock()
	for _, do := range due {
		do()
	}
	return len(due) > 0
}

func (l *life) begin(t *testing.T) {
	ends := Ends{Recorder: l, Messages: l, Uploader: l, Callbacks: Callbacks{Capture: l.capture, Result: l.result, Stream: l.stream}}
	require.NoError(t, l.ch.Init(t.Context(), l.tr.cfg.real(), ends))
	for _, s := range []Service{EventService, PictureService} {
		require.NoError(t, l.ch.Serve(Notice{Service: s, On: true}))
		l.naive.serve(0, s, true)
	}
}

// call makes a tick's call of a number, and says whether there is one.
func (l *life) call(t *testing.T, now, number int) bool {
	if number >= len(l.tr.calls[now]) {
		return false
	}
	c := l.tr.calls[now][number]
	if c.serve {
		require.NoError(t, l.ch.Serve(Notice{Service: c.service, On: c.on}))
		l.naive.serve(now, c.service, c.on)
		return true
	}
	err := l.ch.Trigger(Source(c.source).Bit(), l.start.Add(time.Duration(c.at)*tick).UTC)
	want := map[string]error{"off": ErrOff, "full": ErrFull}[l.naive.trigger(now, c.source, c.at)]
	require.ErrorIs(t, err, want, "seed %d at %d", l.seed, now)
	return true
}

// compare compares what is being recorded at a tick.
func (l *life) compare(t *testing.T, now int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := false
	for _, e := range l.naive.events {
		to, live := l.told[e.number]
		rolling := e.recording(now, l.naive.cfg)
		if rolling != live || live && to <= now {
			require.Fail(t, "recordings differ", "seed %d: event %d at %d: %t, and told %t until %d", l.seed, e.number, now, rolling, live, to)
		}
		wanted = wanted || rolling
	}
	if wanted != l.wanted {
		require.Equal(t, wanted, l.wanted, "seed %d at %d: data is wanted", l.seed, now)
	}
}

// end compares all that came of it.
func (l *life) end(t *testing.T) {
	l.mu.Lock()
	said := l.said
	for number, set := range l.footage {
		said = append(said, fmt.Sprintf("footage of %d: %s", number, runs(set)))
	}
	l.mu.Unlock()
	slices.Sort(said)
	require.Equal(t, l.naive.account(), said, "seed %d", l.seed)
	require.Empty(t, l.later, "seed %d", l.seed)
	left, err := l.ch.Exit(t.Context(), false)
	require.NoError(t, err)
	require.False(t, left.Any(), "seed %d", l.seed)
}

// live has the real thing live through traces, each on a channel of its own: they share the
// timer and the workers, which are fewer, and know nothing of each other.
func live(t *testing.T, seeds []uint64) {
	p, err := pool.NewPool(16)
	require.NoError(t, err)
	w, err := p.Reserve(4)
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
	lives, length, dir := make([]*life, 0, len(seeds)), 0, t.TempDir()
	for _, seed := range seeds {
		l := &life{
			seed: seed, tr: randomTrace(rand.New(rand.NewPCG(seed, 6))), prefix: filepath.Join(dir, fmt.Sprint(seed, "-")), start: h.now(), clock: h.now,
			ch: NewChannel(h, fmt.Sprint("gate-", seed)), later: map[int][]func(){}, files: map[int][]func(){}, footage: map[int]map[int]bool{}, told: map[int]int{},
		}
		l.naive = &naive{cfg: l.tr.cfg, script: &l.tr.script}
		l.begin(t)
		lives, length = append(lives, l), max(length, l.tr.length+700)
	}
	// all has every channel do something; where any did, what follows from it is waited for.
	all := func(do func(*life) bool) bool {
		did := false
		for _, l := range lives {
			did = do(l) || did
		}
		if did {
			synctest.Wait()
		}
		return did
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for now := range length {
		if now > 0 {
			<-ticker.C
		}
		synctest.Wait()
		all(func(l *life) bool { return l.due(l.later, now) })
		for _, l := range lives {
			l.naive.step(now)
		}
		for n := 0; all(func(l *life) bool { return l.call(t, now, n) }); n++ {
			continue
		}
		for _, l := range lives {
			l.compare(t, now)
		}
		all(func(l *life) bool { return l.due(l.files, now) })
	}
	for _, l := range lives {
		l.end(t)
	}
}

// C6, C7, C8: the same with everything around the machine, its timer, workers and files, under
// synctest: a hundred channels at a time, each with a trace of its own. 100,000 traces under
// MILLRACE_TORTURE=1.
func TestHandlingDoesWhatTheModelDoes(t *testing.T) {
	const together = 100
	traces := uint64(200)
	if os.Getenv("MILLRACE_TORTURE") != "" {
		traces = 100_000
	}
	for half := range uint64(2) {
		t.Run(fmt.Sprint("half-", half+1), func(t *testing.T) {
			t.Parallel()
			for first := half * traces / 2; first < (half+1)*traces/2; first += together {
				seeds := make([]uint64, together)
				for i := range seeds {
					seeds[i] = first + uint64(i)
				}
				synctest.Test(t, func(t *testing.T) { live(t, seeds) })
			}
		})
	}
}
