package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

const (
	kib  = 1 << 10
	mono = 51200 * time.Millisecond // a multiple of every interval in these tests
)

// tap is a live source that gives what the test pushes and may be silent for long.
type tap struct {
	ledger *ledger
	frames chan hal.Frame
}

func newTap() *tap {
	l := newLedger(hal.H264, hal.AAC)
	l.stream.Tracks[0].FrameRate = 0.0001 // silent for a day without being stalled
	return &tap{ledger: l, frames: make(chan hal.Frame)}
}

func (p *tap) String() string                                        { return "tap://" }
func (p *tap) Check() error                                          { return nil }
func (p *tap) Open(context.Context, hal.Options) (hal.Source, error) { return p, nil }
func (p *tap) Stream() *hal.Stream                                   { return p.ledger.stream }
func (p *tap) Live() bool                                            { return true }
func (p *tap) Close() error                                          { return nil }
func (p *tap) Read(ctx context.Context) (hal.Frame, error) {
	select {
	case f := <-p.frames:
		return f, nil
	case <-ctx.Done():
		return hal.Frame{}, context.Cause(ctx)
	}
}

// recorder is a sink as a recorder is one: it learns of marks and of the end of each batch, and
// takes its time where told.
type recorder struct {
	*sink
	batches atomic.Int32
	stuck   atomic.Pointer[chan struct{}]
}

func (r *recorder) Mark(ctx context.Context, m pipeline.Mark) error {
	return marked{r.sink}.Mark(ctx, m)
}
func (r *recorder) EndBatch(context.Context) error { r.batches.Add(1); return nil }

func (r *recorder) Work(_ context.Context, f hal.Frame) error {
	if hold := r.stuck.Load(); hold != nil {
		<-*hold
	}
	if f.Gap {
		r.write("*")
	}
	r.write(string(f.Buf.Bytes()[:1]))
	if size := f.Buf.Len(); size >= 512*kib {
		r.write(fmt.Sprintf("(%d)", size))
	}
	f.Release()
	return nil
}

// ringRig is a channel whose only branch has a ring, at a time at which every interval is read.
type ringRig struct {
	t    *testing.T
	ch   *pipeline.Channel
	tap  *tap
	disk *recorder
}

// smallRing starts at 64 KiB and ends at 1 MiB.
func smallRing() pipeline.Limit {
	return pipeline.Limit{Bytes: 1024 * kib, Growth: pipeline.Growth{Start: 64 * kib, Piece: 256 * kib}}
}

func onRing(t *testing.T, limit pipeline.Bound, test func(g *ringRig)) {
	t.Helper()
	bubble(t, pipeline.Config{}, func(t *testing.T, r *rig) {
		g := &ringRig{t: t, tap: newTap(), disk: &recorder{sink: &sink{name: "disk"}}}
		g.ch = add(t, r, pipeline.Define("gate", from(g.tap)).Branch("disk", limit, g.disk))
		wait(mono - time.Duration(g.disk.env.Clock.Mono())%mono)
		require.NoError(t, g.ch.Start())
		synctest.Wait()
		g.disk.got()
		test(g)
		balanced(t, g.ch.Status().Queues[0])
		require.NoError(t, g.ch.Exit(context.Background()))
		balanced(t, g.ch.Status().Queues[0])
		require.Zero(t, g.tap.ledger.held(), "frames never released")
	})
}

// push gives the source a frame of that many bytes: upper case is a key frame, a digit sound.
func (g *ringRig) push(letter rune, size int) {
	g.t.Helper()
	b, err := g.tap.ledger.arena.Get(size)
	require.NoError(g.t, err)
	f := g.tap.ledger.frame(letter)
	b.Bytes()[0] = byte(letter)
	f.Buf.Release()
	f.Buf, f.Stamp.Mono = b, g.disk.env.Clock.Mono()
	g.tap.frames <- f
	synctest.Wait()
}

func (g *ringRig) ring() pipeline.RingStats { return *g.ch.Status().Queues[0].Ring }

// flow pushes a frame every 40 ms for that long.
func (g *ringRig) flow(d time.Duration, size int) {
	for range d / frameTime {
		g.push('I', size)
		wait(frameTime)
	}
}

// changes are those of the capacity, in KiB, or the interval, in ms, and why.
func (g *ringRig) changes(of string) string {
	unit := map[string]float64{"capacity": kib, "interval": 1e-3}[of]
	var all []string
	for _, c := range g.ring().Changes {
		if c.Of == of {
			all = append(all, fmt.Sprintf("%g→%g %s", c.From/unit, c.To/unit, c.Cause))
		}
	}
	return strings.Join(all, "; ")
}

// hold makes the recorder's disk stand still until the returned call.
func (g *ringRig) hold() (release func()) {
	c := make(chan struct{})
	g.disk.stuck.Store(&c)
	return func() {
		g.disk.stuck.Store(nil)
		close(c)
		synctest.Wait()
	}
}
