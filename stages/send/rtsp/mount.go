package rtsp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
)

// mount is a channel's place on the server, and the stage at the end of its branch.
type mount struct {
	server *Server
	name   string

	// wantMu serialises what the branch is told; Work never takes it.
	wantMu sync.Mutex

	mu       sync.Mutex
	env      pipeline.Env
	open     bool
	run      uint64        // +1 with each Open
	gone     chan struct{} // closed by Close
	interest int           // players, and requests that wait for a frame; 0: the branch gets nothing
	known    chan struct{} // closed once a frame has come since the interest began
	ready    chan struct{} // closed once a player can start
	isKnown  bool
	isReady  bool

	seen    *hal.Stream
	layout  *layout
	why     error // there is no layout
	line    timeline
	ref     reference
	arena   *pool.Arena
	w       writer
	needKey bool
	prev    []stampOf // by the stream's track: the last frame since the interest began
	tail    []block
	kept    int       // bytes in tail
	readers []*reader // replaced, never changed in place
	// sessions are those that know the layout, whether they play or not.
	sessions map[*reader]struct{}
	left     string // the tracks left out that were last spoken of
	bad      string // the frame's fault that was last spoken of

	// The worker's own.
	current   []*reader
	due       bool // pictures wait to be written
	lastFlush int64

	frames, slow, dropped, faults atomic.Uint64
}

type stampOf struct {
	has      bool
	run      uint32
	dts, pts time.Duration
}

var (
	_ pipeline.Stage    = (*mount)(nil)
	_ pipeline.EndBatch = (*mount)(nil)
	_ pipeline.Prompt   = (*mount)(nil)
	_ pipeline.Counting = (*mount)(nil)
)

var (
	errTaken  = errors.New("already mounted by another channel")
	errClosed = errors.New("the channel is not running")
)

// Name implements pipeline.Stage.
func (m *mount) Name() string { return "rtsp" }

// Prompt implements pipeline.Prompt: what a player does not take at once is written by another worker.
func (m *mount) Prompt() bool { return true }

// Open implements pipeline.Stage: the channel can be found from now on.
func (m *mount) Open(_ context.Context, env pipeline.Env) error {
	if err := m.server.enter(m); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.env, m.open = env, true
	m.run++
	m.gone = make(chan struct{})
	m.interest = 0
	m.arena = pool.NewArena(pool.ArenaConfig{Max: m.server.arenaBytes(), Reserve: env.Reserve})
	m.w = writer{b: pool.NewBuilder(m.arena)}
	return nil
}

// Close implements pipeline.Stage: every player is sent off.
func (m *mount) Close() error {
	m.wantMu.Lock()
	defer m.wantMu.Unlock()
	m.mu.Lock()
	if !m.open {
		m.mu.Unlock()
		return nil
	}
	m.open = false
	close(m.gone)
	want, wanted := m.env.Want, m.interest > 0
	m.interest = 0
	m.forgetTail()
	m.w.b.Close()
	m.dropLayout(nil)
	m.seen, m.line, m.ref, m.current = nil, timeline{}, reference{}, nil
	m.mu.Unlock()
	m.server.leave(m)
	if wanted {
		want(false)
	}
	return nil
}

// dropLayout sends off the players of the layout in use. The caller holds mu.
func (m *mount) dropLayout(next *layout) {
	for r := range m.sessions {
		r.stream.Close()
	}
	clear(m.sessions)
	m.layout, m.readers = next, nil
	m.forgetTail()
}

func (m *mount) forgetTail() {
	for i := range m.tail {
		m.tail[i].buf.Release()
		m.tail[i] = block{}
	}
	m.tail, m.kept = m.tail[:0], 0
}

// claim is one interest in a mount's frames.
type claim struct {
	run          uint64
	known, ready <-chan struct{}
	gone         <-chan struct{}
}

// acquire makes frames come.
func (m *mount) acquire() (claim, error) {
	m.wantMu.Lock()
	defer m.wantMu.Unlock()
	m.mu.Lock()
	if !m.open {
		m.mu.Unlock()
		return claim{}, errClosed
	}
	m.interest++
	first := m.interest == 1
	if first {
		m.known, m.ready = make(chan struct{}), make(chan struct{})
		m.isKnown, m.isReady, m.needKey = false, false, true
		m.prev = m.prev[:0]
	}
	c := claim{run: m.run, known: m.known, ready: m.ready, gone: m.gone}
	env := m.env
	m.mu.Unlock()
	if first {
		env.Want(true)
		env.RequestKeyFrame()
	}
	return c, nil
}

// release gives an interest back; with the last one the branch gets nothing more.
func (m *mount) release(c claim) {
	m.wantMu.Lock()
	defer m.wantMu.Unlock()
	m.mu.Lock()
	if !m.open || c.run != m.run {
		m.mu.Unlock()
		return
	}
	m.interest--
	last := m.interest == 0
	if last {
		m.forgetTail()
	}
	want := m.env.Want
	m.mu.Unlock()
	if last {
		want(false)
	}
}

// Work implements pipeline.Stage.
func (m *mount) Work(_ context.Context, f hal.Frame) error {
	defer f.Release()
	b, readers, ok := m.take(f)
	if !ok {
		return nil
	}
	defer b.buf.Release()
	m.current = readers
	for _, r := range readers {
		if r.offer(b) {
			m.slow.Add(1)
			m.env.Log.Warn("player is too slow: skipped to the next key frame", "player", r.String())
		}
	}
	if b.media == m.video() || f.Stamp.Mono-m.lastFlush > int64(soundWait) {
		m.due = true
	}
	if m.due {
		m.lastFlush = f.Stamp.Mono
	}
	return nil
}

// soundWait is how long sound may wait for pictures to be written along with: half the write
// calls for the price of the interval between two pictures.
const soundWait = 45 * time.Millisecond

func (m *mount) video() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.layout == nil {
		return -1
	}
	return m.layout.video
}

// EndBatch implements pipeline.EndBatch: what came in one piece is written in one piece.
func (m *mount) EndBatch(context.Context) error {
	if !m.due {
		return nil
	}
	m.due = false
	m.flush()
	return nil
}

func (m *mount) flush() {
	for _, r := range m.current {
		if r.flush() {
			m.dropped.Add(1)
			m.env.Log.Warn("player takes nothing: dropped", "player", r.String(), "after", m.server.cfg.DropAfter)
		}
	}
}

// Flush implements pipeline.Stage: the source's run is over.
func (m *mount) Flush(context.Context) error {
	m.due = false
	m.flush()
	return nil
}

// described is the layout in use, or why there is none.
func (m *mount) described() (*layout, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.open:
		return nil, nil, errClosed
	case m.layout == nil:
		return nil, nil, fmt.Errorf("channel %s: %w", m.name, m.why)
	}
	return m.layout, m.layout.sdp, nil
}

// serves says whether l is the layout in use.
func (m *mount) serves(l *layout) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open && m.layout == l
}

// know lets a session live for as long as its layout does.
func (m *mount) know(r *reader) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open || m.layout != r.layout {
		return errChanged
	}
	m.sessions[r] = struct{}{}
	return nil
}

func (m *mount) forget(r *reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, r)
}

// join makes r a reader: start is told where it begins, with what is kept, under mu so that it
// gets each block once. It fails where r's layout is no longer served.
func (m *mount) join(r *reader, start func(tail []block) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open || m.layout != r.layout {
		return errChanged
	}
	if err := start(m.tail); err != nil {
		return err
	}
	m.readers = append(slices.Clone(m.readers), r)
	return nil
}

func (m *mount) part(r *reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers = slices.DeleteFunc(slices.Clone(m.readers), func(o *reader) bool { return o == r })
}

// MountStats is a channel's figures.
type MountStats struct {
	Readers int    `json:"readers"`
	Frames  uint64 `json:"frames"`  // packetised
	Slow    uint64 `json:"slow"`    // times that a player was skipped to a key frame
	Dropped uint64 `json:"dropped"` // players dropped for taking nothing
	Faults  uint64 `json:"faults"`  // frames that could not be sent
}

// Stats implements pipeline.Counting: a MountStats.
func (m *mount) Stats() any {
	m.mu.Lock()
	readers := len(m.readers)
	m.mu.Unlock()
	return MountStats{
		Readers: readers, Frames: m.frames.Load(), Slow: m.slow.Load(), Dropped: m.dropped.Load(), Faults: m.faults.Load(),
	}
}
