package soft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// ErrClosed says that the encoder, or its input, was closed.
var ErrClosed = errors.New("encoder is closed")

// coder turns one picture into one frame's bytes. One goroutine at a time uses it.
type coder interface {
	// encode returns no buffer where the library made nothing of the picture.
	encode(p pixel.Picture, stamp hal.Stamp, key bool) (coded, error)
	close()
}

// coded is what became of a picture.
type coded struct {
	buf    pool.Buffer
	stream *hal.Stream
	key    bool
}

// job is one picture on its way through the encoder.
type job struct {
	raw, out hal.Frame
	gap      bool // a picture before this one was lost in here
	err      error
	done     chan struct{} // one token, when out or err is there
}

// encoder is the way in and out that all coders share. Jobs go round: free → Write → (todo →
// a worker) → order → Read → free; there are few, which is what makes a writer wait.
type encoder struct {
	cfg    hal.EncoderConfig
	name   string
	coders []coder // one for each picture at work at once
	key    atomic.Bool

	jobs        []*job
	free        chan *job
	todo, order chan *job

	closed   chan struct{}
	closing  sync.Once
	broken   chan struct{} // a worker fell; why says what happened
	breaking sync.Once
	why      error
	running  sync.WaitGroup // workers

	writing sync.Mutex // held by Write, CloseInput and Close for what follows
	input   *hal.Stream
	started int  // workers
	lost    bool // a picture since the last that was passed on
	ended   bool
	shut    bool

	reading sync.Mutex // held by Read, and Close, for what follows
	head    *job       // taken from order, not yet done when Read gave up
	hole    bool       // the last one read was an error
}

func newEncoder(o offer, cfg hal.EncoderConfig) (*encoder, error) {
	count := cfg.Parallel + 3
	e := &encoder{
		cfg: cfg, name: o.Name,
		free: make(chan *job, count), todo: make(chan *job, count), order: make(chan *job, count),
		closed: make(chan struct{}), broken: make(chan struct{}),
	}
	for range cfg.Parallel {
		c, err := o.open(cfg)
		if err != nil {
			e.closeCoders()
			return nil, err
		}
		e.coders = append(e.coders, c)
	}
	for range count {
		j := &job{done: make(chan struct{}, 1)}
		e.jobs = append(e.jobs, j)
		e.free <- j
	}
	return e, nil
}

// Write implements hal.Encoder.
func (e *encoder) Write(ctx context.Context, f hal.Frame) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := e.admit(f); err != nil {
		f.Release()
		return err
	}
	j, err := e.slot(ctx)
	if err != nil {
		f.Release()
		return err
	}
	j.raw, j.gap = f, e.lost
	e.lost = false
	if len(e.coders) == 1 {
		return e.inline(j)
	}
	e.order <- j
	e.todo <- j
	e.work()
	return nil
}

// admit says whether a picture is what the encoder was opened for.
func (e *encoder) admit(f hal.Frame) error {
	if e.ended || e.shut {
		return fmt.Errorf("write to %s: %w", e.name, ErrClosed)
	}
	if f.Stream == e.input {
		return nil
	}
	got, want := f.Info(), &e.cfg.Input
	if got.Codec != hal.Raw || got.Width != want.Width || got.Height != want.Height || got.Layout != want.Layout {
		return fmt.Errorf("%w: %s was opened for %s, the picture is %s", hal.ErrUnsupported, e.name, want, got)
	}
	e.input = f.Stream
	return nil
}

// slot waits for a job that is free.
func (e *encoder) slot(ctx context.Context) (*job, error) {
	select {
	case <-e.closed:
		return nil, fmt.Errorf("write to %s: %w", e.name, ErrClosed)
	case <-e.broken:
		return nil, e.why
	default:
	}
	select {
	case j := <-e.free:
		return j, nil
	case <-e.closed:
		return nil, fmt.Errorf("write to %s: %w", e.name, ErrClosed)
	case <-e.broken:
		return nil, e.why
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// inline encodes in the writer's own time.
func (e *encoder) inline(j *job) error {
	e.encode(j, e.coders[0])
	if err := j.err; err != nil || j.out.Buf.IsZero() {
		<-j.done
		j.err, e.lost = nil, true
		e.free <- j
		return err
	}
	e.order <- j
	return nil
}

// work sees to it that a worker takes what is in todo: one more as long as there may be more,
// the writer itself where none is to be had.
func (e *encoder) work() {
	if e.started < len(e.coders) {
		c := e.coders[e.started]
		e.running.Add(1)
		err := e.cfg.Workers.GoThread(func(t *pool.Thread) error {
			if nice := e.cfg.Nice; nice != 0 {
				_ = t.SetNice(nice) //nolint:errcheck // whoever asked for it has one too, and says that it is refused
			}
			return e.serve(c)
		}, e.left)
		if err == nil {
			e.started++
			return
		}
		e.running.Done()
	}
	if e.started == 0 {
		e.encode(<-e.todo, e.coders[0])
	}
}

// serve is a worker's loop.
func (e *encoder) serve(c coder) error {
	for j := range e.todo {
		select {
		case <-e.closed:
			return nil
		default:
		}
		e.encode(j, c)
	}
	return nil
}

// left is where a worker's end arrives.
func (e *encoder) left(err error) {
	if err != nil {
		e.breaking.Do(func() {
			e.why = fmt.Errorf("%s: %w", e.name, err)
			close(e.broken)
		})
	}
	e.running.Done()
}

// encode turns j's picture into its frame.
func (e *encoder) encode(j *job, c coder) {
	in := j.raw
	begin := e.cfg.Clock.Mono()
	p, err := pixel.View(in.Info(), in.Buf)
	var got coded
	if err == nil {
		got, err = c.encode(p, in.Stamp, e.key.Swap(false))
	}
	j.raw = hal.Frame{}
	in.Release()
	if err != nil {
		j.err = fmt.Errorf("%s: %w", e.name, err)
	} else if !got.buf.IsZero() {
		j.out = hal.Frame{
			Buf: got.buf, Stream: got.stream, Stamp: in.Stamp, Key: got.key, Gap: in.Gap || j.gap,
			EncodeBegin: begin, EncodeEnd: e.cfg.Clock.Mono(),
		}
	}
	j.done <- struct{}{}
	// Who works for 10 ms without a break, and is in C by then, has Go's monitor take its processor away
	// and look for more of that every 20 µs.
	runtime.Gosched()
}

// Read implements hal.Encoder.
func (e *encoder) Read(ctx context.Context) (hal.Frame, error) {
	e.reading.Lock()
	defer e.reading.Unlock()
	if err := e.next(ctx); err != nil {
		return hal.Frame{}, err
	}
	j := e.head
	e.head = nil
	f, err := j.out, j.err
	j.out, j.err = hal.Frame{}, nil
	e.free <- j
	f.Gap = f.Gap || e.hole
	e.hole = err != nil
	return f, err
}

// next makes head the oldest job, done.
func (e *encoder) next(ctx context.Context) error {
	select {
	case <-e.closed:
		return fmt.Errorf("read from %s: %w", e.name, ErrClosed)
	default:
	}
	if e.head == nil {
		select {
		case j, ok := <-e.order:
			if !ok {
				return io.EOF
			}
			e.head = j
		case <-e.closed:
			return fmt.Errorf("read from %s: %w", e.name, ErrClosed)
		case <-e.broken:
			return e.why
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case <-e.head.done:
		return nil
	case <-e.closed:
		return fmt.Errorf("read from %s: %w", e.name, ErrClosed)
	case <-e.broken:
		return e.why
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// RequestKeyFrame implements hal.Encoder.
func (e *encoder) RequestKeyFrame() { e.key.Store(true) }

// CloseInput implements hal.Encoder.
func (e *encoder) CloseInput() {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.end()
}

func (e *encoder) end() {
	if !e.ended {
		e.ended = true
		close(e.todo)
		close(e.order)
	}
}

// Close implements hal.Encoder. It waits for the pictures at work.
func (e *encoder) Close() error {
	e.closing.Do(func() { close(e.closed) })
	e.writing.Lock()
	defer e.writing.Unlock()
	e.reading.Lock()
	defer e.reading.Unlock()
	if e.shut {
		return nil
	}
	e.shut = true
	e.end()
	e.running.Wait()
	for _, j := range e.jobs {
		j.raw.Release()
		j.out.Release()
		j.raw, j.out = hal.Frame{}, hal.Frame{}
	}
	e.closeCoders()
	return nil
}

func (e *encoder) closeCoders() {
	for _, c := range e.coders {
		c.close()
	}
	e.coders = nil
}
