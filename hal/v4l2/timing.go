package v4l2

import "time"

// timing places a camera's pictures in time and counts the ones that are missing.
type timing struct {
	begun bool
	first int64 // Mono of the first picture of all
	last  time.Duration

	numbered bool   // sequence is valid
	sequence uint32 // of the picture before
	gap      bool   // something is missing before the next picture
}

// restart says that the driver counts from anew.
func (t *timing) restart() { t.numbered = false }

// follow takes note of a picture's number and returns how many are missing before it.
func (t *timing) follow(sequence uint32) uint64 {
	was, known := t.sequence, t.numbered
	t.sequence, t.numbered = sequence, true
	step := sequence - was
	if !known || step < 2 || step > 1<<31 { // the first; the next; one of a driver that does not count or began anew
		return 0
	}
	t.gap = true
	return uint64(step - 1)
}

// place returns a picture's time since the first one. It never steps back, nor stands still.
func (t *timing) place(mono int64) time.Duration {
	if !t.begun {
		t.begun, t.first = true, mono
		return 0
	}
	t.last = max(time.Duration(mono-t.first), t.last+time.Microsecond)
	return t.last
}

func (t *timing) takeGap() bool {
	gap := t.gap
	t.gap = false
	return gap
}
