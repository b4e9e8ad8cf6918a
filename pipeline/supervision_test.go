package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// failing is a stage's work that fails at its nth frame, once.
func failing(n int, fail func() error) func(context.Context, string) error {
	return func(context.Context, string) error {
		if n--; n == 0 {
			return fail()
		}
		return nil
	}
}

// P8: a branch that fails or panics restarts alone; the others lose nothing, and the cause is
// kept.
func TestABranchThatFallsRestartsAlone(t *testing.T) {
	for name, fail := range map[string]func() error{
		"disk is full": func() error { return errors.New("disk is full") },
		"panic: oops":  func() error { panic("oops") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
				cam := &camera{script: "Iabc"}
				bad, good := &sink{name: "bad", onWork: failing(3, fail)}, &sink{name: "good"}
				ch := add(t, r, pipeline.Define("gate", from(cam)).
					Branch("bad", pipeline.Limit{}, bad).Branch("good", pipeline.Limit{}, good))
				require.NoError(t, ch.Start())
				wait(5 * frameTime)
				require.Equal(t, pipeline.Degraded, ch.State())
				require.Equal(t, "restarting", ch.Status().Stages[1].State)
				wait(45*frameTime + time.Millisecond)
				require.Equal(t, pipeline.Running, ch.State())
				got := bad.got()
				require.Regexp(t, `^\(Ia\)\(\*cIabc`, got, "closed, opened, the lost b marked")
				require.Equal(t, "("+strings.Repeat("Iabc", 12)+"Ia", good.got())
				st := ch.Status().Stages[1]
				require.Contains(t, st.Cause, name)
				require.Equal(t, 1, st.Restarts)
				require.EqualValues(t, 1, ch.Status().Run, "the source ran on")
			})
		})
	}
}

// P8: what keeps failing is tried with exponential back-off, 1 s first.
func TestABranchThatKeepsFailingBacksOff(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		var at []time.Duration
		start := time.Now() //nolint:forbidigo // simulated time
		bad := &sink{name: "bad", onWork: func(context.Context, string) error {
			at = append(at, time.Since(start).Round(time.Second)) //nolint:forbidigo // simulated time
			return errors.New("never works")
		}}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "I"})).Branch("bad", pipeline.Limit{}, bad))
		require.NoError(t, ch.Start())
		wait(20 * time.Second)
		require.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}, at)
	})
}

// P8: a stage of the trunk that fails takes down the channel's run; it is opened again, then
// the source.
func TestATrunkStageThatFallsTakesDownTheRun(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "Iabc", raw: true}
		enc := &sink{name: "encode", onWork: failing(3, func() error { panic("bad picture") })}
		disk := &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam), enc).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(5*frameTime + time.Millisecond)
		require.Equal(t, pipeline.Waiting, ch.State())
		require.Contains(t, ch.Status().Cause, "channel gate, stage encode: panic: bad picture")
		wait(2 * time.Second)
		require.Equal(t, pipeline.Running, ch.State())
		require.Regexp(t, `^\(Ia\|\*Iabc`, disk.got(), "the branch stayed open and saw the run end")
		require.Regexp(t, `^\(Ia\)\(Iabc`, enc.got())
		st := ch.Status()
		require.EqualValues(t, 2, st.Run)
		require.Equal(t, 1, st.Stages[1].Restarts)
		require.Contains(t, r.log.String(), "TestATrunkStageThatFallsTakesDownTheRun", "the panic's stack is in the log")
		require.NoError(t, ch.Exit(context.Background()))
		require.Equal(t, 2, cam.opened())
	})
}

// P8: the seconds before a cable is cut matter most: what the source gave reaches the sinks.
func TestASourceThatFailsDrainsWhatItHad(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "Iabcdef"}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).
			Branch("disk", pipeline.Limit{WakeAge: time.Minute}, disk))
		require.NoError(t, ch.Start())
		wait(5*frameTime + time.Millisecond)
		cam.unplug()
		wait(time.Second)
		require.Equal(t, "(Iabcd|", disk.got())
		require.Equal(t, pipeline.Waiting, ch.State())
		require.Contains(t, ch.Status().Sources[0].Cause, "no such device")
		cam.plug()
		wait(10 * time.Second)
		require.Equal(t, pipeline.Running, ch.State())
		cam.clean2(t)
	})
}

// clean2 checks that only the opening in use is left.
func (c *camera) clean2(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Equal(t, 1, c.open)
}

// P8: only a bare io.EOF is the end of a source; a connection that breaks off is tried again.
func TestAConnectionThatBreaksOffIsNoEnd(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I", frames: 3, err: fmt.Errorf("the connection was closed: %w", io.EOF)}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(time.Minute)
		require.NotEqual(t, pipeline.Ended, ch.State())
		require.Greater(t, cam.opened(), 3)
	})
}

// H5: when the source in use fails the next takes over; when a better one is back for the
// settling time the channel returns to it.
func TestFailOverAndReturn(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		local, fallback := &camera{name: "local", script: "Iab"}, &camera{name: "fallback", script: "Xyz"}
		disk := &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(local, fallback)).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(3*frameTime + time.Millisecond)
		require.Zero(t, fallback.opened(), "the fallback is not touched while the local one works")
		local.unplug()
		wait(frameTime * 2)
		require.Equal(t, "cam://fallback", ch.Status().Source)
		require.Equal(t, pipeline.Running, ch.State())
		wait(20 * time.Second)
		local.plug()
		disk.got()
		wait(30*time.Second + 2*time.Second + frameTime)
		st := ch.Status()
		require.Equal(t, "cam://local", st.Source)
		require.Empty(t, st.Sources[0].Cause)
		got := disk.got()
		require.Contains(t, got, "|*I", "one gap, at a key frame")
		require.Equal(t, 1, strings.Count(got, "*"))
		require.NoError(t, ch.Exit(context.Background()))
		local.clean(t)
		fallback.clean(t)
	})
}

// H5: a better source that is back only for a moment does not take over.
func TestABetterSourceMustSettle(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		local := &camera{name: "local", script: "I", frames: 10, err: hal.ErrNoSignal}
		fallback := &camera{name: "fallback", script: "X"}
		disk := &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(local, fallback)).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(11 * frameTime)
		disk.got()
		wait(5 * time.Minute)
		require.Equal(t, "cam://fallback", ch.Status().Source)
		require.NotContains(t, disk.got(), "I")
		require.Greater(t, local.opened(), 5)
		require.NoError(t, ch.Exit(context.Background()))
		local.clean(t)
	})
}

// A source that is silent for max(2 s, 10 frames) is closed and tried again.
func TestASilentSourceIsStalled(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		deaf := &camera{name: "deaf", script: "I", frames: 3, err: errSilent}
		ch := add(t, r, pipeline.Define("gate", from(&silent{camera: deaf})).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(3500 * time.Millisecond)
		require.Equal(t, pipeline.Waiting, ch.State())
		require.Contains(t, ch.Status().Sources[0].Cause, "no frame in time: nothing for")
	})
}

// H4: a source that notices silence itself is left to do so: it may wait for a key frame, or have much to read that waits.
func TestASourceThatNoticesSilenceItselfIsLeftAlone(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		deaf := &camera{name: "deaf", script: "I", frames: 3, err: errSilent}
		ch := add(t, r, pipeline.Define("gate", from(&watching{silent{camera: deaf}})).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(20 * time.Second)
		require.Equal(t, pipeline.Running, ch.State())
		wait(13500 * time.Millisecond)
		require.Contains(t, ch.Status().Sources[0].Cause, "no frame in time: nothing for 3", "but not for ever")
	})
}

// watching is a silent camera that notices it after 30 s, so it says.
type watching struct{ silent }

func (w *watching) Open(ctx context.Context, opts hal.Options) (hal.Source, error) {
	src, err := w.silent.Open(ctx, opts)
	return watchingTake{src}, err
}

type watchingTake struct{ hal.Source }

func (watchingTake) Silence() time.Duration { return 30 * time.Second }

var errSilent = errors.New("silent from here on")

// silent is a camera that, where its script ends with errSilent, says nothing any more.
type silent struct{ *camera }

func (s *silent) Open(ctx context.Context, opts hal.Options) (hal.Source, error) {
	src, err := s.camera.Open(ctx, opts)
	return &silentTake{src}, err
}

type silentTake struct{ hal.Source }

func (s *silentTake) Read(ctx context.Context) (hal.Frame, error) {
	f, err := s.Source.Read(ctx)
	if errors.Is(err, errSilent) {
		<-ctx.Done()
		return hal.Frame{}, context.Cause(ctx)
	}
	return f, err
}

// A source that can never work as configured fails the channel; Start tries it again.
func TestUnsupportedSourcesFailTheChannel(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I", openIs: hal.ErrUnsupported}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(time.Hour)
		require.Equal(t, pipeline.Failed, ch.State())
		require.Equal(t, 1, cam.opened())
		require.Contains(t, ch.Status().Cause, "not supported by device")
		cam.plug()
		require.NoError(t, ch.Start())
		wait(time.Second)
		require.Equal(t, pipeline.Running, ch.State())
	})
}

// A source that comes to its end leaves the channel Ended; Start plays it again.
func TestTheEndOfASourceAndAgain(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "Iab", frames: 3, file: true}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, disk))
		for range 2 {
			require.NoError(t, ch.Start())
			wait(time.Second)
			require.Equal(t, pipeline.Ended, ch.State())
		}
		require.Equal(t, "(Iab|*Iab|", disk.got())
	})
}

// P4: a stage that does not leave in time is named; the channel can be left again later.
func TestAStageThatDoesNotLeaveIsNamed(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		release := make(chan struct{})
		stuck := &sink{name: "cloud", onWork: func(context.Context, string) error { <-release; return nil }}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "I"})).
			Branch("cloud", pipeline.Limit{}, stuck).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		err := ch.Exit(ctx)
		require.EqualError(t, err, "channel gate, stage cloud: did not leave in time")
		require.ErrorIs(t, err, pipeline.ErrNotLeft)
		require.Equal(t, pipeline.Exiting, ch.State())
		require.ErrorIs(t, ch.Init(), pipeline.ErrExiting)
		require.ErrorContains(t, ch.Start(), "stage cloud: did not leave")
		close(release)
		wait(time.Second)
		require.NoError(t, ch.Exit(context.Background()))
		require.Equal(t, pipeline.Exited, ch.State())
		require.NoError(t, ch.Init())
	})
}

// P4: a deadline turns the rest of an exit into a cancel, and says so.
func TestADeadlineTurnsExitIntoACancel(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		slow := &sink{name: "cloud", onWork: func(ctx context.Context, _ string) error {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
			return nil
		}}
		cam := &camera{script: "I"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("cloud", pipeline.Limit{}, slow))
		require.NoError(t, ch.Start())
		wait(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		require.ErrorContains(t, ch.Exit(ctx), "what was not yet done is dropped")
		require.Equal(t, pipeline.Exited, ch.State())
		cam.clean(t)
	})
}

// P3, P6: raw pictures that a slow encoder has no time for are dropped, counted, and nothing
// breaks; under a source that can be held back it waits instead.
func TestASlowEncoder(t *testing.T) {
	for _, tc := range []struct {
		name string
		file bool
	}{{"a live source drops the oldest", false}, {"a file waits", true}} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
				cam := &camera{script: "ABCDEFGHIJKLMNOPQRST", raw: true, frames: 20, file: tc.file, err: io.EOF}
				enc := &sink{name: "encode", onWork: func(context.Context, string) error { wait1(100 * time.Millisecond); return nil }}
				disk := &sink{name: "disk"}
				ch := add(t, r, pipeline.Define("gate", from(cam), enc).Branch("disk", pipeline.Limit{}, disk))
				require.NoError(t, ch.Start())
				wait(10 * time.Second)
				q := ch.Status().Queues[0]
				if tc.file {
					require.Equal(t, "(ABCDEFGHIJKLMNOPQRST|", disk.got())
					require.Zero(t, q.Dropped["full"])
					return
				}
				require.NotZero(t, q.Dropped["full"])
				got := disk.got()
				require.EqualValues(t, 20, uint64(len(strings.Trim(strings.ReplaceAll(got, "*", ""), "(|")))+q.Dropped["full"])
				require.Contains(t, got, "*")
			})
		})
	}
}

// A trunk stage that passes a stream costs it nothing: no queue, no worker.
func TestAnEncodedStreamGoesPastTheEncoder(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		enc, disk := &passer{sink{name: "encode"}}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "Ia"}), enc).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(4*frameTime + time.Millisecond)
		require.Equal(t, "(IaIa", disk.got())
		require.Equal(t, "(", enc.got())
		require.Equal(t, "idle", ch.Status().Stages[1].State)
	})
}

type passer struct{ sink }

func (*passer) Passes(s *hal.Stream) bool { return s.Tracks[0].Codec != hal.Raw }

// An on-demand branch gets nothing until it asks, and then what came since the key frame.
func TestOnDemandBranch(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		live := &sink{name: "live"}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "Iabcdefgh"})).
			Branch("live", pipeline.Limit{OnDemand: true}, live))
		require.NoError(t, ch.Start())
		wait(5*frameTime + time.Millisecond)
		require.Equal(t, "(", live.got())
		live.env.Want(true)
		wait(time.Millisecond)
		require.Equal(t, "Iabcd", live.got(), "from the last key frame, at once")
		wait(frameTime)
		require.Equal(t, "e", live.got())
		live.env.Want(false)
		wait(time.Second)
		require.Empty(t, live.got())
		require.NoError(t, ch.Exit(context.Background()))
		require.Equal(t, "|)", live.got())
	})
}

// pluggable is a camera whose driver learns of hot plug.
type pluggable struct {
	*camera
	came chan struct{}
}

func (p *pluggable) Await(ctx context.Context) error {
	select {
	case <-p.came:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// H2: a camera that is plugged in again is opened at once, whatever its back-off.
func TestAPluggedInCameraIsNotWaitedFor(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I", openIs: hal.ErrNoDevice}
		p := &pluggable{cam, make(chan struct{})}
		ch := add(t, r, pipeline.Define("gate", from(p, &camera{name: "fallback", openIs: hal.ErrNoSignal})).
			Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(10 * time.Minute)
		cam.plug()
		p.came <- struct{}{}
		wait(2 * frameTime)
		require.Equal(t, pipeline.Running, ch.State())
	})
}

// H2: a camera announces itself several times, and not each time can it be opened yet.
func TestAPluggedInCameraThatIsNotReadyYetIsTriedWhenItIs(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I", openIs: hal.ErrNoDevice}
		p := &pluggable{cam, make(chan struct{})}
		ch := add(t, r, pipeline.Define("gate", from(p)).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(10 * time.Minute)
		for n := range 3 {
			if n == 2 {
				cam.plug()
			}
			select {
			case p.came <- struct{}{}:
			case <-time.After(frameTime):
				t.Fatal("nobody waits for the camera any more")
			}
			wait(2 * frameTime)
		}
		require.Equal(t, pipeline.Running, ch.State())
	})
}
