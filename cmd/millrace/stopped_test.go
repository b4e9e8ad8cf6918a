package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/pack"
)

// H4, P8: a program that stood still for longer than a stall takes (a busy machine, a suspended one) reads on where
// it was: what the cameras sent meanwhile waits in the sockets, and none of it is missing.
func TestAProgramThatStoodStillLosesNothing(t *testing.T) {
	t.Parallel()
	dir, live := t.TempDir(), address(t)
	camera := start(t, dir, "run", "--listen", address(t), "--rtsp", live, "--data", "camera")
	require.Eventually(t, func() bool { return strings.Contains(camera.out.String(), "Ctrl-C ends it") }, waitLong, waitStep, "%s", &camera.err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"),
		[]byte("data: rec\nchannels:\n  - {name: gate, source: 'rtsp://"+live+"/synth', live: {enabled: false}}\n"), 0o600))
	recorder := up(t, dir, address(t), "--config", "m.yml")
	fragments := func(more int) {
		t.Helper()
		require.Eventually(t, func() bool {
			files := recordings(t, filepath.Join(dir, "rec", "gate"))
			if len(files) == 0 {
				return false
			}
			x, err := pack.OpenIndex(files[len(files)-1])
			return err == nil && len(x.Fragments) >= more
		}, waitLong, waitStep, "%s", &recorder.err)
	}
	fragments(2)
	require.NoError(t, recorder.cmd.Process.Signal(syscall.SIGSTOP))
	pause(3500 * time.Millisecond)
	require.NoError(t, recorder.cmd.Process.Signal(syscall.SIGCONT))
	fragments(8)
	for _, r := range []*running{recorder, camera} {
		require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
		end := finish(t, r)
		require.Zero(t, end.code, end.err)
		require.NotContains(t, end.err, "source failed")
	}
	files := recordings(t, filepath.Join(dir, "rec", "gate"))
	require.Len(t, files, 1, "the connection held")
	got := numbers(t, files[0])
	for i, n := range got {
		require.Equal(t, got[0]+uint32(i), n)
	}
}
