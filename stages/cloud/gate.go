package cloud

import (
	"io"
	"sync"
	"time"
)

// gate holds the backlog back while a package of the present goes up: what waits for it is a
// piece of a body, so that a slow link is the present's alone at once. A body is held for a
// while at most, or its server loses patience.
type gate struct {
	mu   sync.Mutex
	live int
	open chan struct{} // closed when live is 0
}

const (
	patience  = 8 * time.Second
	gatePiece = 32 << 10
)

func (g *gate) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.live++; g.live == 1 {
		g.open = make(chan struct{})
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.live--; g.live == 0 {
		close(g.open)
	}
}

func (g *gate) wait(done <-chan struct{}) {
	g.mu.Lock()
	busy, open := g.live > 0, g.open
	g.mu.Unlock()
	if !busy {
		return
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-open:
	case <-done:
	case <-t.C:
	}
}

// body returns a body that passes the gate piece by piece until done.
func (g *gate) body(of io.ReaderAt, size int64, done <-chan struct{}) *io.SectionReader {
	return io.NewSectionReader(gated{of, g, done}, 0, size)
}

type gated struct {
	of   io.ReaderAt
	gate *gate
	done <-chan struct{}
}

// ReadAt implements io.ReaderAt.
func (g gated) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		g.gate.wait(g.done)
		var got int
		got, err = g.of.ReadAt(p[n:min(len(p), n+gatePiece)], off+int64(n))
		n += got
	}
	return n, err
}
