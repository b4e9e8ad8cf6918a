package bench

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/encode"
)

// stillCount is how many different pictures there are.
const stillCount = 8

// stillEvery is the time from one picture to the next, by their stamps.
const stillEvery = 40 * time.Millisecond

// stills are raw pictures that were rendered beforehand. Their bytes are shared and never written to.
type stills struct {
	stream *hal.Stream
	all    []pool.Buffer
}

// render takes pictures from a synthetic camera.
func render(ctx context.Context, reg *hal.Registry, size encode.Size) (*stills, error) {
	src, err := reg.Open(ctx, fmt.Sprintf("synth://?codec=raw&pixel=yuyv&audio=none&pace=fast&size=%dx%d&frames=%d", size.Width, size.Height, stillCount), hal.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }() //nolint:errcheck // all is read
	s := &stills{stream: src.Stream()}
	var room *pool.Buffers
	for range stillCount {
		f, err := src.Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("render: %w", err)
		}
		if room == nil {
			room, err = pool.NewBuffers(stillCount, f.Buf.Len())
		}
		if err == nil {
			var b pool.Buffer
			b, err = room.Take(ctx)
			if err == nil {
				copy(b.Bytes(), f.Buf.Bytes())
				s.all = append(s.all, b)
			}
		}
		f.Release()
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stills) release() {
	for _, b := range s.all {
		b.Release()
	}
}

// stillCandidate is a source of the pictures, over and over for a while, as fast as they are taken.
type stillCandidate struct {
	stills *stills
	least  int // pictures, however long they take
	span   time.Duration
}

func (*stillCandidate) String() string { return "stills" }

// Check implements pipeline.Candidate.
func (*stillCandidate) Check() error { return nil }

// Open implements pipeline.Candidate.
func (c *stillCandidate) Open(context.Context, hal.Options) (hal.Source, error) {
	return &stillSource{stills: c.stills, least: c.least, span: c.span, clock: hal.NewClock()}, nil
}

// stillSource implements hal.Source. It can be held back.
type stillSource struct {
	*stills

	least int
	span  time.Duration
	clock *hal.Clock
	began int64
	n     int
}

// Stream implements hal.Source.
func (s *stillSource) Stream() *hal.Stream { return s.stream }

// Live implements hal.Source.
func (*stillSource) Live() bool { return false }

// Read implements hal.Source.
func (s *stillSource) Read(ctx context.Context) (hal.Frame, error) {
	if ctx.Err() != nil {
		return hal.Frame{}, context.Cause(ctx)
	}
	now := s.clock.Mono()
	if s.n == 0 {
		s.began = now
	}
	if s.n >= s.least && now-s.began >= int64(s.span) {
		return hal.Frame{}, io.EOF
	}
	at := time.Duration(s.n) * stillEvery
	f := hal.Frame{Buf: s.all[s.n%stillCount].Retain(), Stream: s.stream, Key: true, Stamp: hal.Stamp{DTS: at, PTS: at, Mono: now}}
	s.n++
	return f, nil
}

// Close implements hal.Source.
func (*stillSource) Close() error { return nil }

// checker is a branch that sees whether each frame is the one that is due, and how fast they come.
type checker struct {
	turn

	want     map[int]uint32 // a picture's sum, by its number; nil: it is learnt
	skip     int            // frames that come before the count begins: the encoder is opened, and each worker gets into step
	clock    *hal.Clock
	first    int64
	cpuFirst time.Duration
	n        int
	done     chan struct{} // closed when the source's run is over
	ended    bool
}

var _ pipeline.Stage = (*checker)(nil)

// Name implements pipeline.Stage.
func (*checker) Name() string { return "check" }

// Open implements pipeline.Stage.
func (*checker) Open(context.Context, pipeline.Env) error { return nil }

// Work implements pipeline.Stage.
func (c *checker) Work(_ context.Context, f hal.Frame) error {
	defer f.Release()
	now := c.clock.Mono()
	switch {
	case c.n < c.skip:
	case c.n == c.skip: // where the count begins
		c.first, c.cpuFirst = now, hal.CPUTime()
	default:
		c.frames++
		c.bytes += f.Buf.Len()
		c.took, c.cpu = time.Duration(now-c.first), hal.CPUTime()-c.cpuFirst
	}
	still := c.n % stillCount
	sum := crc32.ChecksumIEEE(f.Buf.Bytes())
	if want, ok := c.want[still]; ok && want != sum || f.Stamp.PTS != time.Duration(c.n)*stillEvery {
		c.wrong++
	}
	if c.seen == nil {
		c.seen = map[int]uint32{}
	}
	c.seen[still] = sum
	c.n++
	return nil
}

// Flush implements pipeline.Stage: the run is over.
func (c *checker) Flush(context.Context) error {
	if !c.ended {
		c.ended = true
		close(c.done)
	}
	return nil
}

// Close implements pipeline.Stage.
func (*checker) Close() error { return nil }
