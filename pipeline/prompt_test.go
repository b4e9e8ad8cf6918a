package pipeline_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// quick is a stage that says it never waits, and writes '.' behind a letter that its own worker
// handed it.
type quick struct {
	sink
	ends   bool // writes ',' at the end of a batch
	failAt func() error
}

func (*quick) Prompt() bool { return true }

func (s *quick) Work(ctx context.Context, f hal.Frame) error {
	if err := s.sink.Work(ctx, f); err != nil {
		return err
	}
	var stack [4096]byte
	if !strings.Contains(string(stack[:runtime.Stack(stack[:], false)]), "(*head).read") {
		s.write(".")
	}
	return nil
}

func (s *quick) EndBatch(context.Context) error {
	if s.ends {
		s.write(",")
	}
	if s.failAt != nil {
		return s.failAt()
	}
	return nil
}

// P2: a stage that never waits is handed a live frame by the worker that reads, and by its own
// what lay there when it joined; no frame is missing, twice or out of order.
func TestAPromptStageSparesTheWakeUp(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		live, disk := &quick{sink: sink{name: "live"}, ends: true}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "Iabcdefgh"})).
			Branch("live", pipeline.Limit{OnDemand: true}, live).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(3*frameTime + time.Millisecond)
		live.env.Want(true)
		wait(3 * frameTime)
		require.Equal(t, "(I.a.b.,c,d,e,", live.got())
		live.env.Want(false)
		wait(time.Second)
		require.Empty(t, live.got())
		status := ch.Status()
		require.EqualValues(t, 6, status.Stages[1].Frames)
		require.EqualValues(t, 6, status.Stages[1].Latency.Count)
		require.EqualValues(t, 6, status.Queues[0].Pushed)
		require.EqualValues(t, 6, status.Queues[0].Popped)
		require.NoError(t, ch.Exit(context.Background()))
		require.Equal(t, "|)", live.got())
		require.True(t, strings.HasPrefix(disk.got(), "(IabcdefghIabcdefgh"), "who joins and leaves costs nobody a frame")
	})
}

// P8: what fails in the place of a branch's worker is that branch's alone: it starts anew with
// back-off, by itself, and the cause is kept.
func TestAPromptStageThatFallsRestartsAlone(t *testing.T) {
	for name, fail := range map[string]func() error{
		"player gone": func() error { return errors.New("player gone") },
		"panic: oops": func() error { panic("oops") },
	} {
		for where, bad := range map[string]*quick{
			"Work":     {sink: sink{name: "bad", onWork: failing(3, fail)}},
			"EndBatch": {sink: sink{name: "bad"}, failAt: func() error { return nil }},
		} {
			t.Run(name+" in "+where, func(t *testing.T) {
				if bad.failAt != nil {
					work := failing(3, fail)
					bad.failAt = func() error { return work(t.Context(), "") }
				}
				bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
					good := &sink{name: "good"}
					ch := add(t, r, pipeline.Define("gate", from(&camera{script: "Iabc"})).
						Branch("bad", pipeline.Limit{Frames: 30}, bad).Branch("good", pipeline.Limit{}, good))
					require.NoError(t, ch.Start())
					wait(5*frameTime + time.Millisecond)
					require.Equal(t, pipeline.Degraded, ch.State())
					require.Equal(t, "restarting", ch.Status().Stages[1].State)
					wait(45 * frameTime)
					require.Equal(t, pipeline.Running, ch.State())
					require.Regexp(t, `^\(Iab?\)\(\*c\.I\.a\.b\..*\.([Iabc]){10}`, bad.got(), "what waited comes from its own worker")
					require.Equal(t, "("+strings.Repeat("Iabc", 12)+"Ia", good.got())
					st := ch.Status()
					require.Contains(t, st.Stages[1].Cause, name)
					require.Equal(t, 1, st.Stages[1].Restarts)
					require.EqualValues(t, 1, st.Run, "the source ran on")
					require.Equal(t, st.Queues[0].Pushed, st.Queues[0].Popped)
					require.NoError(t, ch.Exit(context.Background()))
				})
			})
		}
	}
}

// P4: Pause finds a prompt stage between two frames, and Start goes on as before.
func TestAPromptStageIsPaused(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		live := &quick{sink: sink{name: "live"}}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "Iabc"})).Branch("live", pipeline.Limit{}, live))
		require.NoError(t, ch.Start())
		wait(2*frameTime + time.Millisecond)
		require.NoError(t, ch.Pause())
		require.Equal(t, "(Ia", live.got())
		wait(time.Second)
		require.Empty(t, live.got())
		require.NoError(t, ch.Start())
		wait(6 * frameTime)
		require.Equal(t, "*Iabc", live.got()[:5])
		require.NoError(t, ch.Exit(context.Background()))
	})
}

// P4: a Pause while the stage is at work on a frame waits for that frame.
func TestPauseWaitsForAFrameWorkedOnInPlace(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		busy := func(context.Context, string) error { wait1(10 * time.Millisecond); return nil }
		live := &quick{sink: sink{name: "live", onWork: busy}}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "Iabc"})).Branch("live", pipeline.Limit{}, live))
		require.NoError(t, ch.Start())
		wait(frameTime + time.Millisecond)
		require.NoError(t, ch.Pause())
		require.Equal(t, "(I", live.got())
		require.NoError(t, ch.Exit(context.Background()))
	})
}

// P1: a stage that waits all the same holds up the worker that reads once, and then works on its
// own for a while.
func TestAPromptStageThatWaitsGetsItsOwnWorker(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		var waits atomic.Bool
		waits.Store(true)
		busy := func(context.Context, string) error {
			if waits.Load() {
				wait1(30 * time.Millisecond)
			}
			return nil
		}
		live := &quick{sink: sink{name: "live", onWork: busy}}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "Iabc"})).Branch("live", pipeline.Limit{}, live))
		require.NoError(t, ch.Start())
		wait(5 * frameTime)
		require.Regexp(t, `^\(Ia\.b\.`, live.got())
		waits.Store(false)
		wait(250*frameTime - time.Millisecond)
		live.got()
		wait(8 * frameTime)
		require.Regexp(t, `[Iabc]{5}$`, live.got(), "it is trusted again")
		require.NoError(t, ch.Exit(context.Background()))
	})
}

// Who works for whom is settled by what the stage says, what wakes it, its priority and where its
// frames come from.
func TestWhoIsNotWorkedForInPlace(t *testing.T) {
	for name, c := range map[string]struct {
		cam    *camera
		nice   int
		limit  pipeline.Limit
		passes bool
	}{
		"a branch of another priority":           {cam: &camera{script: "Iabc"}, nice: 5, passes: true},
		"a branch that is woken by age":          {cam: &camera{script: "Iabc"}, limit: pipeline.Limit{WakeAge: time.Millisecond}, passes: true},
		"a branch behind an encoder":             {cam: &camera{script: "Iabc"}},
		"a branch of a source that is held back": {cam: &camera{script: "Iabc", file: true, frames: 4}, passes: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
				live := &quick{sink: sink{name: "live", nice: c.nice}}
				trunk := &moody{sink: sink{name: "encode"}, passes: c.passes}
				trunk.calm = true
				ch := add(t, r, pipeline.Define("gate", from(c.cam), trunk).Branch("live", c.limit, live))
				require.NoError(t, ch.Start())
				wait(6 * frameTime)
				require.Regexp(t, `^\(I\.a\.b\.c\.`, live.got())
				require.NoError(t, ch.Exit(context.Background()))
			})
		})
	}
}

// A mark lies where it belongs among frames worked on in place.
func TestARunsEndComesInOrderToAPromptStage(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		live := &quick{sink: sink{name: "live"}}
		cam := &camera{script: "Iab", frames: 3, err: hal.ErrNoSignal}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("live", pipeline.Limit{}, live))
		require.NoError(t, ch.Start())
		wait(2 * time.Second)
		require.Regexp(t, `^\(Iab\|\*Iab\|`, live.got())
		require.NoError(t, ch.Exit(context.Background()))
	})
}
