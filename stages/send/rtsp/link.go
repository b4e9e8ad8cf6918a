package rtsp

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// maxText bounds the answers that a client has not read.
const maxText = 256 << 10

// errNotReading ends a client that asks and does not read the answers.
var errNotReading = errors.New("client does not read its answers")

// link is a client's connection under gortsplib. All that is written to it, gortsplib's
// answers and our media, goes through one queue, so that no message is cut into by another,
// and no Write ever waits: what the socket does not take is written by a worker that waits for
// room.
type link struct {
	net.Conn
	tcp     *net.TCPConn
	raw     syscall.RawConn
	clock   *hal.Clock
	workers *pool.Workers
	onClose func()
	first   *time.Timer // cuts a client that says nothing

	head   [4]byte     // what the client said first
	headN  int         // the reading goroutine's own
	method base.Method // of the request under way; the answering goroutine's own
	url    *base.URL
	play   *reader // over UDP, starts once the answer to its PLAY is written; the answering goroutine's own

	mu       sync.Mutex
	out      outbox
	wait     outbox  // media that waits for the answer to PLAY
	reader   *reader // gets media; nil: nobody
	corked   bool    // media goes to wait
	draining bool    // a worker waits for room
	refused  bool    // the socket took nothing since
	since    int64   // this Mono
	err      error
	iov      [16][]byte
	try      func(uintptr) bool
	drain    func(uintptr) bool
	once     sync.Once
}

func newLink(c *net.TCPConn, s *Server, onClose func()) (*link, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &link{Conn: c, tcp: c, raw: raw, clock: s.cfg.Clock, workers: s.workers, onClose: onClose}
	l.out.limit, l.wait.limit = s.cfg.ReaderBytes, s.cfg.ReaderBytes
	l.try = func(fd uintptr) bool { l.write(fd); return true }
	l.drain = l.drainMore
	l.first = time.AfterFunc(firstWord, func() { _ = l.Close() }) //nolint:errcheck // it is to go
	return l, nil
}

// firstWord is how long a client has for the first four bytes.
const firstWord = 10 * time.Second

const httpAnswer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

var errHTTP = errors.New("client speaks HTTP: this is RTSP")

// Read implements net.Conn. HTTP is refused: this server does no tunnels, and a parser that
// reads endless headers is not for strangers.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if l.headN < len(l.head) && n > 0 {
		l.headN += copy(l.head[l.headN:], p[:n])
		if l.headN == len(l.head) {
			l.first.Stop()
			if bytes.Equal(l.head[:], []byte("GET ")) || bytes.Equal(l.head[:], []byte("POST")) {
				_, _ = l.Write([]byte(httpAnswer)) //nolint:errcheck // it is sent off anyway
				return 0, errHTTP
			}
		}
	}
	return n, err
}

// Write implements net.Conn for gortsplib: an answer joins the queue.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	if l.err == nil && l.out.text+len(p) > maxText {
		l.err = errNotReading
	}
	if err := l.err; err != nil {
		l.mu.Unlock()
		return 0, err
	}
	l.out.addText(bytes.Clone(p))
	if l.corked {
		l.corked = false
		l.out.take(&l.wait)
	}
	l.flushLocked()
	l.mu.Unlock()
	if r := l.play; r != nil {
		l.play = nil
		r.uncork()
	}
	return len(p), nil
}

// SetWriteDeadline and SetDeadline do nothing to writes, which never wait.
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (l *link) SetDeadline(t time.Time) error { return l.SetReadDeadline(t) }

// Close implements net.Conn.
func (l *link) Close() error {
	err := l.Conn.Close()
	l.once.Do(func() {
		l.first.Stop()
		l.mu.Lock()
		l.err = net.ErrClosed
		l.out.clear()
		l.wait.clear()
		l.reader = nil
		l.mu.Unlock()
		l.onClose()
	})
	return err
}

// attach makes r the reader; its blocks wait until the answer to PLAY is written.
func (l *link) attach(r *reader, intro []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.reader, l.corked = r, true
	l.wait.start(intro)
	return nil
}

// detach stops r's media; what is begun is finished.
func (l *link) detach(r *reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader == r {
		l.reader, l.corked = nil, false
		l.wait.clear()
		l.out.dropBlocks()
	}
}

// push queues a block for r and says whether it began to skip.
func (l *link) push(r *reader, b block) (slow bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reader != r || l.err != nil {
		return false
	}
	if l.corked {
		return l.wait.push(b)
	}
	return l.out.push(b)
}

// flush writes what the socket takes, and says whether it has taken nothing for too long.
func (l *link) flush(patience time.Duration) (stuck bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
	return l.err == nil && l.refused && l.clock.Mono()-l.since > int64(patience)
}

func (l *link) flushLocked() {
	if l.draining || l.out.n == 0 || l.err != nil {
		return
	}
	if err := l.raw.Write(l.try); err != nil {
		l.fail(err)
		return
	}
	if l.out.n == 0 || l.err != nil {
		return
	}
	l.draining = true
	err := l.workers.Go(func() error { return l.raw.Write(l.drain) }, func(err error) {
		if err != nil {
			l.mu.Lock()
			l.fail(err)
			l.mu.Unlock()
		}
	})
	if err != nil {
		l.draining = false // the next block tries again
	}
}

// drainMore writes what there is and says whether that was all; if not it is called again when
// the socket has room.
func (l *link) drainMore(fd uintptr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := l.write(fd)
	if done {
		l.draining = false
	}
	return done
}

// write writes until the queue is empty (true) or the socket is full. The caller holds mu.
func (l *link) write(fd uintptr) (done bool) {
	for l.out.n > 0 && l.err == nil {
		n, err := writev(fd, l.out.pieces(l.iov[:0]))
		clear(l.iov[:])
		if n > 0 {
			l.refused = false
			l.out.advance(n)
			continue
		}
		if !errors.Is(err, unix.EAGAIN) {
			l.fail(err)
			break
		}
		if !l.refused {
			l.refused, l.since = true, l.clock.Mono()
		}
		return false
	}
	return true
}

// fail ends the connection: gortsplib reads its end and closes it. (Close itself would wait for
// the very write that failed.) The caller holds mu.
func (l *link) fail(err error) {
	if l.err == nil {
		if err == nil {
			err = net.ErrClosed
		}
		l.err = err
		l.out.clear()
		_ = l.tcp.CloseRead() //nolint:errcheck // it is broken already
	}
}
