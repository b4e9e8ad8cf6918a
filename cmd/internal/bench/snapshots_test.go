package bench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/bench"
)

// S1, S3: 5,000 channels, a third of them offline and changing, whatever the chance.
func TestSnapshotsAreEvenWhateverComesAndGoes(t *testing.T) {
	for seed := range uint64(5) {
		r := bench.Snapshots{Seed: seed, Intervals: 10}.Run()
		require.True(t, r.Good, "%+v", r)
		require.InDelta(t, 3333, r.Online, 150)
		require.Greater(t, r.Changes, 5000)
	}
}
