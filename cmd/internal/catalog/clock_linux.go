package catalog

import "golang.org/x/sys/unix"

// synchronised says whether the kernel's clock is disciplined, by NTP or the like.
func synchronised() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
}
