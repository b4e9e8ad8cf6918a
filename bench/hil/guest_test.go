//go:build hil

package hil_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
)

// patience bounds whatever must come: an emulated machine is slow, not dead.
const patience = 20 * time.Second

// figure puts a measured figure into the table.
func figure(t *testing.T, format string, args ...any) {
	t.Helper()
	fmt.Printf("%s%s %s\n", hil.FigureMark, t.Name(), fmt.Sprintf(format, args...))
}

// load loads a module for the length of the test. What has it open must be closed by then.
func load(t *testing.T, module string, params ...string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("sh", "-c", "dmesg | tail -n 40").CombinedOutput() //nolint:noctx,errcheck // as below; it only helps
			t.Logf("what the kernel said last:\n%s", out)
		}
		out, err := exec.Command("rmmod", module).CombinedOutput() //nolint:noctx // ends at once, and must run when the test's context is over
		require.NoError(t, err, "rmmod %s: %s", module, out)
	})
	out, err := exec.CommandContext(t.Context(), "modprobe", append([]string{module}, params...)...).CombinedOutput()
	require.NoError(t, err, "modprobe %s: %s", module, out)
}

// nodes returns the device nodes whose name in sysfs is this.
func nodes(t *testing.T, name string) []string {
	t.Helper()
	all, err := filepath.Glob("/sys/class/video4linux/*/name")
	require.NoError(t, err)
	return slices.DeleteFunc(all, func(f string) bool {
		text, err := os.ReadFile(f)
		return err != nil || strings.TrimSpace(string(text)) != name
	})
}

// node waits for the one device node of this name.
func node(t *testing.T, name string) string {
	t.Helper()
	var dev string
	until(t, "a device named "+name, func() bool {
		for _, f := range nodes(t, name) {
			dev = "/dev/" + filepath.Base(filepath.Dir(f))
			if _, err := os.Stat(dev); err == nil {
				return true
			}
		}
		return false
	})
	return dev
}

// until waits for what nothing can wake the test for.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, patience, 20*time.Millisecond, "%s did not come about in %v", what, patience)
}
