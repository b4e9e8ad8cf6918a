package pipeline_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pipeline"
)

// P5: a priority that is refused is said once and the channel runs on. Root is refused
// nothing, so the test runs itself again as a user without rights.
func TestARefusedPriorityIsSaidOnce(t *testing.T) {
	if os.Getuid() == 0 {
		out, err := asNobody(t, t.Name()).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	r := newRig(pipeline.Config{})
	worked := make(chan struct{}, 1000)
	note := func(context.Context, string) error { worked <- struct{}{}; return nil }
	def := pipeline.Define("gate", from(&camera{script: "I"}))
	for _, name := range []string{"a", "b"} {
		def.Branch(name, pipeline.Limit{}, &sink{name: name, nice: -20, onWork: note})
	}
	ch := add(t, r, def)
	require.NoError(t, ch.Start())
	<-worked
	<-worked
	require.NoError(t, r.Exit(t.Context()))
	require.Equal(t, 1, strings.Count(r.log.String(), "priority refused"), r.log.String())
}

// asNobody is the test binary about to run one test as the user nobody.
func asNobody(t *testing.T, test string) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "nobody") //nolint:usetesting // t.TempDir's parent cannot be read by others
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // others are to read it
	binary, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	path := filepath.Join(dir, "test")
	require.NoError(t, os.WriteFile(path, binary, 0o755)) //nolint:gosec // others are to run it
	cmd := exec.CommandContext(t.Context(), path, "-test.run=^"+test+"$", "-test.v")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}
