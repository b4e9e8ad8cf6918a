//go:build hil

package hil_test

import (
	"context"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/encode"
)

// The frames that inspector looks at: what comes before is the warming up. They are windows of
// equal length. What a frame allocates is in each of them; what the runtime allocates now and then,
// such as one more thread on a busy machine, is not.
const (
	inspectFrom = 50
	inspectEach = 50
	inspectTo   = inspectFrom + 3*inspectEach
)

// inspector is an encoder that encodes nothing, but looks where the pictures lie that it gets, and
// how much the whole process allocates meanwhile.
type inspector struct {
	t      *testing.T
	dev    string
	input  hal.PixelFormat
	stream *hal.Stream
	output *pool.Buffers
	out    chan hal.Frame
	closed chan struct{}
	done   chan struct{} // closed after inspectTo
	once   sync.Once

	frames   int
	places   []uintptr // known to be the device's
	copied   int       // planes that were elsewhere
	mallocs  []uint64  // of the process at the windows' ends
	from, to int64     // the marks of the first and the last frame looked at
}

func newInspector(t *testing.T, dev string, input hal.PixelFormat) *inspector {
	t.Helper()
	output, err := pool.NewBuffers(16, 16)
	require.NoError(t, err)
	return &inspector{
		t: t, dev: dev, input: input, output: output, mallocs: make([]uint64, 0, 4),
		out: make(chan hal.Frame, 4), closed: make(chan struct{}), done: make(chan struct{}),
	}
}

func (*inspector) Name() string { return "inspector" }

func (i *inspector) Encoders(context.Context) ([]hal.EncoderInfo, error) {
	return []hal.EncoderInfo{{Name: i.Name(), Codec: hal.MJPEG, Inputs: []hal.PixelFormat{i.input}, Rank: 1000}}, nil
}

func (i *inspector) OpenEncoder(_ context.Context, _ string, cfg hal.EncoderConfig) (hal.Encoder, error) {
	i.stream = &hal.Stream{Tracks: []hal.Track{{Codec: hal.MJPEG, TimeScale: 90000, Width: cfg.Input.Width, Height: cfg.Input.Height}}}
	return i, nil
}

func (i *inspector) Write(ctx context.Context, f hal.Frame) error {
	i.inspect(f)
	f.Release()
	b, err := i.output.Take(ctx)
	if err != nil {
		return err
	}
	out := hal.Frame{Buf: b, Stream: i.stream, Stamp: f.Stamp, Gap: f.Gap, Key: true}
	select {
	case i.out <- out:
		return nil
	case <-i.closed:
	case <-ctx.Done():
	}
	out.Release()
	return io.ErrClosedPipe
}

func (i *inspector) inspect(f hal.Frame) {
	for p := range f.Buf.Planes() {
		at := uintptr(unsafe.Pointer(unsafe.SliceData(f.Buf.Plane(p))))
		switch {
		case slices.Contains(i.places, at):
		case i.frames < inspectFrom && isMapped(mappings(i.t), i.dev, f.Buf.Plane(p)):
			i.places = append(i.places, at)
		default:
			i.copied++
		}
	}
	i.frames++
	if past := i.frames - inspectFrom; past < 0 || past%inspectEach != 0 || i.frames > inspectTo {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	i.mallocs = append(i.mallocs, m.Mallocs)
	switch i.frames {
	case inspectFrom:
		i.from = f.Stamp.Mono
	case inspectTo:
		i.to = f.Stamp.Mono
		close(i.done)
	}
}

// leastMallocs is of the window with the fewest allocations.
func (i *inspector) leastMallocs() uint64 {
	least := i.mallocs[1] - i.mallocs[0]
	for n := range len(i.mallocs) - 1 {
		least = min(least, i.mallocs[n+1]-i.mallocs[n])
	}
	return least
}

func (i *inspector) Read(ctx context.Context) (hal.Frame, error) {
	select {
	case f, ok := <-i.out:
		if !ok {
			return hal.Frame{}, io.EOF
		}
		return f, nil
	case <-i.closed:
		return hal.Frame{}, io.ErrClosedPipe
	case <-ctx.Done():
		return hal.Frame{}, ctx.Err()
	}
}

func (*inspector) RequestKeyFrame() {}
func (i *inspector) CloseInput()    { close(i.out) }

func (i *inspector) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}

// drain is a branch that lets everything go.
type drain struct{}

func (drain) Name() string                              { return "drain" }
func (drain) Open(context.Context, pipeline.Env) error  { return nil }
func (drain) Work(_ context.Context, f hal.Frame) error { f.Release(); return nil }
func (drain) Flush(context.Context) error               { return nil }
func (drain) Close() error                              { return nil }

// P3: from the driver's buffer to the encoder's input no picture is copied, and in the steady
// state the whole channel allocates nothing a frame.
func TestFromTheDriverToTheEncoder(t *testing.T) {
	single, multi := cameras(t)
	for _, tc := range []struct {
		name, dev string
		format    hal.PixelFormat
	}{
		{"single-planar", single, hal.NV12},
		{"multi-planar", multi, hal.NM12},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nothingLeft(t)
			look := newInspector(t, tc.dev, tc.format)
			reg := hal.NewRegistry(v4l2.Driver{}, look)
			eng := pipeline.NewEngine(pipeline.Config{})
			ch, err := eng.Add(pipeline.Define("cam", acquire.From(reg, "v4l2://"+tc.dev+"?size=320x180&rate=50&format="+tc.format.String()),
				encode.To(reg, hal.MJPEG, encode.Config{})).
				Branch("drain", pipeline.Limit{Full: pipeline.DropOldest}, drain{}))
			require.NoError(t, err)
			require.NoError(t, ch.Start())
			select {
			case <-look.done:
			case <-time.After(4 * patience):
				t.Errorf("%d frames of %d: %+v", look.frames, inspectTo, ch.Status())
			}
			require.NoError(t, eng.Exit(t.Context()))
			require.GreaterOrEqual(t, look.frames, inspectTo)
			figure(t, "%.1f fps, %d allocations in %d frames in the whole channel, %d copies",
				(inspectTo-inspectFrom)*1e9/float64(look.to-look.from), look.leastMallocs(), inspectEach, look.copied)
			require.Zero(t, look.copied)
			require.Zero(t, look.leastMallocs())
		})
	}
}
