package event

import "errors"

// What a call is refused with. A refused call has no effect.
var (
	ErrSource     = errors.New("a trigger names exactly one source")
	ErrOff        = errors.New("the event service is off")
	ErrFull       = errors.New("as many events wait as may") // Config.Waiting
	ErrNotRunning = errors.New("event handling is not running")
	ErrExiting    = errors.New("event handling is exiting")
	ErrForced     = errors.New("the exit was turned into a forced one")
	ErrExists     = errors.New("event handling is running already")
)
