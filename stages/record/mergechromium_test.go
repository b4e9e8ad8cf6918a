package record_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChromiumPlaysAMergedFile(t *testing.T) { // R4
	dir, parts := recorded(t, 7, "audio=aac")
	parts = later(parts, 2, 3*second) // 0…100 are shown up to 7 s, then the rest
	all := merged(t, dir, parts)
	p := watched(t, filepath.Join(dir, all[0].Segment.File), 0.02, 1.98, 2.02, 3.98, 5.5, 7.02, 9.98)
	require.Empty(t, p.Error)
	require.True(t, p.Ended)
	require.InDelta(t, 10, p.Duration, 0.1)
	require.Equal(t, map[float64]int{0.02: 0, 1.98: 49, 2.02: 50, 3.98: 99, 5.5: 99, 7.02: 100, 9.98: 174}, p.numbers)
	t.Log(p)
}
