package rtsp

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxEarly bounds the media that may come before the answer to PLAY.
const maxEarly = 1 << 20

// link is the connection that gortsplib is given. Until take, gortsplib's reader reads the
// socket through it, message by message. After take the socket belongs to whoever took it, and
// gortsplib reads what that one puts into the mailbox. What gortsplib writes goes straight out.
type link struct {
	net.Conn // TCP, or TLS over it

	mail    *mailbox
	onClose func()      // may be nil; set before PLAY
	playing atomic.Bool // PLAY was sent: media is set aside for the one who takes the socket
	taken   atomic.Bool

	mu    sync.Mutex // held by the one who reads the socket
	in    block
	out   []byte // of an item that gortsplib has not read to its end
	early []byte // whole interleaved frames that came before the answer to PLAY
	over  int    // frames that found early full
}

func newLink(c net.Conn) *link { return &link{Conn: c, mail: newMailbox()} }

// Read implements net.Conn for gortsplib.
func (l *link) Read(p []byte) (int, error) {
	if !l.taken.Load() {
		n, err := l.readSocket(p)
		if n > 0 || !l.taken.Load() {
			return n, err
		}
	}
	return l.mail.get(p)
}

// readSocket returns the next bytes that are for gortsplib. It ends early where the socket is
// taken away.
func (l *link) readSocket(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.out) == 0 {
		if l.taken.Load() {
			return 0, nil
		}
		kind, item, err := l.in.next()
		switch {
		case err != nil:
			return 0, err
		case kind == itemFrame && l.playing.Load():
			l.setAside(item)
		case kind != itemNone:
			l.out = item
		default:
			n, err := l.Conn.Read(l.in.space(0))
			l.in.w += n
			if n == 0 && err != nil && (!l.taken.Load() || !errors.Is(err, os.ErrDeadlineExceeded)) {
				return 0, err
			}
		}
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

func (l *link) setAside(frame []byte) {
	if len(l.early)+len(frame) > maxEarly {
		l.over++
		return
	}
	l.early = append(l.early, frame...)
}

// take gives the socket to the caller, with what was read from it and not yet taken out. The
// reader that waits in it lets go.
func (l *link) take() (block, error) {
	l.taken.Store(true)
	if err := l.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return block{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.SetReadDeadline(time.Time{}); err != nil {
		return block{}, err
	}
	if len(l.out) > 0 {
		if err := l.mail.put(l.out); err != nil {
			return block{}, err
		}
	}
	l.out = nil // an empty one too would hold the block's memory
	in := l.in
	if len(l.early) > 0 {
		all := append(l.early, in.buf[in.r:in.w]...) //nolint:gocritic // early is given away with it
		in = block{buf: all, w: len(all)}
		l.early = nil
	}
	l.in = block{}
	return in, nil
}

// Close implements net.Conn.
func (l *link) Close() error {
	l.mail.close()
	if l.onClose != nil {
		l.onClose()
	}
	return l.Conn.Close()
}
