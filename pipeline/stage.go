package pipeline

import (
	"context"
	"log/slog"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Stage handles one frame after the other. It is one value for the life of its channel: Open
// and Close come in pairs, at Init and Exit and around every restart; all calls come from one
// worker at a time. Taking, waiting, pausing and leaving are the runner's business.
type Stage interface {
	// Name is unique within the channel; queues, statistics and errors carry it.
	Name() string
	// Open takes what the stage needs, all of it or nothing (P4). ctx bounds the opening alone.
	Open(ctx context.Context, env Env) error
	// Work handles a frame and owns its reference, whatever it returns. A transforming stage
	// calls env.Out. An error ends the stage's run: it is closed and opened again with back-off.
	// When ctx is done it gives up promptly.
	Work(ctx context.Context, f hal.Frame) error
	// Flush finishes what is held back because more was to come: an encoder's tail, an open
	// fragment. It comes when the source's run is over (but see Marked) and when the channel
	// exits; frames of a new run may follow.
	Flush(ctx context.Context) error
	// Close gives everything back.
	Close() error
}

// Env is what a stage gets at Open. It is valid until Close.
type Env struct {
	Channel string
	Workers *pool.Workers // the channel's; a stage may run as many jobs as its Extra says
	Clock   *hal.Clock
	Log     *slog.Logger  // names channel and stage with all it writes
	Reserve *pool.Reserve // for arenas: the engine's; nil where a stage is opened without one

	// Out passes a frame on, with its reference, whatever it returns. One goroutine at a time
	// calls it. Nil in a branch: what is last has no next.
	Out func(hal.Frame) error
	// Want says whether an on-demand branch is to get frames now (Limit.OnDemand). The first
	// frames after Want(true) are those since the last key frame, and come at once. Safe from
	// any goroutine. In other places it does nothing.
	Want func(bool)
	// RequestKeyFrame asks the source or the encoder before this stage for a key frame.
	RequestKeyFrame func()

	// What follows is for branches; elsewhere it does nothing. All of it is safe from any goroutine.

	// Losses says why frames may not have come since that instant (Stamp.Mono), the oldest first:
	// the channel's reasons and those of the branch itself, of which at most 16 each are kept. A
	// reason that began earlier and still holds counts from that instant on.
	Losses func(since int64) []Loss
	// Mark puts the mark Asked behind what the branch's queue holds now. A stage that is Marked
	// gets it when it gets there; in a paused channel that is after Start.
	Mark func()
	// Resume has a ring read at its initial interval again (R2).
	Resume func()
}

// Passer is a stage of the trunk that leaves some streams alone: they go past it without a
// queue and without a wake-up.
type Passer interface {
	Passes(s *hal.Stream) bool
}

// Prioritised is a stage whose thread runs at another nice value than 0 (P5).
type Prioritised interface {
	Nice() int
}

// Extra is a stage that runs jobs of its own on the channel's workers.
type Extra interface {
	Workers() int
}

// Counting is a stage with figures of its own, shown beside the runner's. The value is a
// struct fit for JSON.
type Counting interface {
	Stats() any
}
