//go:build hil

package hil_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
)

// watched is a channel of one camera whose events are kept.
type watched struct {
	*pipeline.Channel

	eng    *pipeline.Engine
	mu     sync.Mutex
	events []pipeline.Event
}

// watch adds a channel, which is not started.
func watch(t *testing.T, def *pipeline.Definition) *watched {
	t.Helper()
	w := &watched{}
	w.eng = pipeline.NewEngine(pipeline.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		OnEvent: func(e pipeline.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	var err error
	w.Channel, err = w.eng.Add(def)
	require.NoError(t, err)
	return w
}

// watchCamera is watch of a channel that lets everything go in the end.
func watchCamera(t *testing.T, reg *hal.Registry, url string, stages ...pipeline.Stage) *watched {
	t.Helper()
	return watch(t, pipeline.Define("cam", acquire.From(reg, url), stages...).
		Branch("drain", pipeline.Limit{Full: pipeline.DropOldest}, drain{}))
}

func (w *watched) start(t *testing.T) {
	t.Helper()
	require.NoError(t, w.Start())
}

// runs waits until the channel runs, some frames after these.
func (w *watched) runs(t *testing.T, from uint64) {
	t.Helper()
	until(t, "the channel running", func() bool {
		s := w.Status()
		return s.State == "running" && s.Stages[0].Frames > from+5
	})
}

// end ends the channel.
func (w *watched) end(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, w.eng.Exit(ctx))
}

// causes returns why the channel changed its state, each time that there was a reason.
func (w *watched) causes() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Cause != "" {
			all = append(all, fmt.Sprintf("%v → %v: %s", e.From, e.To, e.Cause))
		}
	}
	return all
}

// P8: what happens to a camera shows in its channel. What was got over is in the source's
// counters, and the channel ran on without an event; what was not is in one event with its cause,
// after which the channel runs again by itself.
func TestAChannelSaysWhatHappenedToItsCamera(t *testing.T) {
	for _, tc := range []struct {
		button  string
		counted func(hal.SourceStats) bool // what was got over; nil: the channel fell
		event   error
	}{
		{"Inject V4L2_BUF_FLAG_ERROR", func(s hal.SourceStats) bool { return s.Malformed == 1 && s.Fault != "" }, nil},
		{"Inject Fatal Streaming Error", func(s hal.SourceStats) bool { return s.Recovered == 1 && s.Fault != "" }, nil},
		{"Percentage of Dropped Buffers", func(s hal.SourceStats) bool { return s.Lost > 3 }, nil},
		{"Inject VIDIOC_QBUF Error", func(s hal.SourceStats) bool { return s.Recovered == 1 && strings.Contains(s.Fault, "VIDIOC_QBUF") }, nil},
		{"Disconnect", nil, hal.ErrNoDevice},
	} {
		t.Run(tc.button, func(t *testing.T) {
			dev, _ := cameras(t)
			nothingLeft(t)
			w := watchCamera(t, hal.NewRegistry(v4l2.Driver{}), camera(dev, "&format=yuyv"))
			w.start(t)
			w.runs(t, 0)
			set(t, dev, tc.button, map[bool]int32{true: 50}[tc.button == "Percentage of Dropped Buffers"])
			if tc.counted == nil {
				until(t, "another run", func() bool { return w.Status().Run > 1 })
				w.runs(t, 0)
				w.end(t)
				causes := w.causes()
				require.Len(t, causes, 1, "of one fall")
				require.Contains(t, causes[0], tc.event.Error())
				figure(t, "%s", causes[0])
				return
			}
			until(t, "the fault in the counters", func() bool { return tc.counted(counters(w.Channel)) })
			w.runs(t, w.Status().Stages[0].Frames)
			require.EqualValues(t, 1, w.Status().Run, "the source was not opened anew")
			s := counters(w.Channel)
			figure(t, "%d lost, %d malformed, %d recovered; %s", s.Lost, s.Malformed, s.Recovered, s.Fault)
			w.end(t)
			require.Empty(t, w.causes())
		})
	}
}

// P8: a call that the driver refuses while a channel opens its camera is made again, and the counters
// say which call it was.
func TestAChannelGetsOverARefusedCall(t *testing.T) {
	for _, call := range []string{"REQBUFS", "QBUF", "STREAMON"} {
		t.Run(call, func(t *testing.T) {
			dev, _ := cameras(t)
			nothingLeft(t)
			press(t, dev, "Inject VIDIOC_"+call+" Error")
			w := watchCamera(t, hal.NewRegistry(v4l2.Driver{}), camera(dev, "&format=yuyv"))
			w.start(t)
			w.runs(t, 0)
			s := counters(w.Channel)
			require.EqualValues(t, 1, s.Recovered)
			require.Contains(t, s.Fault, "VIDIOC_"+call)
			figure(t, "%s", s.Fault)
			w.end(t)
			require.Empty(t, w.causes())
		})
	}
}

// counters returns what the source in use has counted.
func counters(ch *pipeline.Channel) hal.SourceStats {
	s, _ := ch.Status().Sources[0].Stats.(hal.SourceStats) //nolint:errcheck // zero while it is not in use
	return s
}

// lost returns how many pictures the source in use knows that it has lost.
func lost(ch *pipeline.Channel) int {
	s := counters(ch)
	return int(s.Lost + s.Dropped + s.Malformed)
}
