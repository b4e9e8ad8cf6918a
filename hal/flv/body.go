package flv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// blockSize is what is read from a connection at once, but for what goes straight to the arena.
const blockSize = 32 << 10

// body is the answer as it comes. A read that its context ends loses nothing: the next goes on.
type body struct {
	conn    net.Conn // TCP, or TLS over it
	socket  net.Conn // TCP
	clock   *hal.Clock
	silence time.Duration
	closed  atomic.Bool
	kind    string // Content-Type

	framing framing
	buf     []byte
	r, w    int   // buf[r:w] was read and not yet taken
	taken   int64 // bytes of FLV
	at      int64 // Mono when the last bytes came

	watch <-chan struct{}
	stop  func() bool // of the context that is watched
}

func newBody(conn net.Conn, clock *hal.Clock, silence time.Duration) *body {
	return &body{conn: conn, socket: conn, clock: clock, silence: silence, buf: make([]byte, blockSize)}
}

// head returns the header of the answer.
func (b *body) head(ctx context.Context) ([]byte, error) {
	for {
		from := b.r
		if i := bytes.Index(b.buf[from:b.w], []byte("\r\n\r\n")); i >= 0 {
			b.r += i + 4
			if informational(b.buf[from:b.r]) {
				continue
			}
			return b.buf[from:b.r], nil
		}
		if b.w >= maxAnswer || b.w == len(b.buf) {
			return nil, fmt.Errorf("the server does not speak HTTP, or says more than %d bytes before its answer", maxAnswer)
		}
		n, err := b.receive(ctx, b.buf[b.w:])
		b.w += n
		if err != nil {
			return nil, err
		}
	}
}

// informational says whether a header is only an announcement of the one that counts.
func informational(head []byte) bool {
	_, code, _ := bytes.Cut(head[:min(len(head), 16)], []byte(" "))
	return bytes.HasPrefix(head, []byte("HTTP/1.1 1")) && len(code) > 0
}

// read reads at least one byte of FLV. At the end that the answer announced it returns errDone,
// where the connection broke off io.ErrUnexpectedEOF.
func (b *body) read(ctx context.Context, p []byte) (int, error) {
	for {
		ready, err := b.unframe()
		if err != nil {
			return 0, err
		}
		if !ready || b.r == b.w && len(p) < blockSize/4 {
			if err = b.fill(ctx); err != nil {
				return 0, err
			}
			continue
		}
		p = p[:min(int64(len(p)), b.framing.left)]
		var n int
		if b.r < b.w {
			n = copy(p, b.buf[b.r:b.w])
			b.r += n
		} else if n, err = b.receive(ctx, p); err != nil {
			return 0, err
		}
		b.taken += int64(n)
		b.framing.took(n)
		return n, nil
	}
}

// unframe takes what stands around the body's bytes out of the buffer. It returns false where more
// must be read to know what follows.
func (b *body) unframe() (ready bool, err error) {
	for b.framing.state != inData {
		if b.framing.state == atEnd {
			return false, errDone
		}
		if b.r == b.w {
			return false, nil
		}
		if err := b.framing.next(b.buf[b.r]); err != nil {
			return false, err
		}
		b.r++
	}
	return true, nil
}

// fill reads a block where all of the one before is taken.
func (b *body) fill(ctx context.Context) error {
	if b.r < b.w {
		return nil
	}
	b.r, b.w = 0, 0
	n, err := b.receive(ctx, b.buf)
	b.w = n
	return err
}

// receive reads the connection once.
func (b *body) receive(ctx context.Context, p []byte) (int, error) {
	b.observe(ctx)
	began, wait, silent := b.clock.Mono(), b.silence, false
	for {
		if err := b.conn.SetReadDeadline(deadline(wait)); err != nil {
			return 0, b.orClosed(err)
		}
		if err := ctx.Err(); err != nil { // after the deadline was set: interrupt sets it again
			return 0, err
		}
		n, err := b.conn.Read(p)
		if n > 0 {
			b.at = b.clock.Mono()
			return n, nil
		}
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, io.EOF):
			return 0, b.orClosed(io.ErrUnexpectedEOF)
		case err == nil, !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, b.orClosed(err)
		}
		// The deadline may be that of a context from before.
		if b.clock.Mono()-began <= int64(b.silence)/2 {
			continue
		}
		if silent {
			return 0, fmt.Errorf("nothing came for %v: %w", b.silence, hal.ErrStalled)
		}
		wait, silent = lastLook, true // where this program stood still, what came meanwhile waits in the socket
	}
}

func (b *body) orClosed(err error) error {
	if b.closed.Load() {
		return errClosed
	}
	return err
}

// observe sees to it that ctx ends a read. It costs nothing while ctx stays the same.
func (b *body) observe(ctx context.Context) {
	if done := ctx.Done(); done != b.watch {
		b.unobserve()
		b.watch, b.stop = done, context.AfterFunc(ctx, b.interrupt)
	}
}

func (b *body) unobserve() {
	if b.stop != nil {
		b.stop()
		b.stop, b.watch = nil, nil
	}
}

// interrupt ends a read under way by a deadline in the past.
func (b *body) interrupt() {
	if err := b.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return // closed: no read is under way
	}
}

// close ends a read under way.
func (b *body) close() error {
	if b.closed.Swap(true) {
		return nil
	}
	return b.socket.Close() // not TLS's own farewell, which may wait for the other side
}

// lastLook is how long is looked once more before silence is believed.
const lastLook = 20 * time.Millisecond

// deadline returns the instant in wait from now, as the net package wants it.
func deadline(wait time.Duration) time.Time {
	return time.Now().Add(wait) //nolint:forbidigo // the kernel's deadlines are on this clock
}
