package hal

import "errors"

// Each of these decides what happens next; wrap them with what happened.
var (
	ErrNoDevice    = errors.New("no such device")          // look again, then fall back
	ErrNoSignal    = errors.New("no signal")               // retry with back-off
	ErrUnsupported = errors.New("not supported by device") // wait for a new configuration
	ErrStalled     = errors.New("no frame in time")        // close, retry with back-off
)
