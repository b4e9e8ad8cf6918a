//go:build unix

package hal

import (
	"syscall"
	"time"
)

// CPUTime returns what this process has taken of the processors, all its threads, for itself and in
// the kernel (getrusage(2)).
func CPUTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
