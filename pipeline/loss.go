package pipeline

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// LossKind is why frames may not have come.
type LossKind string

// The kinds.
const (
	LostSource  LossKind = "source"  // a run ended or no source could be opened; Detail is the source's error
	LostPaused  LossKind = "paused"  // the channel was paused
	LostDropped LossKind = "dropped" // a queue dropped, or the source says that frames are missing; Detail says which
	LostFailed  LossKind = "failed"  // a stage of the trunk or this one fell; Detail is its error
	LostExit    LossKind = "exit"    // the channel was not initialised
)

// Loss is one reason for missing frames.
type Loss struct {
	Mono   int64 // clock: since when, as far as is known
	Why    LossKind
	Detail string // for a person
}

// losses remembers why frames did not come: from when until frames came again. It is kept over
// Exit and Init.
type losses struct {
	mu   sync.Mutex
	held [16]lossNote
	n    int // how many are held, the oldest first
}

type lossNote struct {
	Loss
	until int64 // clock: when frames came again; holdsOn before that
}

const holdsOn = math.MaxInt64

// note says that from now on frames are missing. A reason that holds on, or held within the last
// second, is not noted again.
func (l *losses) note(now int64, why LossKind, detail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.n {
		o := &l.held[i]
		if o.Why == why && o.Detail == detail && (o.until == holdsOn || i == l.n-1 && now-o.until < int64(time.Second)) {
			o.until = holdsOn
			return
		}
	}
	if l.n == len(l.held) {
		copy(l.held[:], l.held[1:])
		l.n--
	}
	l.held[l.n] = lossNote{Loss{now, why, detail}, holdsOn}
	l.n++
}

// flow says that frames come again.
func (l *losses) flow(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.n {
		if o := &l.held[i]; o.until == holdsOn {
			o.until = max(now, o.Mono)
		}
	}
}

// since returns what held at that instant or began later.
func (l *losses) since(mono int64) []Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Loss
	for _, o := range l.held[:l.n] {
		if o.until >= mono {
			o.Mono = max(o.Mono, mono)
			found = append(found, o.Loss)
		}
	}
	return found
}

// lossesSince is what a branch's stage learns: the channel's losses and the branch's own.
func lossesSince(mono int64, of ...*losses) []Loss {
	all := make([]Loss, 0, len(of))
	for _, l := range of {
		all = append(all, l.since(mono)...)
	}
	slices.SortStableFunc(all, func(a, b Loss) int { return cmp.Compare(a.Mono, b.Mono) })
	return all
}
