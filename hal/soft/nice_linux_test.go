package soft_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// P5: pictures that are encoded beside each other are so at the priority that was asked for.
func TestParallelJobsHaveTheNiceValue(t *testing.T) {
	p, err := pool.NewPool(16)
	require.NoError(t, err)
	workers, err := p.Reserve(2)
	require.NoError(t, err)
	c := newCamera(t, hal.I420, 160, 96)
	cfg := config(t, hal.MJPEG, c)
	cfg.Parallel, cfg.Workers, cfg.Nice = 2, workers, 13
	e := open(t, "gojpeg", cfg)
	for range 4 {
		require.NoError(t, e.Write(t.Context(), c.frame()))
	}
	for range 4 {
		f, err := e.Read(t.Context())
		require.NoError(t, err)
		f.Release()
	}
	require.Eventually(t, func() bool { return threadsAtNice(t, "13") == 2 }, time.Minute, time.Millisecond, "a worker that had no picture yet may still be on its way")
	require.NoError(t, e.Close())
	workers.Close()
	require.NoError(t, p.Close(time.Minute))
}

// threadsAtNice counts this process's threads of a nice value (proc(5), field 19 of stat).
func threadsAtNice(t *testing.T, nice string) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/stat")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); fields[16] == nice {
			n++
		}
	}
	return n
}
