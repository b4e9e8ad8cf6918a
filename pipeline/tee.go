package pipeline

import (
	"slices"
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// Tee hands every frame to each of its branches, one reference more for each. Branches join
// and leave while it runs. It blocks only where a branch's queue waits, which the channel
// allows for sources that can be held back. One worker pushes.
type Tee struct {
	// onUrgency is told whether some branch wants each frame at once; under mu, so it must
	// not call back.
	onUrgency func(urgent bool)
	keep      int // bytes of frames since the last key frame to keep for branches that join

	// mu is held while a live frame is pushed, so that who joins gets each frame once. Locks are
	// taken in the order tee, queue, alarm.
	mu       sync.Mutex
	waits    bool     // the source can be held back: Push may block, and lets go of mu first
	branches []*Queue // replaced, never changed in place
	urgent   bool
	tail     []hal.Frame
	kept     int
}

// NewTee returns a tee without branches. It keeps up to keep bytes of what came since the last
// key frame, for branches that join in between; 0 keeps nothing.
func NewTee(keep int) *Tee { return &Tee{keep: keep} }

// Push hands f to every branch and takes its reference.
func (t *Tee) Push(f hal.Frame) error {
	t.mu.Lock()
	t.remember(f)
	if t.waits {
		branches := t.branches
		t.mu.Unlock()
		handOut(f, branches)
		return nil
	}
	defer t.mu.Unlock()
	handOut(f, t.branches)
	return nil
}

func handOut(f hal.Frame, branches []*Queue) {
	for _, q := range branches {
		_ = q.Push(f.Retain()) //nolint:errcheck // a branch that has closed is leaving
	}
	f.Release()
}

// pushInPlace is Push for a worker that works on a live frame itself where a branch lends it its
// queue. It does so when the others have theirs, and without mu.
func (t *Tee) pushInPlace(f hal.Frame) error {
	t.mu.Lock()
	if t.waits {
		t.mu.Unlock()
		return t.Push(f)
	}
	t.remember(f)
	lent := make([]*Queue, 0, 4)
	for _, q := range t.branches {
		if len(lent) < cap(lent) && q.lend() {
			lent = append(lent, q)
			continue
		}
		_ = q.Push(f.Retain()) //nolint:errcheck // a branch that has closed is leaving
	}
	t.mu.Unlock()
	for _, q := range lent {
		q.inPlace(f.Retain())
	}
	f.Release()
	return nil
}

// setWaits says what kind of source comes next.
func (t *Tee) setWaits(waits bool) {
	t.mu.Lock()
	t.waits = waits
	t.mu.Unlock()
}

// mark tells every branch that the source's run ended here.
func (t *Tee) mark() {
	t.mu.Lock()
	t.forget()
	branches := t.branches
	t.mu.Unlock()
	for _, q := range branches {
		q.mark(RunEnded)
	}
}

// remember keeps a reference to what a branch that joins needs: everything since the last key
// frame, while it is not too much. The caller holds mu.
func (t *Tee) remember(f hal.Frame) {
	video := f.Stream.Video()
	if t.keep == 0 || video < 0 || f.Stream.Tracks[video].Codec == hal.Raw {
		return
	}
	if f.Track == video && f.Key {
		t.forget()
	} else if len(t.tail) == 0 || t.tail[0].Stamp.Run != f.Stamp.Run || f.Gap {
		t.forget()
		return
	}
	if t.kept+f.Buf.Len() > t.keep {
		t.forget()
		return
	}
	if len(t.tail) == cap(t.tail) { // append would take up to twice what is needed, for every channel
		t.tail = append(make([]hal.Frame, 0, cap(t.tail)+tailStep), t.tail...)
	}
	t.tail = append(t.tail, f.Retain())
	t.kept += f.Buf.Len()
}

// tailStep is by how many frames what is kept grows.
const tailStep = 32

func (t *Tee) forget() {
	for i := range t.tail {
		t.tail[i].Release()
		t.tail[i] = hal.Frame{}
	}
	t.tail, t.kept = t.tail[:0], 0
}

// Join adds a branch. It gets what was kept since the last key frame before anything else.
func (t *Tee) Join(q *Queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Contains(t.branches, q) {
		return
	}
	q.preload(t.tail)
	t.branches = append(slices.Clone(t.branches), q)
	t.tellUrgency()
}

// Leave takes a branch out; nothing is pushed to it once the frame under way is.
func (t *Tee) Leave(q *Queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.branches = slices.DeleteFunc(slices.Clone(t.branches), func(b *Queue) bool { return b == q })
	t.tellUrgency()
}

func (t *Tee) tellUrgency() {
	urgent := slices.ContainsFunc(t.branches, func(q *Queue) bool { return q.limit.WakeAge == 0 })
	if urgent != t.urgent {
		t.urgent = urgent
		if t.onUrgency != nil {
			t.onUrgency(urgent)
		}
	}
}

// Close ends every branch's stream and forgets what was kept.
func (t *Tee) Close() {
	t.mu.Lock()
	t.forget()
	branches := t.branches
	t.branches = nil
	t.mu.Unlock()
	for _, q := range branches {
		q.Close()
	}
}
