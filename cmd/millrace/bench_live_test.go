package main_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench"
)

// Issue, Must show 4: readers of one channel are measured beside gortsplib's server, and a reader that takes
// nothing costs the others no packet. How dear a reader is on a machine that tests at the same time is not asked.
func TestBenchFanout(t *testing.T) {
	r := call(t, t.TempDir(), "bench", "fanout", "--json", "--readers", "2,5", "--time", "1s", "--size", "320x180", "--bitrate", "600", "--peers", "gortsplib")
	require.Contains(t, []int{0, 1}, r.code, r.err)
	var report bench.Report
	require.NoError(t, json.Unmarshal([]byte(r.out), &report), r.err)
	for _, server := range []string{"millrace", "gortsplib"} {
		name := "Fanout/server=" + server
		_, ok := report.Median(name, "cpu-ms/reader-s")
		require.True(t, ok, r.out)
		for _, readers := range []string{"/readers=2", "/readers=5", "/readers=5+slow"} {
			spent, ok := report.Median(name+readers, "cpu-ms/s")
			require.True(t, ok, r.out)
			require.Positive(t, spent)
		}
	}
	missing, ok := report.Median("Fanout/server=millrace/readers=5+slow", "missing")
	require.True(t, ok)
	require.Zero(t, missing)
	require.Len(t, report.Promises, 3)
	require.Len(t, report.Charts, 2)
}

// Issue, Must show 7: every frame that reaches a viewer's sink is counted, its times and the load are told.
func TestBenchLatency(t *testing.T) {
	r := call(t, t.TempDir(), "bench", "latency", "--json", "--channels", "2", "--time", "1s", "--size", "320x180", "--bitrate", "600")
	require.Contains(t, []int{0, 1}, r.code, r.err)
	var report bench.Report
	require.NoError(t, json.Unmarshal([]byte(r.out), &report), r.err)
	require.Equal(t, []string{"Latency/channels=2"}, report.Names())
	require.Greater(t, report.Results[0].Iterations, 20, "frames")
	before := 0.0
	for _, unit := range []string{"p50-ms", "p90-ms", "p99-ms", "max-ms"} {
		value, ok := report.Median("Latency/channels=2", unit)
		require.True(t, ok, unit)
		require.GreaterOrEqual(t, value, before, unit)
		require.Positive(t, value)
		before = value
	}
	require.Len(t, report.Promises, 1)
	require.Len(t, report.Charts, 2)
}

func TestBenchLiveRefusesNonsense(t *testing.T) {
	for _, args := range [][]string{
		{"fanout", "--readers", "5"},
		{"fanout", "--readers", "5,5"},
		{"fanout", "--peers", "nobody"},
		{"fanout", "--size", "x"},
		{"latency", "--channels", "0"},
		{"latency", "--bitrate", "0"},
		{"latency", "--time", "-1s"},
	} {
		require.Equal(t, 2, call(t, t.TempDir(), append([]string{"bench"}, args...)...).code, args)
	}
}
