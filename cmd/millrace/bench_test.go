package main_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// U1, U2, U3: the measurement runs, keeps order and names what failed. How fast it is on a machine that tests
// at the same time is not asked.
func TestBenchUpload(t *testing.T) {
	r := call(t, t.TempDir(), "bench", "upload", "--json", "--delay", "300ms", "--bytes", "20000")
	require.Contains(t, []int{0, 1}, r.code, r.err)
	var report struct {
		Delay float64 `json:"store_delay_s"`
		Rows  []struct {
			Frames         int
			Seconds, Ratio float64
			Reference      string
			Retries        int
		} `json:"uploads"`
		Faults struct {
			Ordered, Expected bool
			GivenUp           []string `json:"given_up"`
		}
		Camera struct {
			Frames  int
			Seconds float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &report), r.err)
	require.InDelta(t, 0.3, report.Delay, 1e-9)
	require.Len(t, report.Rows, 6)
	for _, row := range report.Rows {
		require.GreaterOrEqual(t, row.Ratio, 1.0)
		require.NotEmpty(t, row.Reference)
	}
	require.Equal(t, 50, report.Rows[5].Frames)
	require.True(t, report.Faults.Ordered)
	require.True(t, report.Faults.Expected, report.Faults.GivenUp)
	require.Equal(t, 150, report.Camera.Frames)
	require.GreaterOrEqual(t, report.Camera.Seconds, 0.3)
}

func TestBenchUploadRefusesNonsense(t *testing.T) {
	require.Equal(t, 2, call(t, t.TempDir(), "bench", "upload", "--delay", "-1s").code)
}
