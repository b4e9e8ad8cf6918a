package rtsp_test

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkFanOut is the CPU that players cost at 25 pictures a second and 4 Mbit/s: what the
// branch's worker uses, system calls included (Linux), without the players themselves.
func BenchmarkFanOut(b *testing.B) {
	for _, readers := range []int{1, 8, 32} {
		b.Run(strconv.Itoa(readers), func(b *testing.B) {
			k := newBench(b, h264Track())
			k.readers(b, readers, 20000)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			tick := time.NewTicker(5 * time.Millisecond) // so that the players keep up
			defer tick.Stop()
			var used time.Duration
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				<-tick.C
				before := threadCPU(b)
				k.work(b, n, 20000)
				used += threadCPU(b) - before
				n++
			}
			b.ReportMetric(float64(used.Nanoseconds())/float64(n)*25/1e6/float64(readers), "cpu-ms/reader-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func threadCPU(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_THREAD, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
