package pipeline

import "time"

// State is what a channel is doing, as an operator sees it.
type State uint8

// The states. A started channel is Waiting while no frame comes, Running when all is well and
// Degraded while a branch of it is down.
const (
	Exited   State = iota // holds nothing; Init is next
	Parked                // initialised, all stages wait for Start
	Waiting               // started, no frame yet or no more
	Running               // frames flow
	Degraded              // frames flow, a branch is down
	Paused                // all stages parked between two frames
	Ended                 // the source came to its end; Start plays it again
	Failed                // no source can ever work as configured
	Exiting               // stages are leaving
)

func (s State) String() string {
	return [...]string{"exited", "parked", "waiting", "running", "degraded", "paused", "ended", "failed", "exiting"}[s]
}

// phase is what commands see of a state: Waiting, Running and Degraded are one.
type phase uint8

const (
	phaseExited phase = iota
	phaseParked
	phaseStarted
	phasePaused
	phaseEnded
	phaseFailed
	phaseExiting
	phases
)

// trigger is what moves a channel from phase to phase: the commands, and what happens to it.
type trigger uint8

const (
	cmdInit trigger = iota
	cmdStart
	cmdPause
	cmdExit
	onEnd         // the source came to its end
	onUnsupported // no source can ever work
	onLeft        // every stage has left
	triggers
)

// refused is the entry for a command that the phase does not take.
const refused = phases

// transitions is the one table of phases (P4). A second call of a command finds itself here as
// a transition to the same phase: harmless.
func transitions() [phases][triggers]phase {
	return [phases][triggers]phase{
		//            init          start         pause         exit          end           unsupported   left
		phaseExited:  {phaseParked, refused, refused, phaseExited, phaseExited, phaseExited, phaseExited},
		phaseParked:  {phaseParked, phaseStarted, phaseParked, phaseExiting, phaseParked, phaseParked, refused},
		phaseStarted: {phaseStarted, phaseStarted, phasePaused, phaseExiting, phaseEnded, phaseFailed, refused},
		phasePaused:  {phasePaused, phaseStarted, phasePaused, phaseExiting, phaseEnded, phaseFailed, refused},
		phaseEnded:   {phaseEnded, phaseStarted, phaseEnded, phaseExiting, phaseEnded, phaseEnded, refused},
		phaseFailed:  {phaseFailed, phaseStarted, phaseFailed, phaseExiting, phaseFailed, phaseFailed, refused},
		phaseExiting: {refused, refused, refused, phaseExiting, phaseExiting, phaseExiting, phaseExited},
	}
}

// state is what an operator sees of a phase.
func (p phase) state(up bool, branchesDown int) State {
	switch p {
	case phaseExited:
		return Exited
	case phaseParked:
		return Parked
	case phaseStarted:
		switch {
		case !up:
			return Waiting
		case branchesDown > 0:
			return Degraded
		}
		return Running
	case phasePaused:
		return Paused
	case phaseEnded:
		return Ended
	case phaseFailed:
		return Failed
	case phaseExiting:
		return Exiting
	case phases:
	}
	panic("pipeline: no such phase")
}

// Event is one change of a channel's state.
type Event struct {
	Channel  string
	Seq      uint64 // orders the events of a channel
	At       time.Time
	From, To State
	Cause    string // why, where there is a cause
}
