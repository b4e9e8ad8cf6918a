//go:build linux

package hal

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process that is interrupted between the readings of two clocks, as on a busy board, may not
// take one for later than it is: its frames would come from the future.
func TestTwoClocksAreReadAtTheSameMoment(t *testing.T) {
	const ahead = 1000 // of the second clock
	often := slices.Repeat([]time.Duration{40 * time.Microsecond}, 30)
	for name, pauses := range map[string][]time.Duration{ // before each reading of a clock
		"never interrupted":          {},
		"before the second":          {0, 3 * time.Millisecond},
		"after it":                   {0, 0, 3 * time.Millisecond},
		"three times":                {0, 9 * time.Millisecond, 0, 0, 0, time.Millisecond, 0, time.Millisecond},
		"always, and once for least": slices.Concat(often, []time.Duration{0, 10 * time.Microsecond, 0}, often),
	} {
		t.Run(name, func(t *testing.T) {
			passed, at := time.Duration(0), time.Unix(0, 0)
			step := func() time.Duration {
				passed += 50 * time.Nanosecond
				if len(pauses) > 0 {
					passed, pauses = passed+pauses[0], pauses[1:]
				}
				return passed
			}
			got := met(func() time.Time { return at.Add(step()) }, func() int64 { return int64(step()) + ahead })
			behind := got.at.Sub(at) + ahead - time.Duration(got.ns)
			require.GreaterOrEqual(t, behind, time.Duration(0), "ahead of the clock")
			require.LessOrEqual(t, behind, 10*time.Microsecond+100*time.Nanosecond)
		})
	}
}

func TestNoClockIsAheadOfTheMachines(t *testing.T) {
	for range 1000 {
		mono := NewClock().Mono()
		require.LessOrEqual(t, mono, monotonic())
	}
}
