//go:build !linux

package hal

// monotonic starts the clock at zero: no driver on this system stamps frames itself.
func monotonic() int64 { return 0 }
