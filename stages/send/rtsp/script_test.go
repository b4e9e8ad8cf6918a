package rtsp_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// script is a camera that gives what the test tells it to.
type script struct {
	t      *testing.T
	clock  *hal.Clock
	arena  *pool.Arena
	stream *hal.Stream
	frames chan hal.Frame
	ends   chan struct{} // each makes the signal fail, and so the run end
	opened chan struct{}
}

func (*script) Name() string          { return "script" }
func (*script) Schemes() []string     { return []string{"script"} }
func (*script) Check(*url.URL) error  { return nil }
func (s *script) Stream() *hal.Stream { return s.stream }
func (*script) Live() bool            { return true }
func (*script) Close() error          { return nil }
func (s *script) Open(context.Context, *url.URL, hal.Options) (hal.Source, error) {
	select {
	case s.opened <- struct{}{}:
	default:
	}
	return s, nil
}

func (s *script) Read(ctx context.Context) (hal.Frame, error) {
	select {
	case f := <-s.frames:
		return f, nil
	case <-s.ends:
		return hal.Frame{}, hal.ErrNoSignal
	case <-ctx.Done():
		return hal.Frame{}, context.Cause(ctx)
	}
}

// scripted starts a channel from a camera that the test speaks for.
func (r *rig) scripted(name string, tracks ...hal.Track) (*script, *pipeline.Channel) {
	r.t.Helper()
	s := &script{
		t: r.t, clock: hal.NewClock(), arena: pool.NewArena(pool.ArenaConfig{}), stream: &hal.Stream{Tracks: tracks},
		frames: make(chan hal.Frame), ends: make(chan struct{}), opened: make(chan struct{}, 1),
	}
	ch, err := r.eng.Add(pipeline.Define(name, acquire.From(hal.NewRegistry(s), "script://")).
		Branch("live", rtsp.Limit(), r.server.Mount(name)))
	require.NoError(r.t, err)
	require.NoError(r.t, ch.Start())
	<-s.opened
	return s, ch
}

// frame makes a frame of a track.
func (s *script) frame(track int, at time.Duration, key bool, data []byte) hal.Frame {
	s.t.Helper()
	b, err := s.arena.Get(len(data))
	require.NoError(s.t, err)
	copy(b.Bytes(), data)
	return hal.Frame{Buf: b, Stream: s.stream, Track: track, Key: key, Stamp: hal.Stamp{DTS: at, PTS: at, Mono: s.clock.Mono()}}
}

// give delivers a frame.
func (s *script) give(track int, at time.Duration, key bool, data []byte) {
	s.t.Helper()
	select {
	case s.frames <- s.frame(track, at, key, data):
	case <-time.After(time.Minute):
		s.t.Fatal("nobody reads the camera")
	}
}

// nals puts NAL units behind their lengths.
func nals(units ...[]byte) []byte {
	var out []byte
	for _, u := range units {
		n := len(u)
		out = append(append(out, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), u...)
	}
	return out
}

// filled is n bytes that begin with head and go on so that no two pieces are alike.
func filled(n int, head ...byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8)*31 + byte(i) | 1
	}
	copy(b, head)
	return b
}

// repeat delivers what next says, for as long as the test runs, as a camera would in a hurry.
func (s *script) repeat(next func(n int) (track int, at time.Duration, key bool, data []byte)) {
	done, left := make(chan struct{}), make(chan struct{})
	s.t.Cleanup(func() { close(done); <-left })
	tick := time.NewTicker(2 * time.Millisecond)
	go func() {
		defer close(left)
		defer tick.Stop()
		for n := 0; ; n++ {
			f := s.frame(next(n))
			select {
			case s.frames <- f:
			case <-done:
				f.Release()
				return
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
}
