package hal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

func TestBackoffDoublesUpToItsMaximum(t *testing.T) { // P8, U2
	t.Parallel()
	chance := 0.0
	b := hal.Backoff{First: time.Second, Max: 20 * time.Second, Jitter: 0.5, Random: func() float64 { return chance }}
	for n, seconds := range []int{1, 2, 4, 8, 16, 20, 20} {
		require.InDelta(t, seconds, b.Before(n).Seconds(), 0)
	}
	for _, many := range []int{31, 32, 63, 64, 1000} {
		require.Equal(t, 20*time.Second, b.Before(many))
	}
	chance = 1
	require.Equal(t, 500*time.Millisecond, b.Before(0))
	require.Equal(t, 10*time.Second, b.Before(1000))
}

func TestBackoffIsNotTheSameForAll(t *testing.T) {
	t.Parallel()
	b := hal.Backoff{Max: time.Minute, Jitter: 0.2}.Or(hal.Backoff{First: time.Hour, Max: time.Hour, Jitter: 0.9})
	seen := map[time.Duration]bool{}
	for range 100 {
		d := b.Before(0)
		require.GreaterOrEqual(t, d, 48*time.Second)
		require.LessOrEqual(t, d, time.Minute)
		seen[d] = true
	}
	require.Greater(t, len(seen), 50)
}
