package pipeline

import (
	"fmt"
	"slices"
	"time"
)

// Policy is what a full queue does (P6).
type Policy uint8

// The policies. DropUntilKey, the default, drops what comes until the next key frame of the
// pictures, sound along with it, so that an inter-coded stream never has a hole that its
// decoder could see. Wait is for queues of one's own: in a channel a live source is never held
// back, and under a source that can be, every queue waits whatever its policy.
const (
	DropUntilKey Policy = iota
	DropOldest
	DropNewest
	Wait
)

func policyNames() [4]string {
	return [...]string{"drop-until-key", "drop-oldest", "drop-newest", "wait"}
}

func (p Policy) String() string {
	names := policyNames()
	if int(p) >= len(names) {
		return fmt.Sprintf("policy(%d)", uint8(p))
	}
	return names[p]
}

// ParsePolicy is the inverse of String.
func ParsePolicy(name string) (Policy, error) {
	names := policyNames()
	if i := slices.Index(names[:], name); i >= 0 {
		return Policy(i), nil
	}
	return 0, fmt.Errorf("unknown queue policy %q: one of %v", name, names)
}

// Limit is a queue's size, what it does when full, and when its consumer is woken.
type Limit struct {
	Frames int    // default 64; of a ring one for each KiB of Bytes
	Bytes  int    // 0: no limit by bytes
	Full   Policy // what happens under a live source; not Wait

	// A Growth makes the queue a ring, whose capacity starts small and grows up to Bytes; Pace
	// says how often it is read. Its WakeAge, default 1 s, is how much is handed over at a time.
	// Full at Bytes it drops until the next key frame.
	Growth Growth
	Pace   Pace

	// The consumer sleeps until that much is there, or the oldest frame is that old, or the
	// stream ends. Both 0: it is woken for every frame, and the branch counts as live: the
	// source then reads without delay (hal.Urgency).
	WakeBytes int
	WakeAge   time.Duration

	// OnDemand: the branch gets nothing until its stage calls Env.Want(true).
	OnDemand bool
}

// Bound is how a branch's queue is described: a Limit, or a stage's own notion of one.
type Bound interface {
	Limit() Limit
}

// Limit implements Bound.
func (l Limit) Limit() Limit {
	if l.Growth.Start != 0 {
		return l.ring()
	}
	if l.Frames == 0 {
		l.Frames = 64
	}
	return l
}

// Validate says what is wrong with a limit.
func (l Limit) Validate() error {
	switch {
	case l.Frames < 1:
		return fmt.Errorf("a queue of %d frames: at least 1", l.Frames)
	case l.Bytes < 0 || l.WakeBytes < 0 || l.WakeAge < 0:
		return fmt.Errorf("a queue's limits cannot be negative: %+v", l)
	case l.WakeBytes > 0 && l.WakeAge == 0:
		return fmt.Errorf("a queue that wakes at %d bytes needs an age too, or a slow stream is never read", l.WakeBytes)
	case l.Full > Wait:
		return fmt.Errorf("unknown queue policy %d", l.Full)
	case l.Growth != Growth{}:
		return l.validateRing()
	}
	return nil
}
