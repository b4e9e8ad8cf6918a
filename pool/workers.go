package pool

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"
)

var (
	// ErrNoWorkers says that the pool has no share of the asked size left (P4: Init fails).
	ErrNoWorkers = errors.New("no workers left")
	// ErrShareUsedUp says that every worker of a share is busy.
	ErrShareUsedUp = errors.New("all workers of the share are busy")
	// ErrClosed says that the pool or the share was given back.
	ErrClosed = errors.New("workers are closed")
)

// slack is how many workers the ants pool has above the sum of all shares: at exact capacity
// it refuses now and then although a task has just ended.
const slack = 16

// Pool is the engine's worker threads. Every channel reserves its share of them.
type Pool struct {
	ants *ants.Pool
	max  int

	mu       sync.Mutex
	reserved int
	closed   bool
}

// NewPool makes a pool of at most max workers; 0 means 65,536. Threads start when they are
// first needed.
func NewPool(limit int) (*Pool, error) {
	if limit < 0 {
		return nil, fmt.Errorf("a pool of %d workers", limit)
	}
	if limit == 0 {
		limit = 1 << 16
	}
	p, err := ants.NewPool(slack, ants.WithNonblocking(true), ants.WithExpiryDuration(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("start the worker pool: %w", err)
	}
	return &Pool{ants: p, max: limit}, nil
}

// Reserve sets n workers aside, or fails with ErrNoWorkers.
func (p *Pool) Reserve(n int) (*Workers, error) {
	if n < 1 {
		return nil, fmt.Errorf("a share of %d workers", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if p.reserved+n > p.max {
		return nil, fmt.Errorf("%w: %d wanted, %d of %d reserved", ErrNoWorkers, n, p.reserved, p.max)
	}
	p.reserved += n
	p.ants.Tune(p.reserved + slack)
	w := &Workers{pool: p, share: n}
	w.idle = sync.NewCond(&w.mu)
	return w, nil
}

func (p *Pool) giveBack(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reserved -= n
	if !p.closed {
		p.ants.Tune(p.reserved + slack)
	}
}

// Reserved returns how many workers are set aside.
func (p *Pool) Reserved() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reserved
}

// Close ends the threads, waiting up to the timeout for those that still work.
func (p *Pool) Close(timeout time.Duration) error {
	p.mu.Lock()
	was := p.closed
	p.closed = true
	p.mu.Unlock()
	if was {
		return nil
	}
	if err := p.ants.ReleaseTimeout(timeout); err != nil {
		return fmt.Errorf("stop the worker pool: %w", err)
	}
	return nil
}

// PanicError is a panic in a job, with the stack where it happened.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Workers is a share of a Pool: a channel's own threads, which nobody else can use up.
type Workers struct {
	pool  *Pool
	share int

	mu      sync.Mutex
	idle    *sync.Cond
	running int
	closed  bool
}

// Go runs job on a worker of the share and then hands its error to done, on the same thread;
// done may be nil. A panic arrives there as a *PanicError. Go never waits: where every
// worker is busy it fails with ErrShareUsedUp. The worker is free again by the time done is
// called, so that whoever hears of the end there can start the next job.
func (w *Workers) Go(job func() error, done func(error)) error {
	if err := w.enter(); err != nil {
		return err
	}
	task := func() {
		t := Thread{}
		err := run(&t, func(*Thread) error { return job() })
		w.finish(done, err)
	}
	return w.submit(task)
}

// GoThread is Go for a job that owns its OS thread, to give it a priority. Where the job
// changed the thread it says so, and the thread ends with it.
func (w *Workers) GoThread(job func(t *Thread) error, done func(error)) error {
	if err := w.enter(); err != nil {
		return err
	}
	task := func() {
		t := Thread{}
		err := run(&t, job)
		w.finish(done, err)
		if t.spoiled {
			runtime.Goexit() // still locked: the thread dies with its goroutine
		}
	}
	return w.submit(task)
}

func (w *Workers) submit(task func()) error {
	if err := w.pool.ants.Submit(task); err != nil {
		w.leave()
		return fmt.Errorf("start a worker: %w", err)
	}
	return nil
}

func (w *Workers) finish(done func(error), err error) {
	w.leave()
	if done != nil {
		done(err)
	}
}

func run(t *Thread, job func(*Thread) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return job(t)
}

func (w *Workers) enter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	if w.running == w.share {
		return fmt.Errorf("%w (%d)", ErrShareUsedUp, w.share)
	}
	w.running++
	return nil
}

func (w *Workers) leave() {
	w.mu.Lock()
	w.running--
	last := w.running == 0
	if last {
		w.idle.Broadcast()
	}
	closed := w.closed
	w.mu.Unlock()
	if last && closed {
		w.pool.giveBack(w.share)
	}
}

// Running returns how many workers of the share are busy.
func (w *Workers) Running() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

// Wait returns when no worker of the share is busy.
func (w *Workers) Wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.running > 0 {
		w.idle.Wait()
	}
}

// Close gives the share back as soon as its last worker is done; it does not wait for that.
// No further job starts.
func (w *Workers) Close() {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	idle := w.running == 0
	w.mu.Unlock()
	if first && idle {
		w.pool.giveBack(w.share)
	}
}
