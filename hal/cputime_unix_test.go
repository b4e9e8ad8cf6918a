//go:build unix

package hal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// Who works takes time of a processor.
func TestCPUTimeGrowsWithWork(t *testing.T) {
	began := hal.CPUTime()
	require.Eventually(t, func() bool { return hal.CPUTime() > began }, time.Minute, time.Millisecond)
}
