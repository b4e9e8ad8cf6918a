package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// odd is a camera whose sources a test changes.
type odd struct {
	*camera
	change func(hal.Source) hal.Source
}

func (o *odd) Open(ctx context.Context, opts hal.Options) (hal.Source, error) {
	src, err := o.camera.Open(ctx, opts)
	if err != nil {
		return nil, err
	}
	return o.change(src), nil
}

// oddSource is a source of which single calls are replaced.
type oddSource struct {
	hal.Source
	stream func() *hal.Stream
	live   func() bool
	read   func(context.Context) (hal.Frame, error)
	close  func() error
	urgent func(bool)
}

func (s *oddSource) Stream() *hal.Stream {
	if s.stream != nil {
		return s.stream()
	}
	return s.Source.Stream()
}

func (s *oddSource) Live() bool {
	if s.live != nil {
		return s.live()
	}
	return s.Source.Live()
}

func (s *oddSource) Read(ctx context.Context) (hal.Frame, error) {
	if s.read != nil {
		return s.read(ctx)
	}
	return s.Source.Read(ctx)
}

func (s *oddSource) Close() error {
	if s.close != nil {
		return s.close()
	}
	return s.Source.Close()
}

func (s *oddSource) SetUrgent(urgent bool) {
	if s.urgent != nil {
		s.urgent(urgent)
	}
}

// P8: a source that panics, wherever it does, is closed and tried again with back-off.
func TestASourceThatPanicsIsTriedAgain(t *testing.T) {
	for name, breakIt := range map[string]func(*oddSource){
		"Stream":    func(s *oddSource) { s.stream = func() *hal.Stream { panic("oops") } },
		"Live":      func(s *oddSource) { s.live = func() bool { panic("oops") } },
		"Read":      func(s *oddSource) { s.read = func(context.Context) (hal.Frame, error) { panic("oops") } },
		"SetUrgent": func(s *oddSource) { s.urgent = func(bool) { panic("oops") } },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
				cam, disk := &camera{script: "I"}, &sink{name: "disk"}
				bad := &odd{cam, func(s hal.Source) hal.Source {
					o := &oddSource{Source: s}
					if cam.opened() < 3 {
						breakIt(o)
					}
					return o
				}}
				ch := add(t, r, pipeline.Define("gate", from(bad), &sink{name: "encode"}).Branch("disk", pipeline.Limit{}, disk))
				require.NoError(t, ch.Start())
				wait(500 * time.Millisecond)
				require.Contains(t, ch.Status().Sources[0].Cause, "panic: oops")
				wait(4 * time.Second)
				require.Equal(t, pipeline.Running, ch.State())
				require.Equal(t, 3, cam.opened(), "at 0, 1 and 3 s")
				cam.clean2(t)
				require.NoError(t, ch.Exit(context.Background()))
				cam.clean(t)
			})
		})
	}
}

// H5: a preferred source that panics while it is looked at is closed, and looked at again.
func TestAPreferredSourceThatPanicsIsClosed(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		local, fallback := &camera{name: "local", script: "I", openIs: hal.ErrNoSignal}, &camera{name: "fallback", script: "X"}
		bad := &odd{local, func(s hal.Source) hal.Source {
			o := &oddSource{Source: s}
			if local.opened() < 4 {
				o.stream = func() *hal.Stream { panic("oops") }
			}
			return o
		}}
		ch := add(t, r, pipeline.Define("gate", from(bad, fallback)).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(500 * time.Millisecond)
		local.plug()
		wait(2 * time.Minute)
		require.Equal(t, "cam://local", ch.Status().Source)
		local.clean2(t)
	})
}

// H5: what a preferred source that can be held back gives is not lost in looking at it.
func TestAPreferredFileLosesNothingToTheLook(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		file := &camera{name: "file", script: "Iabcdefghijklm", frames: 14, file: true, openIs: hal.ErrNoSignal}
		disk := &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(file, &camera{name: "fallback", script: "X"})).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(500 * time.Millisecond)
		file.plug()
		wait(10 * time.Second)
		require.True(t, strings.HasSuffix(disk.got(), "X|*Iabcdefghijklm|"))
		require.Equal(t, pipeline.Ended, ch.State())
	})
}

// P4: a source that is to be closed while paused is, whatever the stages hold and however long
// it takes to open.
func TestPauseClosesTheSourceBeforeTheStages(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "ABCDEFGHIJ", raw: true}, &sink{name: "disk"}
		slow := &odd{cam, func(s hal.Source) hal.Source { wait1(time.Second); return s }}
		enc := &sink{name: "encode", onWork: func(context.Context, string) error { wait1(50 * time.Millisecond); return nil }}
		o := from(slow)
		o.CloseOnPause = true
		ch := add(t, r, pipeline.Define("gate", o, enc).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(1200 * time.Millisecond)
		require.Equal(t, "(ABC", disk.got())
		require.NoError(t, ch.Pause())
		wait(time.Second)
		require.Zero(t, cam.open, "closed although the encoder holds pictures")
		require.NoError(t, ch.Start())
		wait(500 * time.Millisecond)
		require.NoError(t, ch.Pause())
		wait(time.Minute)
		require.Zero(t, cam.open, "closed although it was only being opened")
		require.NoError(t, ch.Exit(context.Background()))
		cam.clean(t)
	})
}

// P8: of two stages in a row the one that failed is named, both start anew and nothing waits
// for ever.
func TestTheSecondStageOfTheTrunkFalls(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "ABCDEFGHIJ", raw: true, frames: 40, file: true}, &sink{name: "disk"}
		first := &sink{name: "scale"}
		second := &sink{name: "encode", onWork: failing(3, func() error { return errors.New("bad picture") })}
		ch := add(t, r, pipeline.Define("gate", from(cam), first, second).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(500 * time.Millisecond)
		require.Contains(t, ch.Status().Cause, "stage encode: bad picture")
		wait(10 * time.Second)
		st := ch.Status()
		require.Equal(t, "ended", st.State)
		require.Zero(t, st.Stages[1].Restarts, "scale did not fail by itself")
		require.Equal(t, 1, st.Stages[2].Restarts)
		require.Equal(t, "bad picture", st.Stages[2].Cause)
		require.True(t, strings.HasPrefix(second.got(), "(AB)("), "closed and opened again")
		require.NoError(t, ch.Exit(context.Background()))
		require.Zero(t, first.opened)
		require.Zero(t, second.opened)
		cam.clean(t)
	})
}

// P6: what a stage of the trunk and its queue have counted is not forgotten with the next run.
func TestTheTrunkCountsOnOverRuns(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "ABC", raw: true, frames: 10, err: hal.ErrNoSignal}
		ch := add(t, r, pipeline.Define("gate", from(cam), &sink{name: "encode"}).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(10 * time.Second)
		st := ch.Status()
		require.EqualValues(t, 4, st.Run)
		require.EqualValues(t, 40, st.Queues[0].Pushed)
		require.EqualValues(t, 40, st.Stages[1].Frames)
		require.EqualValues(t, 40, st.Stages[1].Latency.Count)
		balanced(t, st.Queues[0])
	})
}

// unhappy is a stage whose Flush always fails.
type unhappy struct{ sink }

func (u *unhappy) Flush(context.Context) error { panic("cannot finish") }

// P4, P8: a branch that cannot finish at the end leaves all the same, with its cause.
func TestABranchThatCannotFinishLeaves(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		bad := &unhappy{sink{name: "disk"}}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "I"})).Branch("disk", pipeline.Limit{}, bad))
		require.NoError(t, ch.Start())
		wait(time.Second)
		require.NoError(t, ch.Exit(context.Background()))
		require.Contains(t, ch.Status().Stages[1].Cause, "cannot finish")
		require.Zero(t, bad.opened)
	})
}

// P4: what was down when the channel exited is not down after the next Init.
func TestInitForgetsWhatWasDown(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		bad := &sink{name: "bad", onWork: failing(3, func() error { return errors.New("disk is full") })}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "I"})).Branch("bad", pipeline.Limit{}, bad))
		require.NoError(t, ch.Start())
		wait(5 * frameTime)
		require.Equal(t, pipeline.Degraded, ch.State())
		bad.openIs = errors.New("disk is still full")
		require.NoError(t, ch.Exit(context.Background()))
		bad.openIs = nil
		require.NoError(t, ch.Init())
		require.NoError(t, ch.Start())
		wait(time.Second)
		require.Equal(t, pipeline.Running, ch.State())
	})
}

// P1, P4: an exit of all gives each channel the time to finish, whatever another does.
func TestOneStuckChannelCostsNoOtherItsExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipeline.Config{})
		release := make(chan struct{})
		var disks []*sink
		for _, name := range []string{"a-stuck", "b", "c-stuck", "d"} {
			disk := &sink{name: "disk"}
			if strings.HasSuffix(name, "stuck") {
				disk.onWork = func(context.Context, string) error { <-release; return nil }
			}
			disks = append(disks, disk)
			ch := add(t, r, pipeline.Define(name, from(&camera{script: "I"})).
				Branch("disk", pipeline.Limit{WakeBytes: 10, WakeAge: time.Minute}, disk))
			require.NoError(t, ch.Start())
		}
		wait(12*frameTime + time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		began := time.Now() //nolint:forbidigo // simulated time
		err := r.Exit(ctx)
		require.ErrorContains(t, err, "channel a-stuck, stage disk: did not leave in time")
		require.ErrorContains(t, err, "channel c-stuck, stage disk: did not leave in time")
		require.NotContains(t, err.Error(), "channel b")
		require.NotContains(t, err.Error(), "channel d")
		require.Less(t, time.Since(began), 6*time.Second, "the grace is for all") //nolint:forbidigo // simulated time
		require.Equal(t, "(IIIIIIIIIIII||)", disks[1].got())
		require.Equal(t, "(IIIIIIIIIIII||)", disks[3].got())
		close(release)
		synctest.Wait()
		require.NoError(t, r.Exit(context.Background()))
	})
}

// slowOpen is a stage whose Open takes until it is let go, whatever its context says.
type slowOpen struct {
	sink
	hold chan struct{}
}

func (s *slowOpen) Open(ctx context.Context, env pipeline.Env) error {
	<-s.hold
	return s.sink.Open(ctx, env)
}

// P1, P4: an Init that hangs is named by an exit, and holds up no other channel's.
func TestAnInitThatHangsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipeline.Config{})
		hung := &slowOpen{sink{name: "cloud"}, make(chan struct{})}
		stuck, err := r.Define(pipeline.Define("a", from(&camera{script: "I"})).Branch("cloud", pipeline.Limit{}, hung))
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- stuck.Init() }()
		disk := &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("b", from(&camera{script: "I"})).Branch("disk", pipeline.Limit{WakeAge: time.Minute}, disk))
		require.NoError(t, ch.Start())
		wait(3*frameTime + time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		err = r.Exit(ctx)
		require.ErrorContains(t, err, "channel a, stage cloud: is still being opened")
		require.NotContains(t, err.Error(), "channel b")
		require.Equal(t, "(III||)", disk.got())
		close(hung.hold)
		require.Error(t, <-done, "the engine's threads have ended")
		require.Zero(t, hung.opened)
		require.NoError(t, r.Exit(context.Background()))
	})
}

// P4: a stage that hangs in the Open of a restart is named, not the acquire stage beside it.
func TestARestartThatHangsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipeline.Config{})
		hold := make(chan struct{})
		close(hold)
		enc := &slowOpen{sink{name: "encode", onWork: failing(3, func() error { return errors.New("bad picture") })}, hold}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "I", raw: true}), enc).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		enc.hold = make(chan struct{})
		require.NoError(t, ch.Start())
		wait(5 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		require.ErrorContains(t, ch.Exit(ctx), "channel gate, stage encode: did not leave in time")
		close(enc.hold)
		synctest.Wait()
		require.ErrorContains(t, ch.Init(), "every stage has left by now")
		require.NoError(t, r.Exit(context.Background()))
		require.Zero(t, enc.opened)
	})
}

// P4: a source of which neither Read nor Close returns is named; the exit is not held up.
func TestASourceThatDoesNotCloseHoldsUpNoExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipeline.Config{})
		cam, hold := &camera{script: "I"}, make(chan struct{})
		bad := &odd{cam, func(s hal.Source) hal.Source {
			return &oddSource{
				Source: s,
				read:   func(context.Context) (hal.Frame, error) { <-hold; return hal.Frame{}, errors.New("closed") },
				close:  func() error { <-hold; return s.Close() },
			}
		}}
		ch := add(t, r, pipeline.Define("gate", from(bad)).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		require.ErrorContains(t, ch.Exit(ctx), "channel gate, stage acquire: did not leave in time")
		close(hold)
		synctest.Wait()
		require.NoError(t, r.Exit(context.Background()))
		cam.clean(t)
	})
}

// shy is a stage whose figures are not to be had for a while.
type shy struct {
	sink
	hold chan struct{}
}

func (s *shy) Stats() any { <-s.hold; return nil }

// P4: a stage or a source that does not give its figures holds up no command.
func TestFiguresThatHangHoldUpNoExit(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		enc := &shy{sink{name: "encode"}, make(chan struct{})}
		ch := add(t, r, pipeline.Define("gate", from(&camera{script: "I", raw: true}), enc).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(time.Second)
		done := make(chan pipeline.Status, 1)
		go func() { done <- ch.Status() }()
		synctest.Wait()
		require.NoError(t, ch.Pause())
		require.NoError(t, ch.Exit(context.Background()))
		close(enc.hold)
		require.Equal(t, "gate", (<-done).Name)
	})
}

// greedy is a stage that uses more workers than it says: three.
type greedy struct {
	sink
	hold chan struct{}
}

func (g *greedy) Open(ctx context.Context, env pipeline.Env) error {
	for range 3 {
		if err := env.Workers.Go(func() error { <-g.hold; return nil }, nil); err != nil {
			return err
		}
	}
	return g.sink.Open(ctx, env)
}

// P4: where the workers cannot start, Init fails and every stage is closed once.
func TestInitThatCannotStartItsWorkersClosesEachStageOnce(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		enc, disk, bad := &sink{name: "encode"}, &sink{name: "disk"}, &greedy{sink{name: "cloud"}, make(chan struct{})}
		_, err := r.Add(pipeline.Define("gate", from(&camera{script: "I"}), enc).
			Branch("disk", pipeline.Limit{}, disk).Branch("cloud", pipeline.Limit{}, bad))
		require.ErrorContains(t, err, "workers of the share are busy")
		close(bad.hold)
		for _, s := range []*sink{enc, disk, &bad.sink} {
			require.Equal(t, "()", s.got(), s.name)
		}
	})
}

// P3: where a run's stages find no worker, the run falls and is tried again; nothing waits for
// ever for a stage that never started.
func TestATrunkThatFindsNoWorkerIsTriedAgain(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		disk := &sink{name: "disk"}
		hold := make(chan struct{})
		var once bool
		greedy := &odd{&camera{script: "ABC", raw: true}, nil}
		ch := add(t, r, pipeline.Define("gate", from(greedy), &sink{name: "scale"}, &sink{name: "encode"}).Branch("disk", pipeline.Limit{}, disk))
		greedy.change = func(s hal.Source) hal.Source {
			for !once && disk.env.Workers.Go(func() error { <-hold; return nil }, nil) == nil {
				continue
			}
			once = true
			return s
		}
		require.NoError(t, ch.Start())
		wait(500 * time.Millisecond)
		require.Contains(t, ch.Status().Sources[0].Cause, "stage scale: all workers of the share are busy")
		close(hold)
		wait(2 * time.Second)
		require.Equal(t, pipeline.Running, ch.State())
	})
}

// P4: a removed channel cannot be brought back by who still has it, and takes no namesake along.
func TestARemovedChannelStaysAway(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		def := func() *pipeline.Definition {
			return pipeline.Define("gate", from(&camera{script: "I"})).Branch("disk", pipeline.Limit{}, &sink{name: "disk"})
		}
		old := add(t, r, def())
		require.NoError(t, r.Remove(context.Background(), "gate"))
		require.ErrorIs(t, old.Init(), pipeline.ErrNoChannel)
		require.ErrorIs(t, r.Remove(context.Background(), "gate"), pipeline.ErrNoChannel)
		namesake := add(t, r, def())
		require.ErrorIs(t, old.Init(), pipeline.ErrNoChannel)
		found, err := r.Channel("gate")
		require.NoError(t, err)
		require.Same(t, namesake, found)
	})
}

// present is a camera whose driver says at once that it is plugged in, or that it cannot know.
type present struct {
	*camera
	err error
}

func (p *present) Await(context.Context) error { return p.err }

// P8: a camera that is there but cannot be opened keeps its back-off.
func TestACameraThatIsThereKeepsItsBackOff(t *testing.T) {
	for name, tc := range map[string]struct {
		cause error
		opens int
	}{
		"another program has it":         {errors.New("device is busy"), 6},
		"its node is there, it does not": {hal.ErrNoDevice, 61 + 2*3}, // three more at once, twice a minute
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
				cam := &camera{script: "I", openIs: tc.cause}
				ch := add(t, r, pipeline.Define("gate", from(&present{cam, nil})).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
				require.NoError(t, ch.Start())
				wait(time.Minute + time.Second/2)
				require.Equal(t, tc.opens, cam.opened())
			})
		})
	}
}

// H2: a source that cannot tell when it is back does not hide one after it that can.
func TestASecondCameraThatIsPluggedInIsNotWaitedForEither(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I", openIs: hal.ErrNoDevice}
		first := &present{&camera{name: "first", openIs: hal.ErrNoDevice}, hal.ErrUnsupported}
		p := &pluggable{cam, make(chan struct{})}
		ch := add(t, r, pipeline.Define("gate", from(first, p)).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(10*time.Minute + 10*time.Second)
		cam.plug()
		p.came <- struct{}{}
		wait(2 * frameTime)
		require.Equal(t, pipeline.Running, ch.State())
	})
}

// A source whose frames are never what it announced is tried again with back-off.
func TestASourceThatAnnouncesTheWrongFormatBacksOff(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam := &camera{script: "I"}
		raw := &hal.Stream{Tracks: []hal.Track{{Codec: hal.Raw, Width: 16, Height: 16}}}
		liar := &odd{cam, func(s hal.Source) hal.Source {
			return &oddSource{Source: s, stream: func() *hal.Stream { return raw }}
		}}
		ch := add(t, r, pipeline.Define("gate", from(liar), &passer{sink{name: "encode"}}).Branch("disk", pipeline.Limit{}, &sink{name: "disk"}))
		require.NoError(t, ch.Start())
		wait(10 * time.Second)
		require.Equal(t, 4, cam.opened())
		require.Contains(t, ch.Status().Sources[0].Cause, "changed between raw and encoded")
		require.NoError(t, ch.Exit(context.Background()))
		cam.clean(t)
	})
}

// A reader that comes while the source is being told that nobody watches is not forgotten.
func TestTheLastWordOnUrgencyHolds(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		live := &sink{name: "live"}
		var said []bool
		cam := &odd{&camera{script: "I"}, func(s hal.Source) hal.Source {
			first := true
			return &oddSource{Source: s, urgent: func(urgent bool) {
				if first {
					first = false
					came := make(chan struct{})
					go func() { live.env.Want(true); close(came) }()
					<-came
				}
				said = append(said, urgent)
			}}
		}}
		ch := add(t, r, pipeline.Define("gate", from(cam)).
			Branch("disk", pipeline.Limit{WakeAge: time.Second}, &sink{name: "disk"}).
			Branch("live", pipeline.Limit{OnDemand: true}, live))
		require.NoError(t, ch.Start())
		wait(time.Second)
		require.True(t, said[len(said)-1], "%v", said)
	})
}
