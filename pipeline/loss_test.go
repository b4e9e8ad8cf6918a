package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pipeline"
)

// marked is a sink that wants to know of every mark: '|' is the end of a run, '?' what it asked
// for, '!' a full ring, '~' an idle one.
type marked struct{ *sink }

func (m marked) Mark(_ context.Context, k pipeline.Mark) error {
	m.write(map[pipeline.Mark]string{pipeline.RunEnded: "|", pipeline.Asked: "?", pipeline.RingFull: "!", pipeline.Idled: "~"}[k])
	return nil
}

// reasons are the losses since an instant, in short.
func reasons(s *sink, since int64) string {
	var all []string
	for _, l := range s.env.Losses(since) {
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s: %s", l.Why, l.Detail), ": "))
	}
	return strings.Join(all, "; ")
}

// fault is what a stage's work suffers; it may change while the stage works.
type fault struct {
	now atomic.Pointer[func(context.Context, string) error]
}

func (f *fault) is(work func(context.Context, string) error) { f.now.Store(&work) }

func (f *fault) work(ctx context.Context, letter string) error {
	if do := f.now.Load(); do != nil && *do != nil {
		return (*do)(ctx, letter)
	}
	return nil
}

// A stage learns why frames did not come: each row is what happens in a second, after a second
// in which all was well.
func TestWhyFramesDidNotCome(t *testing.T) {
	for _, tc := range []struct {
		name    string
		happens func(t *testing.T, ch *pipeline.Channel, cam *camera, disk *fault)
		want    string
	}{
		{"nothing happens", func(*testing.T, *pipeline.Channel, *camera, *fault) {}, ""},
		{"the source is lost", func(_ *testing.T, _ *pipeline.Channel, cam *camera, _ *fault) {
			cam.unplug()
		}, "source: cam://: no signal; source: no such device"},
		{"it is lost and comes back", func(_ *testing.T, _ *pipeline.Channel, cam *camera, _ *fault) {
			cam.unplug()
			cam.plug()
			wait(2 * time.Second)
		}, "source: cam://: no signal"},
		{"the source came to its end", func(_ *testing.T, _ *pipeline.Channel, cam *camera, _ *fault) {
			cam.mu.Lock()
			cam.frames, cam.err = 1, io.EOF
			cam.mu.Unlock()
			cam.unplug()
			cam.plug()
			wait(2 * time.Second)
		}, "source: cam://: no signal; source: the source ended"},
		{"a pause", func(t *testing.T, ch *pipeline.Channel, _ *camera, _ *fault) {
			require.NoError(t, ch.Pause())
			wait(time.Hour)
			require.NoError(t, ch.Start())
			wait(time.Second)
		}, "paused"},
		{"an exit", func(t *testing.T, ch *pipeline.Channel, _ *camera, _ *fault) {
			require.NoError(t, ch.Exit(context.Background()))
			wait(time.Hour)
			require.NoError(t, ch.Init())
			require.NoError(t, ch.Start())
			wait(time.Second)
		}, "exit: the channel was exited"},
		{"the stage falls", func(_ *testing.T, _ *pipeline.Channel, _ *camera, disk *fault) {
			disk.is(failing(1, func() error { return errors.New("disk is full") }))
			wait(3 * time.Second)
		}, "failed: disk is full; dropped: queue disk: full"},
		{"the stage is slow", func(_ *testing.T, _ *pipeline.Channel, _ *camera, disk *fault) {
			disk.is(func(context.Context, string) error { wait1(10 * frameTime); return nil })
			wait(100 * frameTime)
		}, "dropped: queue disk: full"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
				var fails fault
				cam, disk := &camera{script: "Iabc"}, &sink{name: "disk", onWork: fails.work}
				ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{Frames: 10}, disk))
				require.NoError(t, ch.Start())
				wait(time.Second)
				require.Empty(t, reasons(disk, disk.env.Clock.Mono()), "what is past is past")
				since := disk.env.Clock.Mono() - int64(frameTime)
				tc.happens(t, ch, cam, &fails)
				wait(time.Second)
				require.Equal(t, tc.want, reasons(disk, since))
				fails.is(nil)
			})
		})
	}
}

// A reason that still holds counts from the instant asked for, and repeated tries do not push
// the first cause out.
func TestALossHoldsUntilFramesComeAgain(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk := &camera{script: "I"}, &sink{name: "disk"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).Branch("disk", pipeline.Limit{}, disk))
		require.NoError(t, ch.Start())
		wait(time.Second)
		cam.unplug()
		wait(24 * time.Hour)
		now := disk.env.Clock.Mono()
		require.Equal(t, []pipeline.Loss{
			{Mono: now, Why: pipeline.LostSource, Detail: "cam://: no signal"}, {Mono: now, Why: pipeline.LostSource, Detail: "no such device"},
		}, disk.env.Losses(now))
		cam.plug()
		wait(time.Minute)
		require.Empty(t, disk.env.Losses(disk.env.Clock.Mono()))
	})
}

// A mark that a stage asks for lies behind what its queue held then, and one that is Marked gets
// every mark in the order of the frames.
func TestMarksLieAmongTheFrames(t *testing.T) {
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		cam, disk, other := &camera{script: "Iabcdefgh"}, &sink{name: "disk"}, &sink{name: "other"}
		ch := add(t, r, pipeline.Define("gate", from(cam)).
			Branch("disk", pipeline.Limit{WakeAge: time.Hour}, marked{disk}).Branch("other", pipeline.Limit{}, other))
		require.NoError(t, ch.Start())
		wait(3*frameTime + time.Millisecond)
		require.Equal(t, "(", disk.got())
		disk.env.Mark()
		wait(time.Millisecond)
		require.Equal(t, "Iab?", disk.got(), "a mark wakes the consumer")
		other.env.Mark()
		other.env.Resume()
		wait(2 * frameTime)
		cam.unplug()
		wait(time.Millisecond)
		require.Equal(t, "cd|", disk.got())
		require.Equal(t, "(Iabcd|", other.got(), "who is not Marked learns of the end alone")
		require.NoError(t, ch.Exit(context.Background()))
		require.Equal(t, "|)", disk.got(), "the end of the queue is a flush")
	})
}
