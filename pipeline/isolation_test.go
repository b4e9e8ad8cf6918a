package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
)

// breakable is a synthetic camera whose cable a test can pull.
type breakable struct {
	hal.Source
	cable *cable
}

type cable struct{ out atomic.Bool }

func (c *cable) String() string { return "synth://?codec=raw" }
func (c *cable) Check() error   { return nil }

func (c *cable) Open(ctx context.Context, opts hal.Options) (hal.Source, error) {
	if c.out.Load() {
		return nil, fmt.Errorf("cable: %w", hal.ErrNoDevice)
	}
	u, err := url.Parse("synth://?size=160x112&rate=25&codec=raw&audio=none")
	if err != nil {
		return nil, err
	}
	opts.Buffers = 64
	src, err := synth.Driver{}.Open(ctx, u, opts)
	return &breakable{src, c}, err
}

func (b *breakable) Read(ctx context.Context) (hal.Frame, error) {
	if b.cable.out.Load() {
		return hal.Frame{}, fmt.Errorf("cable: %w", hal.ErrNoSignal)
	}
	return b.Source.Read(ctx)
}

// reader reads the burnt-in numbers of the pictures it gets.
type reader struct {
	sink
	work func(n uint32) error

	seen []seen
}

type seen struct {
	run    uint32
	number uint32
	gap    bool
}

func (r *reader) Work(_ context.Context, f hal.Frame) error {
	defer f.Release()
	t := f.Info()
	n, ok := synth.ReadNumber(f.Buf.Bytes(), t.Layout.Planes[0].Stride, t.Width, t.Height)
	if !ok {
		return errors.New("a picture without its number")
	}
	r.mu.Lock()
	r.seen = append(r.seen, seen{f.Stamp.Run, n, f.Gap})
	r.mu.Unlock()
	if r.work != nil {
		return r.work(n)
	}
	return nil
}

func (r *reader) all() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]seen(nil), r.seen...)
}

// P1, P8: of eight channels one loses its source, one has a stage that panics and one a sink
// that blocks. The other five keep every picture; the three come back, each with its cause.
func TestOneChannelCannotHurtAnother(t *testing.T) {
	seconds := time.Duration(trials(3, 60)) * time.Second
	r := newRig(pipeline.Config{})
	defer func() { require.NoError(t, r.Exit(t.Context())) }()
	pulled := &cable{}
	block := make(chan struct{})
	var once sync.Once
	panics := func(n uint32) error {
		if n == 20 {
			once.Do(func() { panic("a bug in a stage") })
		}
		return nil
	}
	blocks := func(n uint32) error {
		if n == 20 {
			<-block
		}
		return nil
	}
	var channels []*pipeline.Channel
	var readers []*reader
	for i := range 8 {
		cam, rd := &cable{}, &reader{sink: sink{name: "reader"}}
		switch i {
		case 5:
			cam = pulled
		case 6:
			rd.work = panics
		case 7:
			rd.work = blocks
		}
		ch := add(t, r, pipeline.Define(fmt.Sprintf("cam%d", i), from(cam)).
			Branch("reader", pipeline.Limit{Frames: 48, Full: pipeline.DropOldest}, rd))
		require.NoError(t, ch.Start())
		channels, readers = append(channels, ch), append(readers, rd)
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		require.Eventually(t, ok, time.Minute+2*seconds, 20*time.Millisecond, what)
	}
	until("pictures flow", func() bool { return len(readers[0].all()) > 25 })
	pulled.out.Store(true)
	until("the pulled one waits", func() bool { return channels[5].State() == pipeline.Waiting })
	require.Contains(t, channels[5].Status().Cause, "no signal")
	until("the panic is known", func() bool { return channels[6].Status().Stages[1].Restarts == 1 })
	require.Contains(t, channels[6].Status().Stages[1].Cause, "panic: a bug in a stage")
	until("the blocked one drops its own", func() bool { return channels[7].Status().Queues[0].Dropped["full"] > 0 })
	mark := len(readers[0].all())
	until("the others go on", func() bool { return len(readers[0].all()) > mark+int(seconds/frameTime) })
	failed := channels[5].Status().Sources[0].Failed
	pulled.out.Store(false)
	close(block)
	for i := 5; i < 8; i++ {
		was := len(readers[i].all())
		until("it comes back", func() bool { return len(readers[i].all()) > was+25 && channels[i].State() == pipeline.Running })
	}
	require.LessOrEqual(t, channels[5].Status().Sources[0].Failed, failed+1, "it came back at the first try after its return, or the next")
	for i := range 5 {
		for k, s := range readers[i].all() {
			require.Equal(t, seen{1, uint32(k), false}, s, "channel %d", i)
		}
	}
	require.Greater(t, readers[5].all()[len(readers[5].all())-1].run, uint32(1))
}
