package encode_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// fake is an encoder that does as it is told: it keeps some pictures before it yields the first,
// and fails when it is to.
type fake struct {
	name      string
	rank      int
	hardware  bool
	inputs    []hal.PixelFormat
	delay     int
	failOpen  error
	failWrite int // the write that fails, counted from 1
	failRead  int // the frame that is not read
	full      func()

	opened int
	got    []hal.Track
}

// fakes is their driver.
type fakes struct {
	list   []*fake
	listed int // times that somebody looked what there is
}

func (d *fakes) Name() string { return "fakes" }

func (d *fakes) Encoders(context.Context) ([]hal.EncoderInfo, error) {
	d.listed++
	var infos []hal.EncoderInfo
	for _, f := range d.list {
		infos = append(infos, hal.EncoderInfo{Name: f.name, Codec: hal.H264, Rank: f.rank, Hardware: f.hardware, Inputs: f.inputs})
	}
	return infos, nil
}

func (d *fakes) OpenEncoder(_ context.Context, name string, cfg hal.EncoderConfig) (hal.Encoder, error) {
	for _, f := range d.list {
		if f.name != name {
			continue
		}
		if f.failOpen != nil {
			return nil, f.failOpen
		}
		f.opened++
		f.got = append(f.got, cfg.Input)
		tr := hal.Track{Codec: hal.H264, TimeScale: 90000, Width: cfg.Input.Width, Height: cfg.Input.Height, SPS: []byte(name)}
		e := &fakeEncoder{fake: f, cfg: cfg, stream: &hal.Stream{Tracks: []hal.Track{tr}}}
		e.change = sync.NewCond(&e.mu)
		return e, nil
	}
	return nil, fmt.Errorf("%w: %s", hal.ErrNoDevice, name)
}

type fakeEncoder struct {
	*fake
	cfg    hal.EncoderConfig
	stream *hal.Stream

	mu     sync.Mutex
	change *sync.Cond
	in     []hal.Frame
	writes int
	reads  int
	ended  bool
	closed bool
}

var errFake = errors.New("the fake is told to fail")

func (e *fakeEncoder) Write(ctx context.Context, f hal.Frame) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { e.mu.Lock(); e.change.Broadcast(); e.mu.Unlock() })
	defer stop()
	e.writes++
	if e.writes == e.failWrite {
		f.Release()
		return errFake
	}
	for len(e.in) >= 8 && !e.closed && ctx.Err() == nil {
		if e.full != nil {
			go e.full()
			e.full = nil
		}
		e.change.Wait()
	}
	if e.closed || ctx.Err() != nil {
		f.Release()
		return errors.Join(errFake, ctx.Err())
	}
	e.in = append(e.in, f)
	e.change.Broadcast()
	return nil
}

func (e *fakeEncoder) Read(ctx context.Context) (hal.Frame, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { e.mu.Lock(); e.change.Broadcast(); e.mu.Unlock() })
	defer stop()
	for !e.closed && ctx.Err() == nil && len(e.in) <= e.delay && (!e.ended || len(e.in) == 0) {
		if e.ended && len(e.in) == 0 {
			return hal.Frame{}, io.EOF
		}
		e.change.Wait()
	}
	if e.closed || ctx.Err() != nil {
		return hal.Frame{}, errors.Join(errFake, ctx.Err())
	}
	e.reads++
	if e.reads == e.failRead {
		return hal.Frame{}, errFake
	}
	f := e.in[0]
	e.in = e.in[1:]
	e.change.Broadcast()
	out, err := e.cfg.Arena.Get(16)
	if err != nil {
		return hal.Frame{}, err
	}
	f.Buf.Release()
	return hal.Frame{Buf: out, Stream: e.stream, Stamp: f.Stamp, Gap: f.Gap, Key: e.reads == 1, EncodeBegin: 1, EncodeEnd: 2}, nil
}

func (e *fakeEncoder) RequestKeyFrame() {}

func (e *fakeEncoder) CloseInput() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	e.change.Broadcast()
}

func (e *fakeEncoder) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, f := range e.in {
		f.Release()
	}
	e.in = nil
	e.change.Broadcast()
	return nil
}
