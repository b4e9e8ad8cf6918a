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
	stages := []*sink{{name: "encode", onWork: flaky()}, {name: "disk", onWork: flaky()}, {name: "live", onWork: flaky()}}
	ch := add(t, r, pipeline.Define("gate", origin, stages[0]).
		Branch("disk", pipeline.Limit{Frames: 1 + rnd.IntN(8), WakeAge: time.Duration(rnd.IntN(2)) * time.Second}, stages[1]).
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
