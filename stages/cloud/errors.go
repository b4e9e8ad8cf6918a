package cloud

import "errors"

// What a call is refused with (C1). A refused call has no effect.
var (
	ErrNotInit   = errors.New("the cloud service is not initialised")
	ErrInit      = errors.New("the cloud service is initialised already")
	ErrExiting   = errors.New("the cloud service is exiting")
	ErrExited    = errors.New("the cloud service has exited")
	ErrForced    = errors.New("the exit was turned into a forced one")
	ErrOff       = errors.New("the event recording service is off")
	ErrNoFootage = errors.New("nothing was filmed in that time")
	ErrLost      = errors.New("a part of the video was given up")
	ErrGivenUp   = errors.New("it was given up")
	ErrSpooled   = errors.New("it waits in the spool for the store")
)
