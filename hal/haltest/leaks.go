package haltest

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// nothingLeft notes what the process has now; the function it returns fails the test where
// more is left of it at the end: a goroutine or an open file. What ends in the background may
// take its time.
func nothingLeft(t *testing.T, patience time.Duration) func() {
	t.Helper()
	goroutines := goleak.IgnoreCurrent()
	files := openFiles()
	return func() {
		t.Helper()
		require.Eventually(t, func() bool { return goleak.Find(goroutines) == nil },
			patience, 10*time.Millisecond, "goroutines are left")
		require.NoError(t, goleak.Find(goroutines), "goroutines are left")
		require.Eventually(t, func() bool { return len(openFiles()) <= len(files) },
			patience, 10*time.Millisecond, "open files: %v, before: %v", openFiles(), files)
	}
}

// openFiles lists the process's descriptors and what they are, where the system tells it.
func openFiles() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			names = append(names, e.Name()+" "+to)
		}
	}
	return names
}
