package pipeline_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
)

// ledger lends frames of one byte and knows which are still out.
type ledger struct {
	arena  *pool.Arena
	stream *hal.Stream
	mono   int64
}

func newLedger(tracks ...hal.Codec) *ledger {
	l := &ledger{arena: pool.NewArena(pool.ArenaConfig{Chunk: 64}), stream: &hal.Stream{}}
	if len(tracks) == 0 {
		tracks = []hal.Codec{hal.H264}
	}
	for _, c := range tracks {
		l.stream.Tracks = append(l.stream.Tracks, hal.Track{Codec: c, FrameRate: 25, Width: 16, Height: 16})
	}
	return l
}

// frame is one letter: upper case is a key frame, a digit is sound on track 1.
func (l *ledger) frame(letter rune) hal.Frame {
	b, err := l.arena.Get(1)
	if err != nil {
		panic(err)
	}
	b.Bytes()[0] = byte(letter)
	f := hal.Frame{Buf: b, Stream: l.stream, Key: unicode.IsUpper(letter), Stamp: hal.Stamp{Mono: l.mono}}
	if unicode.IsDigit(letter) {
		f.Track, f.Key = 1, true
	}
	return f
}

func (l *ledger) held() int { return l.arena.Stats().Held }

// letter is the inverse of frame; '*' stands before one that follows a gap.
func letter(f hal.Frame) string {
	s := string(f.Buf.Bytes())
	if f.Gap {
		s = "*" + s
	}
	f.Release()
	return s
}

func push(t *testing.T, q *pipeline.Queue, l *ledger, letters string) {
	t.Helper()
	for _, r := range letters {
		require.NoError(t, q.Push(l.frame(r)))
	}
}

func drain(t *testing.T, q *pipeline.Queue) string {
	t.Helper()
	var out strings.Builder
	for {
		f, err := q.Pop()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return out.String()
		}
		out.WriteString(letter(f))
	}
}

// balanced checks that pushed = popped + held + dropped.
func balanced(t *testing.T, s pipeline.QueueStats) {
	t.Helper()
	sum := s.Popped + uint64(s.Depth)
	for _, n := range s.Dropped {
		sum += n
	}
	require.Equal(t, s.Pushed, sum, "%+v", s)
}

// P6: what a full queue does is chosen per queue; upper case is a key frame, * follows a gap.
func TestQueueFull(t *testing.T) {
	for _, tc := range []struct {
		name    string
		limit   pipeline.Limit
		in      string
		want    string
		dropped string
	}{
		{"nothing is dropped while there is room", pipeline.Limit{Frames: 4, Full: pipeline.DropOldest}, "Iabc", "Iabc", ""},
		{"the oldest goes first", pipeline.Limit{Frames: 3, Full: pipeline.DropOldest}, "Iabcd", "*bcd", "full 2"},
		{"the newest does not get in", pipeline.Limit{Frames: 3, Full: pipeline.DropNewest}, "Iabcd", "Iab", "full 2"},
		{"no orphan after a drop", pipeline.Limit{Frames: 3}, "Iabcde", "Iab", "full 1 orphaned 2"},
		{"a key frame finds no room either", pipeline.Limit{Frames: 3}, "IabcJ", "Iab", "full 1 orphaned 1"},
		{"a limit by bytes", pipeline.Limit{Frames: 100, Bytes: 2}, "Iabc", "Ia", "full 1 orphaned 1"},
		{"sound is dropped along with the pictures", pipeline.Limit{Frames: 3}, "I1abc2", "I1a", "full 1 orphaned 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLedger(hal.H264, hal.AAC)
			q, err := pipeline.NewQueue("q", tc.limit)
			require.NoError(t, err)
			push(t, q, l, tc.in)
			q.Close()
			require.Equal(t, tc.want, drain(t, q))
			require.Equal(t, tc.dropped, drops(q.Stats()))
			balanced(t, q.Stats())
			require.Zero(t, l.held(), "frames never released")
		})
	}
}

func drops(s pipeline.QueueStats) string {
	var parts []string
	for _, cause := range []string{"full", "orphaned", "closed", "cancelled"} {
		if n := s.Dropped[cause]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", cause, n))
		}
	}
	return strings.Join(parts, " ")
}

// P6: after a drop the stream goes on at a key frame, which is marked.
func TestQueueResumesAtAKeyFrame(t *testing.T) {
	l := newLedger()
	q, err := pipeline.NewQueue("q", pipeline.Limit{Frames: 2})
	require.NoError(t, err)
	push(t, q, l, "Iab")
	require.Equal(t, "I", pop(t, q))
	push(t, q, l, "cJd")
	q.Close()
	require.Equal(t, "a*J", drain(t, q), "c is an orphan, J starts anew, d finds the queue full")
	require.Zero(t, l.held())
}

func pop(t *testing.T, q *pipeline.Queue) string {
	t.Helper()
	f, err := q.Pop()
	require.NoError(t, err)
	return letter(f)
}

func TestAFrameLargerThanTheLimitGetsInAlone(t *testing.T) {
	l := newLedger()
	q, err := pipeline.NewQueue("q", pipeline.Limit{Frames: 10, Bytes: 3})
	require.NoError(t, err)
	b, err := l.arena.Get(100)
	require.NoError(t, err)
	require.NoError(t, q.Push(hal.Frame{Buf: b, Stream: l.stream, Key: true}))
	require.Equal(t, 1, q.Stats().Depth)
	q.Cancel()
	require.Zero(t, l.held())
	require.Equal(t, "cancelled 1", drops(q.Stats()))
}

// P6: a queue that waits loses nothing, whatever the order of the two workers.
func TestWaitLosesNothing(t *testing.T) {
	l := newLedger()
	q, err := pipeline.NewQueue("q", pipeline.Limit{Frames: 3, Full: pipeline.Wait})
	require.NoError(t, err)
	var in strings.Builder
	for i := range 5000 {
		in.WriteByte(byte('a' + i%26))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, r := range in.String() {
			if q.Push(l.frame(r)) != nil {
				return
			}
		}
		q.Close()
	})
	require.Equal(t, in.String(), drain(t, q))
	wg.Wait()
	require.Zero(t, l.held())
}

func TestCloseAndCancelFreeAWaitingProducer(t *testing.T) {
	for name, end := range map[string]func(*pipeline.Queue){"close": (*pipeline.Queue).Close, "cancel": (*pipeline.Queue).Cancel} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			q, err := pipeline.NewQueue("q", pipeline.Limit{Frames: 1, Full: pipeline.Wait})
			require.NoError(t, err)
			push(t, q, l, "I")
			done := make(chan error)
			go func() { done <- q.Push(l.frame('a')) }()
			end(q)
			require.ErrorIs(t, <-done, pipeline.ErrClosed)
			q.Cancel()
			balanced(t, q.Stats())
			require.Zero(t, l.held())
		})
	}
}

func TestAClosedQueueTakesTheReferenceAndSaysSo(t *testing.T) {
	l := newLedger()
	q, err := pipeline.NewQueue("q", pipeline.Limit{})
	require.NoError(t, err)
	q.Close()
	require.ErrorIs(t, q.Push(l.frame('I')), pipeline.ErrClosed)
	require.Zero(t, l.held())
	_, err = q.Pop()
	require.ErrorIs(t, err, io.EOF)
	q.Cancel()
	_, err = q.Pop()
	require.ErrorIs(t, err, pipeline.ErrClosed)
}

func TestInterruptWakesAConsumerOnce(t *testing.T) {
	q, err := pipeline.NewQueue("q", pipeline.Limit{})
	require.NoError(t, err)
	q.Interrupt()
	_, err = q.Pop()
	require.ErrorIs(t, err, pipeline.ErrInterrupted)
	go q.Close()
	_, err = q.Pop()
	require.ErrorIs(t, err, io.EOF)
}

func TestLimitsThatMakeNoSense(t *testing.T) {
	for want, limit := range map[string]pipeline.Limit{
		"at least 1":      {Frames: -1},
		"negative":        {Bytes: -1},
		"needs an age":    {WakeBytes: 100},
		"unknown queue p": {Full: 77},
	} {
		_, err := pipeline.NewQueue("q", limit)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "queue q")
	}
}

func TestPoliciesHaveNames(t *testing.T) {
	for _, p := range []pipeline.Policy{pipeline.DropUntilKey, pipeline.DropOldest, pipeline.DropNewest, pipeline.Wait} {
		got, err := pipeline.ParsePolicy(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	_, err := pipeline.ParsePolicy("explode")
	require.ErrorContains(t, err, "drop-oldest")
	require.Equal(t, "policy(9)", pipeline.Policy(9).String())
}

// P6, P3: whatever is done to a queue, every frame is accounted for and comes home.
func TestQueueAccountsForEveryFrame(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		l := newLedger(hal.H264, hal.AAC)
		q, err := pipeline.NewQueue("q", pipeline.Limit{
			Frames: 1 + rnd.IntN(5), Bytes: rnd.IntN(6), Full: pipeline.Policy(rnd.IntN(3)),
		})
		require.NoError(t, err)
		for range rnd.IntN(60) {
			if rnd.IntN(3) == 0 && q.Stats().Depth > 0 {
				pop(t, q)
				continue
			}
			push(t, q, l, string("Iab12"[rnd.IntN(5)]))
			balanced(t, q.Stats())
		}
		if rnd.IntN(2) == 0 {
			q.Cancel()
		} else {
			q.Close()
			drain(t, q)
		}
		balanced(t, q.Stats())
		require.Zero(t, l.held())
	}
}

// P3: in the steady state a hand-over allocates nothing.
func TestHandOverAllocatesNothing(t *testing.T) {
	l := newLedger()
	q, err := pipeline.NewQueue("q", pipeline.Limit{})
	require.NoError(t, err)
	tee := pipeline.NewTee(1 << 20)
	tee.Join(q)
	require.Zero(t, testing.AllocsPerRun(2000, func() {
		_ = tee.Push(l.frame('I'))
		f, _ := q.Pop()
		f.Release()
	}))
	tee.Close()
	require.Zero(t, l.held())
}

// BenchmarkQueueHandOver is a frame's way from one worker to another, flat out: goal ≤ 150 ns.
func BenchmarkQueueHandOver(b *testing.B) {
	load, err := bench.HandOver(func(job func()) error { go job(); return nil })
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	require.NoError(b, load.Do(b.N))
}
