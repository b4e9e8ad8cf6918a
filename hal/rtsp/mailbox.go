package rtsp

import (
	"errors"
	"net"
	"sync"
)

// maxMail bounds what waits for gortsplib: it reads at once, so more than one message of the
// largest size means that it is stuck.
const maxMail = 2 * (maxHeader + maxBody)

var errMailFull = errors.New("RTSP messages come faster than they are handled")

// mailbox is the in-memory connection on which gortsplib hears what the reader of the socket
// took out for it.
type mailbox struct {
	mu     sync.Mutex
	more   sync.Cond
	buf    []byte
	closed bool
}

func newMailbox() *mailbox {
	m := &mailbox{}
	m.more.L = &m.mu
	return m
}

// put adds p, all of it or nothing, and never waits.
func (m *mailbox) put(p []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	if len(m.buf)+len(p) > maxMail {
		return errMailFull
	}
	m.buf = append(m.buf, p...)
	m.more.Signal()
	return nil
}

// get waits for bytes and moves them to p.
func (m *mailbox) get(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.buf) == 0 && !m.closed {
		m.more.Wait()
	}
	if len(m.buf) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(p, m.buf)
	m.buf = m.buf[:copy(m.buf, m.buf[n:])]
	return n, nil
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.more.Broadcast()
}
