package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ext4 mounts an ext4 of 64 MB by a loop device.
func ext4(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may mount a file system")
	}
	image := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 64<<20))
	for _, c := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if text, err := exec.CommandContext(t.Context(), c[0], c[1:]...).CombinedOutput(); err != nil { //nolint:gosec // our own commands
			t.Skipf("there are no loop devices here: %v: %s", err, text)
		}
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}

// states are those of all channels.
func states(t *testing.T, dir, api string) (all []string) {
	t.Helper()
	var answer struct {
		Channels []struct{ Name, State string }
	}
	require.NoError(t, json.Unmarshal([]byte(call(t, dir, "channel", "list", "--api", api, "--json").out), &answer))
	for _, c := range answer.Channels {
		all = append(all, c.State)
	}
	return all
}

// R7: four cameras on a disk of 64 MB (3 minutes with MILLRACE_TORTURE) that fills up to its
// budget, and then, because something else is written there, to its last byte: no channel stops,
// the oldest goes first, what an event pinned stays, the budget holds to a segment.
func TestFourCamerasOnAFullDisk(t *testing.T) {
	const bitrate, segment = 8_000_000, 1_000_000
	long := 12 * time.Second
	if os.Getenv("MILLRACE_TORTURE") != "" {
		long = 90 * time.Second
	}
	dir, api := t.TempDir(), address(t)
	rec := filepath.Join(dir, "rec")
	require.NoError(t, os.Mkdir(rec, 0o700))
	ext4(t, rec)
	const budget = 36_000_000
	var b strings.Builder
	fmt.Fprintf(&b, "data: rec\ndisk: {max_bytes: %d, min_free: 1M}\ndefaults: {record: {segment_duration: 1s, merge: off}, live: {enabled: false}}\nchannels:\n", budget)
	for i := range 4 {
		fmt.Fprintf(&b, "  - {name: cam%d, source: 'synth://?size=640x360&rate=25&gop=25&audio=none&bitrate=%d', events: {interval: 4s, minimum: 4s, pre: 1s}}\n", i, bitrate)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(b.String()), 0o600))
	r := up(t, dir, api, "--config", "m.yml")
	pause(2 * time.Second)
	done := call(t, dir, "event", "cam0", "--type", "motion", "--api", api)
	require.Zero(t, done.code, done.err)

	runs := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); pause(500 * time.Millisecond) {
			require.Equal(t, []string{"running", "running", "running", "running"}, states(t, dir, api), "%s", &r.err)
		}
	}
	runs(long)
	stopped := time.Now()
	for i := range 4 {
		require.Zero(t, call(t, dir, "recording", "stop", fmt.Sprintf("cam%d", i), "--api", api).code)
	}
	held := int64(0)
	require.Eventually(t, func() bool { // the catalog hears of the last files within a second
		held = 0
		for _, path := range recordings(t, filepath.Join(rec, "*")) {
			if is, err := os.Stat(path); err == nil {
				held += is.Size()
			}
		}
		return held <= budget+segment
	}, waitLong, waitStep, "%d bytes", held)
	require.GreaterOrEqual(t, held, int64(budget-2*segment), "no more goes than must")
	for i := range 4 {
		require.Zero(t, call(t, dir, "recording", "start", fmt.Sprintf("cam%d", i), "--api", api).code)
	}

	filler := filepath.Join(rec, "filler")
	fill(t, filler) // now it is the disk that says no
	runs(long)

	pinned := 0
	for i := range 4 {
		name := fmt.Sprintf("cam%d", i)
		line := askTimeline(t, api, name)
		require.NotEmpty(t, line.Segments)
		for _, s := range line.Segments {
			require.FileExists(t, filepath.Join(rec, name, s.File))
			if s.Pinned {
				pinned++
			}
		}
		for k := len(line.Segments) - 1; k > 0 && !line.Segments[k-1].Pinned; k-- {
			if line.Segments[k].Start.After(stopped) && line.Segments[k-1].Start.Before(stopped) {
				continue
			}
			end := line.Segments[k-1].Start.Add(time.Duration(line.Segments[k-1].Length * float64(time.Second)))
			require.WithinDuration(t, end, line.Segments[k].Start, 40*time.Millisecond, "%s: the oldest went first", name)
		}
		for _, g := range line.Gaps {
			require.Contains(t, []string{"starting", "removed", "stopped"}, g.Cause, "%s: %+v", name, g)
		}
	}
	require.GreaterOrEqual(t, pinned, 4, "the event's files stay")
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
	t.Logf("%d bytes held of a budget of %d; %d pinned files stayed", held, budget, pinned)
}
