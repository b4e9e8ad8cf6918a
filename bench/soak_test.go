package bench_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/record"
)

// recording is an engine with channels that record synthetic cameras.
func recording(t *testing.T, channels int, url string) *pipeline.Engine {
	t.Helper()
	eng := pipeline.NewEngine(pipeline.Config{})
	reg := hal.NewRegistry(synth.Driver{})
	dir := t.TempDir()
	for i := range channels {
		name := fmt.Sprintf("cam%02d", i)
		ch, err := eng.Add(pipeline.Define(name, acquire.From(reg, url)).
			Branch("disk", record.Ring{}, record.To(dir+"/"+name, record.Config{})))
		require.NoError(t, err)
		require.NoError(t, ch.Start())
	}
	return eng
}

// usage is the process's memory and work so far.
type usage struct {
	heap    uint64 // bytes in use after a collection
	rss     uint64 // bytes resident
	mallocs uint64
	frames  uint64
	files   uint64 // opened so far
}

func measure(t *testing.T, eng *pipeline.Engine) usage {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	runtime.GC()
	runtime.ReadMemStats(&after)
	u := usage{heap: after.HeapAlloc, mallocs: before.Mallocs, rss: resident(t)}
	for _, ch := range eng.Channels() {
		st := ch.Status()
		u.frames += st.Stages[0].Frames
		if r, ok := st.Stages[len(st.Stages)-1].Stats.(record.Stats); ok {
			u.files += r.Segments
		}
	}
	return u
}

// resident reads VmRSS, proc(5).
func resident(t *testing.T) uint64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "VmRSS:")
	require.True(t, ok)
	kb, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
	require.NoError(t, err)
	return kb << 10
}

// P3: 64 channels recorded for three minutes (make torture; some seconds otherwise): the
// memory of the first part is all there ever is, next to nothing is allocated a frame, and at
// exit every worker and stage has left.
func TestMemoryDoesNotGrow(t *testing.T) {
	warmUp, rest := 6*time.Second, 6*time.Second
	if os.Getenv("MILLRACE_TORTURE") != "" {
		warmUp, rest = 30*time.Second, 150*time.Second
	}
	const channels = 64
	eng := recording(t, channels, "synth://?size=640x360&rate=25&bitrate=1M&gop=25")
	<-time.After(warmUp)
	first := measure(t, eng)
	<-time.After(rest)
	last := measure(t, eng)
	lost := uint64(0)
	for _, ch := range eng.Channels() {
		require.Equal(t, pipeline.Running, ch.State())
		for _, src := range ch.Status().Sources {
			if counters, ok := src.Stats.(hal.SourceStats); ok {
				lost += counters.Dropped
			}
		}
		for _, q := range ch.Status().Queues {
			for cause, n := range q.Dropped {
				require.Zero(t, n, "channel %s lost frames: %s", ch.Name(), cause)
			}
		}
	}
	require.NoError(t, eng.Exit(t.Context()))
	frames := last.frames - first.frames
	perFrame := float64(last.mallocs-first.mallocs) / float64(frames)
	t.Logf("%d channels, %d frames: heap %.1f → %.1f MB, resident %.1f → %.1f MB, %.3f allocations a frame, %d not made in time", channels, frames,
		mb(first.heap), mb(last.heap), mb(first.rss), mb(last.rss), perFrame, lost)
	require.Positive(t, frames)
	require.LessOrEqual(t, mb(last.heap), 1.1*mb(first.heap)+2, "the heap grew")
	const aFile = 2500 // allocations for a file's name and index; a camera starved of time for a second begins another
	require.LessOrEqual(t, float64(last.mallocs-first.mallocs), 0.1*float64(frames)+aFile*float64(last.files-first.files))
}

func mb(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
