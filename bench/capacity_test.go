package bench_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/record"
)

// R1, R2: 256 cameras of 1 Mbit/s on two cores (make torture; 16 otherwise) lose no frame, and a
// recorder writes once a second, besides syncs.
func TestManyCamerasLoseNothingAndWriteOnceASecond(t *testing.T) {
	channels, seconds := 16, 8
	if os.Getenv("MILLRACE_TORTURE") != "" {
		channels, seconds = 256, 60
	}
	clock := hal.NewClock()
	disks := record.NewDisks(clock, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- disks.Run(ctx) }()
	eng := pipeline.NewEngine(pipeline.Config{Clock: clock})
	reg := hal.NewRegistry(synth.Driver{})
	dir := t.TempDir()
	for i := range channels {
		name := fmt.Sprintf("cam%03d", i)
		ch, err := eng.Add(pipeline.Define(name, acquire.From(reg, "synth://?size=640x360&rate=25&bitrate=1M&gop=25&audio=none")).
			Branch("disk", record.Ring{}, record.To(dir+"/"+name, record.Config{Disks: disks})))
		require.NoError(t, err)
		require.NoError(t, ch.Start())
	}
	began := clock.Mono()
	<-time.After(time.Duration(seconds) * time.Second)
	late := uint64(0)
	for _, ch := range eng.Channels() {
		for _, src := range ch.Status().Sources {
			if counters, ok := src.Stats.(hal.SourceStats); ok {
				late += counters.Dropped
			}
		}
	}
	lasted := time.Duration(clock.Mono() - began).Seconds()
	require.NoError(t, eng.Exit(t.Context()))
	stop()
	require.NoError(t, <-left)
	var frames, fragments, segments uint64
	for _, ch := range eng.Channels() {
		s := ch.Status()
		for _, q := range s.Queues {
			for cause, n := range q.Dropped {
				require.Zero(t, n, "channel %s lost frames: %s", ch.Name(), cause)
			}
		}
		r, ok := s.Stages[len(s.Stages)-1].Stats.(record.Stats)
		require.True(t, ok)
		require.Equal(t, s.Stages[0].Frames, r.Frames, "channel %s: every frame that came is in a file", ch.Name())
		frames, fragments, segments = frames+r.Frames, fragments+r.Fragments, segments+r.Segments
	}
	t.Logf("%d cameras, %.0f s: %d frames, %.2f writes a second and camera, %d files, %d frames that the cameras did not make in time",
		channels, lasted, frames, float64(fragments)/lasted/float64(channels), segments, late)
	require.LessOrEqual(t, fragments, uint64(float64(channels)*(lasted+1))+2*segments, "and one at the end of a file")
}
