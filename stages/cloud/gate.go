package cloud

import (
	"io"
	"sync"
	"time"
)

// gate holds the backlog back while the body of a package of the present is being sent: what
// waits for it is a piece of a body, so that a slow link is the present's alone at once. While
// the store takes its time to answer, the link is the backlog's. A body is held for a while at
// most, or its server loses patience.
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

// present returns a body that keeps the gate shut from its first byte to its last; done opens it
// again whatever was read.
func (g *gate) present(of io.ReaderAt, size int64) (body *io.SectionReader, done func()) {
	p := &present{of: of, size: size, gate: g}
	return io.NewSectionReader(p, 0, size), func() { p.shut(false) }
}

type present struct {
	of   io.ReaderAt
	size int64
	gate *gate

	mu     sync.Mutex
	inside bool
}

// ReadAt implements io.ReaderAt.
func (p *present) ReadAt(b []byte, off int64) (int, error) {
	p.shut(true)
	n, err := p.of.ReadAt(b, off)
	if off+int64(n) >= p.size || err != nil {
		p.shut(false)
	}
	return n, err
}

func (p *present) shut(shut bool) {
	p.mu.Lock()
	change := p.inside != shut
	p.inside = shut
	p.mu.Unlock()
	switch {
	case change && shut:
		p.gate.enter()
	case change:
		p.gate.leave()
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
