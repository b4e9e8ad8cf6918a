package bench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench"
)

// S1, S3: 5,000 channels, a third of them offline and changing, whatever the chance.
func TestSnapshotsAreEvenWhateverComesAndGoes(t *testing.T) {
	r, err := bench.Measure(t.Context(), &bench.Snapshots{Intervals: 10}, bench.Config{Count: 5})
	require.NoError(t, err)
	require.True(t, r.Held(), "%+v", r.Promises)
	online, _ := r.Median("Snapshots/channels=5000", "channels-online")
	require.InDelta(t, 3333, online, 150)
	changes, _ := r.Median("Snapshots/channels=5000", "changes")
	require.Greater(t, changes, 5000.0)
}
