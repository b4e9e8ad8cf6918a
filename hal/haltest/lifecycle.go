package haltest

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// sum is a frame's content over all planes of its memory.
func sum(f hal.Frame) uint32 {
	var crc uint32
	for i := range f.Buf.Planes() {
		crc = crc32.Update(crc, crc32.IEEETable, f.Buf.Plane(i))
	}
	return crc
}

func (s *suite) references(t *testing.T) {
	t.Helper()
	src := s.open(t)
	held := make([]hal.Frame, 0, s.cfg.Hold)
	sums := make([]uint32, 0, s.cfg.Hold)
	for range s.cfg.Hold {
		f, err := s.read(t, src)
		require.NoError(t, err)
		held = append(held, f)
		sums = append(sums, sum(f))
	}
	for range s.cfg.Hold { // memory of what was released must not be that of what is held
		f, err := s.read(t, src)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		f.Release()
		require.Panics(t, func() { f.Retain() }, "a frame carries one reference, not more")
	}
	require.NoError(t, src.Close())
	for i, f := range held {
		require.Equal(t, sums[i], sum(f), "a frame that is held changed after Close")
		f.Retain().Release()
		f.Release()
		require.Panics(t, func() { f.Retain() }, "a frame carries one reference, not more")
	}
}

// readUntilError reads in a goroutine of its own. first is closed at its first frame, and done
// gets the error that ended it.
func readUntilError(ctx context.Context, src hal.Source) (first chan struct{}, done chan error) {
	first, done = make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			f, err := src.Read(ctx)
			if err != nil {
				if n == 0 {
					close(first)
				}
				done <- err
				return
			}
			f.Release()
			if n == 0 {
				close(first)
			}
		}
	}()
	return first, done
}

func (s *suite) wait(t *testing.T, done chan error, what string) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(s.cfg.Patience):
		t.Fatalf("%s: Read still blocks after %v", what, s.cfg.Patience)
		return nil
	}
}

func (s *suite) cancelled(t *testing.T) {
	t.Helper()
	src := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	first, done := readUntilError(ctx, src)
	<-first
	cancel()
	if err := s.wait(t, done, "after the context ended"); !errors.Is(err, io.EOF) {
		require.ErrorIs(t, err, context.Canceled)
	}
	if s.cfg.Frames == 0 {
		f, err := s.read(t, src)
		require.NoError(t, err, "a source whose Read was cancelled can be read on")
		f.Release()
	}
	require.NoError(t, src.Close())

	src = s.open(t)
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, done = readUntilError(ctx, src)
	require.Error(t, s.wait(t, done, "with a context that had ended before"))
	require.NoError(t, src.Close())
}

func (s *suite) closedWhileReading(t *testing.T) {
	t.Helper()
	src := s.open(t)
	first, done := readUntilError(t.Context(), src)
	<-first
	require.NoError(t, src.Close())
	require.Error(t, s.wait(t, done, "after Close"))
}

func (s *suite) closedTwice(t *testing.T) {
	t.Helper()
	src := s.open(t)
	f, err := s.read(t, src)
	require.NoError(t, err)
	f.Release()
	require.NoError(t, src.Close())
	require.NoError(t, src.Close())
	_, err = s.read(t, src)
	require.Error(t, err)

	src = s.open(t) // never read
	require.NoError(t, src.Close())
}

func (s *suite) heldBack(t *testing.T) {
	t.Helper()
	src := s.open(t)
	for i := range s.cfg.Reads {
		if i == s.cfg.Reads/2 {
			<-time.After(s.cfg.Pause)
		}
		f, err := s.read(t, src)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.False(t, i > 0 && f.Gap, "frame %d after a pause has a gap before it", i)
		f.Release()
	}
	require.NoError(t, src.Close())
}

// burst is how much a live source may hand out at once: what a jitter buffer held, or a server
// sends from its last key frame on.
const burst = 3 * time.Second

func (s *suite) paced(t *testing.T) {
	t.Helper()
	src := s.open(t)
	first, err := s.read(t, src)
	require.NoError(t, err)
	first.Release()
	start := s.cfg.Options.Clock.Mono()
	for range s.cfg.Reads {
		f, err := s.read(t, src)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		f.Release()
		ahead := f.Stamp.DTS - first.Stamp.DTS - time.Duration(s.cfg.Options.Clock.Mono()-start)
		require.LessOrEqual(t, ahead, burst, "a live source is ahead of the time")
	}
	require.NoError(t, src.Close())
}

func (s *suite) allocations(t *testing.T) {
	t.Helper()
	src := s.open(t)
	read := func() {
		f, err := src.Read(t.Context())
		require.NoError(t, err)
		f.Release()
	}
	for range s.cfg.WarmUp {
		read()
	}
	per := testing.AllocsPerRun(s.cfg.AllocReads, read)
	require.LessOrEqual(t, per, s.cfg.MaxAllocs, "allocations a Read")
	require.NoError(t, src.Close())
}
