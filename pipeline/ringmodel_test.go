package pipeline_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
)

// ringModel is a ring as one would write it down: a list, and sums over it.
type ringModel struct {
	limit    pipeline.Limit
	capacity int
	held     []modelled
	ready    bool // the consumer may take what is there
	skipping bool
	lost     [2]bool // by track
	dropped  map[string]uint64
	pushed   uint64
	popped   uint64
}

// modelled is a frame, or a mark where size is 0.
type modelled struct {
	text string
	size int
	mono int64
}

func (m *ringModel) fill() (bytes, frames int) {
	for _, h := range m.held {
		bytes += h.size
		if h.size > 0 {
			frames++
		}
	}
	return bytes, frames
}

// room says whether a write fits, after growing for it.
func (m *ringModel) room(size int) bool {
	bytes, frames := m.fill()
	if frames >= m.limit.Frames {
		return false
	}
	before := m.capacity
	for m.capacity < bytes+size && m.capacity < m.limit.Bytes {
		if m.limit.Growth.Step > 0 {
			m.capacity += m.limit.Growth.Step
		} else {
			m.capacity *= 2
		}
		m.capacity = min(m.capacity, m.limit.Bytes)
	}
	m.ready = m.ready || m.capacity > before
	return m.capacity >= bytes+size
}

func (m *ringModel) push(letter rune, track int, key bool, f modelled) {
	m.pushed++
	starts := key && track == 0
	switch {
	case m.skipping && (!starts || !m.room(f.size)):
		m.dropped["orphaned"]++
		m.lost[track] = true
		return
	case !m.skipping && !m.room(f.size):
		m.skipping = true
		m.dropped["full"]++
		m.lost[track] = true
		m.mark("!")
		return
	}
	m.skipping = false
	f.text = string(letter)
	if m.lost[track] {
		f.text = "*" + f.text
		m.lost[track] = false
	}
	m.held = append(m.held, f)
	if f.mono-m.held[0].mono >= int64(m.limit.WakeAge) {
		m.ready = true
	}
}

func (m *ringModel) mark(text string) {
	m.held = append(m.held, modelled{text: text})
	m.ready = true
}

func (m *ringModel) pop(n int) string {
	var out strings.Builder
	n = min(n, len(m.held))
	for _, h := range m.held[:n] {
		out.WriteString(h.text)
		if h.size > 0 {
			m.popped++
		}
	}
	m.held = m.held[n:]
	m.ready = m.ready && len(m.held) > 0
	return out.String()
}

// equals compares a ring with its model.
func (m *ringModel) equals(t *testing.T, q *pipeline.Queue) {
	t.Helper()
	s := q.Stats()
	bytes, frames := m.fill()
	require.Equal(t, []int{m.capacity, bytes, frames}, []int{s.Ring.Capacity, s.Ring.Fill, s.Depth}, "capacity, fill, frames")
	require.Equal(t, []uint64{m.pushed, m.popped, m.dropped["full"], m.dropped["orphaned"]},
		[]uint64{s.Pushed, s.Popped, s.Dropped["full"], s.Dropped["orphaned"]}, "pushed, popped, full, orphaned")
	balanced(t, s)
	require.LessOrEqual(t, len(s.Ring.Changes), 64)
}

// R1, P6: whatever is pushed and popped, the ring is what its model is.
func TestTheRingIsItsModel(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		maximum := 2 + rnd.IntN(4000)
		limit := pipeline.Limit{
			Bytes: maximum, Frames: []int{0, 5}[rnd.IntN(2)],
			Growth: pipeline.Growth{Start: 1 + rnd.IntN(maximum), Step: rnd.IntN(2) * rnd.IntN(300), Piece: 1 + rnd.IntN(maximum)},
		}.Limit()
		q, err := pipeline.NewQueue("disk", limit)
		require.NoError(t, err)
		l, m := newLedger(hal.H264, hal.AAC), &ringModel{limit: limit, capacity: limit.Growth.Start, dropped: map[string]uint64{}}
		for step := range 300 {
			if m.ready && rnd.IntN(4) == 0 {
				n := 1 + rnd.IntN(10)
				require.Equal(t, m.pop(n), popped(t, q, n), "seed %d, step %d", seed, step)
			} else {
				f := l.frame([]rune("IJabc12")[rnd.IntN(7)])
				letter := rune(f.Buf.Bytes()[0])
				f.Buf.Release()
				size := 1 + rnd.IntN(1+rnd.IntN(maximum+maximum/8))
				l.mono += int64(rnd.IntN(200)) * int64(time.Millisecond)
				f.Buf, err = l.arena.Get(size)
				require.NoError(t, err)
				f.Buf.Bytes()[0], f.Stamp.Mono = byte(letter), l.mono
				m.push(letter, f.Track, f.Key, modelled{size: size, mono: l.mono})
				require.NoError(t, q.Push(f))
			}
			m.equals(t, q)
		}
		q.Close()
		m.ready = true
		for len(m.held) > 0 {
			require.Equal(t, m.pop(7), popped(t, q, 7), "seed %d, at the end", seed)
		}
		_, err = q.Pop()
		require.ErrorIs(t, err, io.EOF)
		m.equals(t, q)
		require.Zero(t, l.held())
	}
}

// popped takes up to n entries out.
func popped(t *testing.T, q *pipeline.Queue, n int) string {
	t.Helper()
	var out strings.Builder
	batch := make([]hal.Frame, n)
	n, err := q.PopBatch(batch)
	require.NoError(t, err)
	for _, f := range batch[:n] {
		if f.Buf.IsZero() {
			out.WriteString("!")
			continue
		}
		if f.Gap {
			out.WriteString("*")
		}
		out.WriteByte(f.Buf.Bytes()[0])
		f.Release()
	}
	return out.String()
}

// P3: a frame's way through a ring allocates nothing, nor does a read.
func TestARingAllocatesNothing(t *testing.T) {
	l := newLedger()
	q, err := pipeline.NewQueue("disk", pipeline.Limit{Bytes: 1 << 20, Growth: pipeline.Growth{Start: 1000}})
	require.NoError(t, err)
	var batch [64]hal.Frame
	second := func() {
		for range 25 {
			l.mono += int64(frameTime)
			_ = q.Push(l.frame('I'))
		}
		l.mono += int64(time.Second)
		_ = q.Push(l.frame('I'))
		n, _ := q.PopBatch(batch[:])
		for _, f := range batch[:n] {
			f.Release()
		}
	}
	second()
	require.Zero(t, testing.AllocsPerRun(200, second), "a second of frames")
	q.Cancel()
	require.Zero(t, l.held())
}

func TestRingsThatMakeNoSense(t *testing.T) {
	for want, change := range map[string]func(*pipeline.Limit){
		"starts at most as large":   func(l *pipeline.Limit) { l.Growth.Start = l.Bytes + 1 },
		"a piece is at most":        func(l *pipeline.Limit) { l.Growth.Piece = l.Bytes + 1 },
		"step 0 or more":            func(l *pipeline.Limit) { l.Growth.Step = -1 },
		"start and piece":           func(l *pipeline.Limit) { l.Growth.Start = -1 },
		"shrinks after -1s":         func(l *pipeline.Limit) { l.Growth.ShrinkAfter = -time.Second },
		"policy drop-oldest":        func(l *pipeline.Limit) { l.Full = pipeline.DropOldest },
		"10 bytes to wake":          func(l *pipeline.Limit) { l.WakeBytes = 10 },
		"floor ≤ initial ≤ max":     func(l *pipeline.Limit) { l.Pace.Floor = 2 * time.Second; l.Pace.Initial = time.Second },
		"every 1s at the longest":   func(l *pipeline.Limit) { l.Pace.Max = time.Second; l.Pace.Initial = 2 * time.Second },
		"at least 1ms":              func(l *pipeline.Limit) { l.Pace.Floor = time.Nanosecond },
		"1 empty reads":             func(l *pipeline.Limit) { l.Pace.Empty = 1 },
		"a ring's threshold of 1.5": func(l *pipeline.Limit) { l.Pace.Threshold = 1.5 },
	} {
		l := smallRing()
		change(&l)
		_, err := pipeline.NewQueue("disk", l)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "queue disk")
	}
	_, err := pipeline.NewQueue("disk", pipeline.Limit{Bytes: 100, Growth: pipeline.Growth{Step: 5}})
	require.ErrorContains(t, err, "start 0", "a growth without a start")
}

// R1, R2: the figures where nothing is said.
func TestARingsDefaults(t *testing.T) {
	l := pipeline.Limit{Bytes: 64 << 20, Growth: pipeline.Growth{Start: 1 << 20}}.Limit()
	require.Equal(t, pipeline.Growth{Start: 1 << 20, Piece: 4 << 20, ShrinkAfter: 30 * time.Second}, l.Growth)
	require.Equal(t, pipeline.Pace{Initial: 100 * time.Millisecond, Floor: 20 * time.Millisecond, Max: 30 * time.Second, Empty: 10, Threshold: 0.75}, l.Pace)
	require.Equal(t, "1s 65536", fmt.Sprint(l.WakeAge, " ", l.Frames))
	require.Equal(t, l, l.Limit())
}

// BenchmarkRingHandOver is BenchmarkQueueHandOver through a ring that is read a fragment at a
// time.
func BenchmarkRingHandOver(b *testing.B) {
	l := newLedger()
	q, _ := pipeline.NewQueue("disk", pipeline.Limit{Bytes: 1 << 30, Growth: pipeline.Growth{Start: 1 << 20}})
	f := l.frame('I')
	var batch [64]hal.Frame
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		f.Stamp.Mono += int64(frameTime)
		_ = q.Push(f.Retain())
		if n%26 == 0 { // the oldest is a second old
			n, _ := q.PopBatch(batch[:])
			for _, f := range batch[:n] {
				f.Release()
			}
		}
	}
	q.Cancel()
}
