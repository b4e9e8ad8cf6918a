package main_test

import (
	"encoding/json"
	"testing"

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
