//go:build hil

package hil_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
)

// P8: what happens to a camera shows in its channel: what was got over in the source's counters,
// what was not in an event with its cause, after which the channel runs again by itself.
func TestAChannelSaysWhatHappenedToItsCamera(t *testing.T) {
	for _, tc := range []struct {
		button string
		event  error // what the cause of the event is; nil: the channel runs on
	}{
		{"Inject V4L2_BUF_FLAG_ERROR", nil},
		{"Inject Fatal Streaming Error", nil},
		{"Disconnect", hal.ErrNoDevice},
	} {
		t.Run(tc.button, func(t *testing.T) {
			dev, _ := cameras(t)
			nothingLeft(t)
			var mu sync.Mutex
			var events []pipeline.Event
			eng := pipeline.NewEngine(pipeline.Config{OnEvent: func(e pipeline.Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			}})
			ch, err := eng.Add(pipeline.Define("cam", acquire.From(hal.NewRegistry(v4l2.Driver{}), camera(dev, "&format=yuyv"))).
				Branch("drain", pipeline.Limit{Full: pipeline.DropOldest}, drain{}))
			require.NoError(t, err)
			require.NoError(t, ch.Start())
			runs := func(from uint64) func() bool {
				return func() bool { s := ch.Status(); return s.State == "running" && s.Stages[0].Frames > from+5 }
			}
			until(t, "the channel running", runs(0))
			press(t, dev, tc.button)
			if tc.event == nil {
				until(t, "the fault in the counters", func() bool { return counters(ch).Fault != "" })
				until(t, "the channel running on", runs(ch.Status().Stages[0].Frames))
				require.EqualValues(t, 1, ch.Status().Run, "the source was not opened anew")
				figure(t, "%s", counters(ch).Fault)
			} else {
				until(t, "the channel running again", func() bool { return ch.Status().Run > 1 && runs(0)() })
			}
			require.NoError(t, eng.Exit(t.Context()))
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				if tc.event != nil && e.From == pipeline.Running && strings.Contains(e.Cause, tc.event.Error()) {
					figure(t, "%v → %v: %s", e.From, e.To, e.Cause)
					return
				}
			}
			require.NoError(t, tc.event, "no event says so: %+v", events)
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
