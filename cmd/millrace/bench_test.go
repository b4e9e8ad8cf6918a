package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench"
)

// U1, U2, U3: the measurement runs, keeps order and names what failed. How fast it is on a machine that tests
// at the same time is not asked.
func TestBenchUpload(t *testing.T) {
	r := call(t, t.TempDir(), "bench", "upload", "--json", "--delay", "300ms", "--bytes", "20000")
	require.Contains(t, []int{0, 1}, r.code, r.err)
	var report bench.Report
	require.NoError(t, json.Unmarshal([]byte(r.out), &report), r.err)
	require.Contains(t, report.About, "after 0.30 s")
	names := report.Names()
	require.Len(t, names, 7, "six sizes and a camera")
	for _, name := range names[:6] {
		ratio, ok := report.Median(name, "of-delay")
		require.True(t, ok, name)
		require.GreaterOrEqual(t, ratio, 1.0, name)
	}
	require.Equal(t, "Upload/frames=50", names[5])
	camera, _ := report.Median(names[6], "s/group")
	require.GreaterOrEqual(t, camera, 0.3)
	require.Len(t, report.Promises, 4)
	for _, p := range report.Promises[1:3] { // in order, each once; the right two are given up
		require.True(t, p.Held, "%+v", p)
	}
}

func TestBenchUploadRefusesNonsense(t *testing.T) {
	require.Equal(t, 2, call(t, t.TempDir(), "bench", "upload", "--delay", "-1s").code)
}

// Issue, Build 1: every small measurement runs, tells what it is and writes its page. How fast it is on a machine that
// tests at the same time is not asked, but that nothing is allocated and the order is kept. The third encoder is µStreamer.
func TestBenchTellsAllOfIt(t *testing.T) {
	for name, want := range map[string]struct {
		names, promises int
		always          string // in promises that hold on any machine
		args            []string
	}{
		"queue":  {names: 9, promises: 1, always: "allocations"},
		"arena":  {names: 3, promises: 2, always: "allocations"},
		"pack":   {names: 1, promises: 1, always: "allocations"},
		"encode": {names: 3, promises: 2, always: "in its place", args: []string{"--size", "160x160", "--workers", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			page := filepath.Join(t.TempDir(), "page.html")
			r := call(t, t.TempDir(), append([]string{"bench", name, "--short", "--json", "--html", page}, want.args...)...)
			require.Contains(t, []int{0, 1}, r.code, r.err)
			var report bench.Report
			require.NoError(t, json.Unmarshal([]byte(r.out), &report), r.err)
			require.Equal(t, name, report.Name)
			require.Contains(t, report.Command, "millrace bench "+name+" --short")
			require.Equal(t, bench.Version{Name: "millrace", Version: "v0.0.7-test"}, report.Versions[0])
			require.Positive(t, report.Machine.Cores)
			require.Empty(t, report.Ended)
			require.Len(t, report.Names(), want.names)
			require.Len(t, report.Promises, want.promises)
			for _, p := range report.Promises {
				require.True(t, p.Held || !strings.Contains(p.What, want.always), "%+v", p)
			}
			html, err := os.ReadFile(page)
			require.NoError(t, err)
			require.Contains(t, string(html), "millrace bench "+name)
		})
	}
}

// Issue, Build 1: whoever does not wait for the end sees what there is by then.
func TestBenchIsInterrupted(t *testing.T) {
	r := start(t, t.TempDir(), "bench", "snapshots", "--intervals", "10", "--count", "1000")
	require.Eventually(t, func() bool { return strings.Contains(r.err.String(), "run 3 of 1000") }, time.Minute, time.Millisecond)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	got := finish(t, r)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "BenchmarkSnapshots/channels=5000")
	require.Contains(t, got.out, "Not all was measured: interrupted after")
	require.Contains(t, got.err, "interrupted after")
}

func TestBenchRefusesNonsense(t *testing.T) {
	for _, args := range [][]string{{"queue", "--count", "0"}, {"encode", "--size", "1921x1080"}, {"encode", "--size", "big"}, {"encode", "--quality", "101"}, {"nothing"}} {
		require.Equal(t, 2, call(t, t.TempDir(), append([]string{"bench"}, args...)...).code, args)
	}
	r := call(t, t.TempDir(), "bench", "pack", "--short", "--html", filepath.Join(t.TempDir(), "no", "such", "place.html"))
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "place.html")
	require.Contains(t, r.out, "BenchmarkPack", "the figures are told all the same")
}
