//go:build hil

package hil_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// What a camera did while it was recorded, with a damaged picture and a fatal error in it, its
// trace does again, without the camera.
func TestATraceIsTheCameraAgain(t *testing.T) {
	const payload = 256
	dev, _ := cameras(t)
	nothingLeft(t)
	file := filepath.Join(t.TempDir(), "trace.jsonl")
	recording := v4l2.Driver{Payload: payload, Record: func(string) (io.WriteCloser, error) { return os.Create(file) }}
	url := camera(dev, "&format=yuyv")
	src, err := hal.NewRegistry(recording).Open(t.Context(), url, hal.Options{})
	require.NoError(t, err)
	seen := behaviour(t, src, 5, payload)
	press(t, dev, "Inject V4L2_BUF_FLAG_ERROR")
	seen = append(seen, behaviour(t, src, 10, payload)...)
	press(t, dev, "Inject Fatal Streaming Error")
	seen = append(seen, behaviour(t, src, 10, payload)...)
	counted := stats(t, src)
	require.NoError(t, src.Close())
	require.EqualValues(t, 1, counted.Malformed)
	require.EqualValues(t, 1, counted.Recovered)

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	trace, err := v4l2.ReadTrace(bytes.NewReader(text))
	require.NoError(t, err)
	src, err = hal.NewRegistry(v4l2.Driver{Replay: trace}).Open(t.Context(), url, hal.Options{})
	require.NoError(t, err)
	again := behaviour(t, src, len(seen), payload)
	for i := range seen {
		// A stamp that is ahead of the clock counts as now, which is late on a machine that is busy.
		require.InDelta(t, seen[i].at.Seconds(), again[i].at.Seconds(), 0.5, "frame %d", i)
		seen[i].at, again[i].at = 0, 0
	}
	require.Equal(t, seen, again)
	require.Equal(t, counted, stats(t, src))
	require.NoError(t, src.Close())
	figure(t, "%d frames, %d bytes of trace", len(seen), len(text))
}

// appearance is when a frame came, whether it follows a gap, and what it begins with.
type appearance struct {
	at    time.Duration
	gap   bool
	begin string
}

// behaviour returns how the next n frames appear.
func behaviour(t *testing.T, src hal.Source, n, begin int) (all []appearance) {
	t.Helper()
	for range n {
		look(t, src, func(f hal.Frame) {
			all = append(all, appearance{f.Stamp.DTS, f.Gap, string(f.Buf.Bytes()[:begin])})
		})
	}
	return all
}
