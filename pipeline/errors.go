package pipeline

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed says that a queue takes no more frames.
	ErrClosed = errors.New("queue is closed")
	// ErrInterrupted says that a waiting consumer was woken without a frame.
	ErrInterrupted = errors.New("interrupted")
	// ErrNotInitialised says that a command needs Init first.
	ErrNotInitialised = errors.New("channel is not initialised")
	// ErrExiting says that a command came while the channel or the engine was leaving.
	ErrExiting = errors.New("exit is under way")
	// ErrNotLeft names a stage that did not leave in time.
	ErrNotLeft = errors.New("did not leave in time")
	// ErrNoChannel says that no channel has the name.
	ErrNoChannel = errors.New("no such channel")
	// ErrExists says that a channel of that name is there already.
	ErrExists = errors.New("channel exists already")
)

// errStillOpening names the stage that an Init waits for.
var errStillOpening = errors.New("is still being opened")

// StageError says where; errors.Is on it says what to do.
type StageError struct {
	Channel, Stage string
	Err            error
}

func (e *StageError) Error() string {
	return fmt.Sprintf("channel %s, stage %s: %v", e.Channel, e.Stage, e.Err)
}

// Unwrap returns the cause.
func (e *StageError) Unwrap() error { return e.Err }
