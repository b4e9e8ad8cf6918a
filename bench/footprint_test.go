//go:build linux && !race

package bench_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// P3: what a camera that is recorded takes of the heap, beside its frames, which lie outside of it: with 64 of
// them it is most of what the program itself needs. 28 kB of it are the synthetic camera's own. (With the race
// detector frames are of the heap.)
func TestACameraTakesLittleOfTheHeap(t *testing.T) {
	const channels, most = 64, 94 << 10
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	eng := recording(t, channels, "synth://?size=640x360&rate=25&bitrate=1M&gop=50")
	each := 0
	little := func() bool {
		for _, ch := range eng.Channels() { // to the third key frame: all is held that ever is
			if ch.Status().Stages[0].Frames < 300 {
				return false
			}
		}
		each = (int(measure(t, eng).heap) - int(before.HeapAlloc)) / channels
		return each < most
	}
	// A queue that a busy machine made long is short again after a while.
	require.Eventually(t, little, time.Minute, time.Second, "%d bytes a channel", each)
	t.Logf("%.1f kB a channel", float64(each)/1024)
	require.NoError(t, eng.Exit(t.Context()))
}
