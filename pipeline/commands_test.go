package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// commands are P4's, by name.
func commands() map[string]func(*pipeline.Channel) error {
	return map[string]func(*pipeline.Channel) error{
		"init":  (*pipeline.Channel).Init,
		"start": (*pipeline.Channel).Start,
		"pause": (*pipeline.Channel).Pause,
		"exit":  func(c *pipeline.Channel) error { return c.Exit(context.Background()) },
	}
}

// P4: the full table of states and commands. A second call of any command is harmless.
func TestEveryCommandInEveryState(t *testing.T) {
	reach := map[string]func(*testing.T, *pipeline.Channel, *camera){
		"exited": func(t *testing.T, c *pipeline.Channel, _ *camera) {
			require.NoError(t, c.Exit(context.Background()))
		},
		"parked":  func(*testing.T, *pipeline.Channel, *camera) {},
		"running": func(t *testing.T, c *pipeline.Channel, _ *camera) { require.NoError(t, c.Start()) },
		"waiting": func(t *testing.T, c *pipeline.Channel, cam *camera) {
			cam.openIs = hal.ErrNoDevice
			require.NoError(t, c.Start())
		},
		"failed": func(t *testing.T, c *pipeline.Channel, cam *camera) {
			cam.openIs = hal.ErrUnsupported
			require.NoError(t, c.Start())
		},
		"paused": func(t *testing.T, c *pipeline.Channel, _ *camera) {
			require.NoError(t, c.Start())
			wait(time.Second)
			require.NoError(t, c.Pause())
		},
		"ended": func(t *testing.T, c *pipeline.Channel, cam *camera) {
			cam.frames, cam.file = 3, true
			require.NoError(t, c.Start())
		},
	}
	for _, row := range []struct{ state, init, start, pause, exit string }{
		{"exited", "parked", "not initialised", "not initialised", "exited"},
		{"parked", "parked", "running", "parked", "exited"},
		{"running", "running", "running", "paused", "exited"},
		{"waiting", "waiting", "waiting", "paused", "exited"},
		{"failed", "failed", "failed", "failed", "exited"},
		{"paused", "paused", "running", "paused", "exited"},
		{"ended", "ended", "ended", "ended", "exited"},
	} {
		for command, want := range map[string]string{"init": row.init, "start": row.start, "pause": row.pause, "exit": row.exit} {
			t.Run(row.state+" "+command, func(t *testing.T) {
				bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
					cam := &camera{script: "Iab"}
					ch := add(t, r, pipeline.Define("gate", from(cam), &sink{name: "encode"}).
						Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
					reach[row.state](t, ch, cam)
					wait(2 * time.Second)
					require.Equal(t, row.state, ch.State().String(), "the state to begin with")
					for range 2 {
						err := commands()[command](ch)
						wait(2 * time.Second)
						if want == "not initialised" {
							require.ErrorIs(t, err, pipeline.ErrNotInitialised)
							require.Equal(t, row.state, ch.State().String())
							continue
						}
						require.NoError(t, err)
						require.Equal(t, want, ch.State().String())
					}
				})
			})
		}
	}
}

// trials is how often a random trial is run: few by default, all of it under make torture.
func trials(few, all int) int {
	if os.Getenv("MILLRACE_TORTURE") != "" {
		return all
	}
	return few
}

// P4: random sequences of commands, from several goroutines at once, with sources and stages
// that fail: nothing is left, no frame, no source, no stage, no worker.
func TestRandomCommandsLeaveNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano()) //nolint:forbidigo // a new seed each time, printed
	if s := os.Getenv("MILLRACE_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("MILLRACE_SEED=%d", seed)
	for i := range trials(400, 10000) {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		synctest.Test(t, func(t *testing.T) { randomCommands(t, rnd) })
		if t.Failed() {
			t.Fatalf("sequence %d of MILLRACE_SEED=%d", i, seed)
		}
	}
}

func randomCommands(t *testing.T, rnd *rand.Rand) {
	r := newRig(pipeline.Config{})
	cams := []*camera{
		{name: "a", script: "Iabc", raw: rnd.IntN(2) == 0, file: rnd.IntN(3) == 0, frames: 1 + rnd.IntN(50)},
		{name: "b", script: "Xyz", frames: rnd.IntN(100), err: hal.ErrNoSignal},
	}
	origin := from(cams[0], cams[1])
	origin.CloseOnPause = rnd.IntN(3) == 0
	flaky := func() func(context.Context, string) error {
		if rnd.IntN(2) == 0 {
			return nil
		}
		return failing(1+rnd.IntN(30), func() error { return errors.New("now and then") })
	}
	passes := &passer{sink{name: "encode", onWork: flaky()}}
	stages := []*sink{&passes.sink, {name: "disk", onWork: flaky()}, {name: "live", onWork: flaky(), prompt: rnd.IntN(2) == 0}}
	var encode pipeline.Stage = passes
	if rnd.IntN(2) == 0 {
		encode = &passes.sink
	}
	ch := add(t, r, pipeline.Define("gate", origin, encode).
		Branch("disk", randomBound(rnd), stages[1]).
		Branch("live", pipeline.Limit{OnDemand: true}, stages[2]))
	var wg sync.WaitGroup
	for range 1 + rnd.IntN(3) {
		steps := make([]string, 0, 12)
		pauses := make([]time.Duration, 0, 12)
		for range 2 + rnd.IntN(10) {
			steps = append(steps, []string{"init", "start", "start", "pause", "exit", "want", "status"}[rnd.IntN(7)])
			pauses = append(pauses, time.Duration(rnd.IntN(400))*time.Millisecond)
		}
		wg.Go(func() { walk(ch, stages[2], steps, pauses) })
	}
	wg.Wait()
	require.NoError(t, r.Exit(context.Background()))
	synctest.Wait()
	for _, c := range cams {
		c.clean(t)
	}
	for _, s := range stages {
		require.Zero(t, s.opened, "stage %s: Open and Close come in pairs: %s", s.name, s.got())
	}
}

// randomBound is a small queue, or a ring that is soon full and soon idle.
func randomBound(rnd *rand.Rand) pipeline.Limit {
	if rnd.IntN(2) == 0 {
		return pipeline.Limit{Frames: 1 + rnd.IntN(8), WakeAge: time.Duration(rnd.IntN(2)) * time.Second}
	}
	return pipeline.Limit{
		Bytes: 2 + rnd.IntN(20), Growth: pipeline.Growth{Start: 2, Piece: 1, Step: rnd.IntN(3), ShrinkAfter: time.Second},
		Pace: pipeline.Pace{Max: 200 * time.Millisecond, Empty: 2},
	}
}

// moody is a stage that now and then panics where it can, but for its first Open.
type moody struct {
	sink
	passes bool

	rndMu sync.Mutex
	rnd   *rand.Rand
	calm  bool // never panics
	was   bool
}

func (m *moody) mood(at string) {
	m.rndMu.Lock()
	defer m.rndMu.Unlock()
	if m.was && !m.calm && m.rnd.IntN(6) == 0 {
		panic("bad mood at " + at)
	}
	m.was = true
}

func (m *moody) Passes(*hal.Stream) bool { return m.passes }

func (m *moody) Open(ctx context.Context, env pipeline.Env) error {
	m.mood("open")
	return m.sink.Open(ctx, env)
}

func (m *moody) Flush(ctx context.Context) error {
	m.mood("flush")
	return m.sink.Flush(ctx)
}

func (m *moody) Close() error {
	_ = m.sink.Close() //nolint:errcheck // it never fails
	m.mood("close")
	return nil
}

// P1, P4, P8: several channels, with stages that panic in Open, Flush and Close and sources that
// hang in Open; commands, removals and an exit of all from many sides at once: nothing is left.
func TestRandomCommandsToManyChannelsLeaveNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano()) //nolint:forbidigo // a new seed each time, printed
	t.Logf("seed %d", seed)
	for i := range trials(150, 5000) {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		synctest.Test(t, func(t *testing.T) { randomChannels(t, rnd) })
		if t.Failed() {
			t.Fatalf("sequence %d of seed %d", i, seed)
		}
	}
}

func randomChannels(t *testing.T, rnd *rand.Rand) {
	r := newRig(pipeline.Config{})
	var cams []*camera
	var stages []*moody
	var walks []func()
	for c := range 3 {
		name := string(rune('a' + c))
		cam := &camera{name: name, script: "Iabc", raw: rnd.IntN(2) == 0, frames: rnd.IntN(60), err: []error{nil, hal.ErrNoSignal, hal.ErrNoDevice}[rnd.IntN(3)]}
		spare := &camera{name: name + "2", script: "Xyz", file: rnd.IntN(4) == 0, frames: 1 + rnd.IntN(99)}
		hangs := time.Duration(rnd.IntN(2)*rnd.IntN(25)) * time.Second
		slow := &odd{cam, func(s hal.Source) hal.Source { wait1(hangs); return s }}
		mood := func(name string) *moody {
			m := &moody{sink: sink{name: name, prompt: rnd.IntN(2) == 0}, rnd: rand.New(rand.NewPCG(rnd.Uint64(), 1)), passes: rnd.IntN(3) == 0}
			stages = append(stages, m)
			return m
		}
		cams = append(cams, cam, spare)
		origin := from(slow, spare)
		origin.CloseOnPause = rnd.IntN(3) == 0
		ch := add(t, r, pipeline.Define(name, origin, mood("scale"), mood("encode")).
			Branch("disk", randomBound(rnd), mood("disk")).
			Branch("live", pipeline.Limit{Frames: 1 + rnd.IntN(8)}, mood("live")))
		for range 2 {
			steps, pauses := []string{"start"}, []time.Duration{0}
			for range rnd.IntN(8) {
				steps = append(steps, []string{"init", "start", "start", "pause", "exit", "status"}[rnd.IntN(6)])
				pauses = append(pauses, time.Duration(rnd.IntN(2000))*time.Millisecond)
			}
			last := rnd.IntN(8)
			walks = append(walks, func() {
				walk(ch, nil, steps, pauses)
				switch last {
				case 0:
					_ = r.Remove(context.Background(), ch.Name())
				case 1:
					_ = r.Exit(context.Background())
				}
			})
		}
	}
	var wg sync.WaitGroup
	for _, w := range walks {
		wg.Go(w)
	}
	wg.Wait()
	for range 4 { // a source that hangs in Open may outlast the first
		if err := r.Exit(context.Background()); err == nil {
			break
		}
		wait(30 * time.Second)
	}
	require.NoError(t, r.Exit(context.Background()))
	synctest.Wait()
	for _, c := range cams {
		c.clean(t)
	}
	for _, s := range stages {
		require.Zero(t, s.opened, "stage %s: Open and Close come in pairs: %s", s.name, s.got())
	}
}

func walk(ch *pipeline.Channel, live *sink, steps []string, pauses []time.Duration) {
	for i, step := range steps {
		switch step {
		case "want":
			live.mu.Lock()
			want := live.env.Want
			live.mu.Unlock()
			if want != nil {
				want(i%2 == 0)
			}
		case "status":
			_ = fmt.Sprint(ch.Status())
		default:
			_ = commands()[step](ch)
		}
		time.Sleep(pauses[i]) //nolint:forbidigo // simulated time
	}
}
