package pool

import (
	"fmt"
	"runtime"
	"syscall"
)

// Thread is the OS thread a job runs on.
type Thread struct {
	spoiled bool
}

// SetNice gives the job's thread a nice value, −20 (the most urgent) to 19, as setpriority(2)
// on the thread's own id does. The job stays on this thread, which ends with it: a nice value
// stays with a thread.
func (t *Thread) SetNice(nice int) error {
	if !t.spoiled {
		runtime.LockOSThread()
		t.spoiled = true
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), nice); err != nil {
		return fmt.Errorf("set the thread's priority to nice %d: %w", nice, err)
	}
	return nil
}
