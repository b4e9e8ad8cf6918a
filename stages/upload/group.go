package upload

import (
	"context"
	"io"
	"os"
	"time"
)

// Object is what is to be uploaded.
type Object struct {
	Key         string
	ContentType string
	Body        *io.SectionReader // stays valid until the result is there; of what is cancelled an attempt may still read a moment later. One of a file does not count towards the memory that waits
	Time        time.Time         // its time stamp, for the result
	Class       Class
}

// memory is how many bytes of memory an object keeps: none where its body is a file's.
func (o Object) memory() int64 {
	of, _, _ := o.Body.Outer()
	if _, file := of.(*os.File); file {
		return 0
	}
	return o.Body.Size()
}

// Result is what became of an object.
type Result struct {
	Key      string
	Time     time.Time // the object's time stamp
	URL      string    // the plain one, without credentials; empty where the upload failed
	Done     time.Time // when that was known
	Attempts int
	Err      error // why it failed; nil: it is in the store
}

// GroupState is how far a group is.
type GroupState struct {
	Objects  int
	Waiting  int // for their first attempt
	Running  int
	Retrying int // wait for another attempt
	Uploaded int
	Failed   int
	Sealed   bool // no further object comes
}

// Done says whether every object has its result and none follows.
func (s GroupState) Done() bool { return s.Sealed && s.Uploaded+s.Failed == s.Objects }

// Group is the handle of objects that are uploaded in parallel and whose results keep their
// order (U1). Its methods are safe for concurrent use.
type Group struct {
	up   *Uploader
	done chan struct{}

	// The uploader's mu guards what follows.
	items  []*item
	state  GroupState
	follow []func([]Result)
	closed bool
}

// item is one object on its way.
type item struct {
	Object
	group    *Group
	seq      uint64
	result   Result
	due      int64 // Mono of the next attempt
	index    int   // in its heap
	stage    stage
	admitted bool               // it counts towards what waits
	cancel   context.CancelFunc // of the attempt under way
}

// stage is where an item is.
type stage uint8

const (
	waiting stage = iota
	running
	retrying
	finished
)

// Group returns an empty handle; Add fills it, Seal ends it. Submit is all of it at once.
func (u *Uploader) Group() *Group { return &Group{up: u, done: make(chan struct{})} }

// Submit hands objects over and returns their handle at once.
func (u *Uploader) Submit(objects ...Object) *Group {
	g := u.Group()
	for _, o := range objects {
		g.Add(o)
	}
	g.Seal()
	return g
}

// Add hands an object over and returns at once. One that the uploader does not take, because too
// much waits or it has exited, has its result at once. After Seal it panics.
func (g *Group) Add(o Object) {
	u := g.up
	u.mu.Lock()
	defer u.mu.Unlock()
	if g.state.Sealed {
		panic("upload: Add to a group that is sealed")
	}
	u.seq++
	it := &item{Object: o, group: g, seq: u.seq, result: Result{Key: o.Key, Time: o.Time}}
	g.items = append(g.items, it)
	g.state.Objects++
	g.state.Waiting++
	if err := u.admit(it); err != nil {
		u.finish(it, err)
		return
	}
	u.push(it)
	u.dispatch()
}

// Seal says that no object follows.
func (g *Group) Seal() {
	g.up.mu.Lock()
	defer g.up.mu.Unlock()
	g.state.Sealed = true
	g.up.conclude(g)
}

// State returns how far the group is.
func (g *Group) State() GroupState {
	g.up.mu.Lock()
	defer g.up.mu.Unlock()
	return g.state
}

// Done is closed when every object has its result.
func (g *Group) Done() <-chan struct{} { return g.done }

// Wait returns the results in the order of the objects when all are there, or the error of ctx.
// That some failed is no error: each names its own.
func (g *Group) Wait(ctx context.Context) ([]Result, error) {
	select {
	case <-g.done:
		return g.Results(), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Results returns what is known now, in the order of the objects. A result without Done is open.
func (g *Group) Results() []Result {
	g.up.mu.Lock()
	defer g.up.mu.Unlock()
	return g.results()
}

func (g *Group) results() []Result {
	all := make([]Result, 0, len(g.items))
	for _, it := range g.items {
		all = append(all, it.result)
	}
	return all
}

// Then has next called with the results when all are there, on one of the uploader's workers;
// follow-ups of one group come in the order of the calls. Next must not wait for uploads.
func (g *Group) Then(next func([]Result)) {
	g.up.mu.Lock()
	defer g.up.mu.Unlock()
	g.follow = append(g.follow, next)
	g.up.conclude(g)
}

// Cancel gives up every object that has no result yet: it fails with ErrLeft.
func (g *Group) Cancel() {
	g.up.mu.Lock()
	defer g.up.mu.Unlock()
	for _, it := range g.items {
		g.up.abandon(it)
	}
	g.state.Sealed = true
	g.up.conclude(g)
	g.up.dispatch()
}
