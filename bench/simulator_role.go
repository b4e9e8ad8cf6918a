package bench

import "fmt"

// The questions that a simulator answers.
const (
	askAddress  = "address"
	askStanding = "standing"
	askMark     = "mark" // begins a window
	askPace     = "pace" // of the window so far
	askSessions = "sessions"
)

func (s *simulator) answer(question string) (any, error) {
	switch question {
	case askAddress:
		return s.listener.Addr().String(), nil
	case askStanding:
		return s.standing(), nil
	case askMark:
		s.wheel.mark()
		return true, nil
	case askPace:
		return s.wheel.pace(), nil
	case askSessions:
		return s.sessionLog(), nil
	}
	return nil, fmt.Errorf("a simulator knows nothing of %q", question)
}
