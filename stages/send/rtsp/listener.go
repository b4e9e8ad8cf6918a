package rtsp

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// sndbuf is how much the kernel holds for a player: enough for a slow link, little enough that
// one that stops reading is found out.
const sndbuf = 256 << 10

// listener bounds the connections and wraps each.
type listener struct {
	*net.TCPListener
	server *Server
	open   atomic.Int64
	full   atomic.Bool
	closed chan struct{}
	once   sync.Once
}

var errNotTCP = errors.New("not a TCP address")

func (s *Server) listen(network, address string) (net.Listener, error) {
	inner, err := net.Listen(network, address) //nolint:noctx // gortsplib gives none; it does not block
	if err != nil {
		return nil, err
	}
	tcp, ok := inner.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(errNotTCP, inner.Close())
	}
	return &listener{TCPListener: tcp, server: s, closed: make(chan struct{})}, nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
}

// Accept implements net.Listener. Only the listener's end is an error: what goes wrong with
// one connection, or a lack of files for a while, must not end the server.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			l.server.log.Warn("rtsp connection not accepted", "cause", err.Error())
			if !l.wait(100 * time.Millisecond) {
				return nil, net.ErrClosed
			}
			continue
		}
		if k := l.admit(c); k != nil {
			return k, nil
		}
	}
}

func (l *listener) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closed:
		return false
	}
}

// admit wraps a connection, or closes it where there are too many.
func (l *listener) admit(c *net.TCPConn) net.Conn {
	limit := int64(l.server.cfg.MaxConns)
	if l.open.Add(1) > limit {
		l.open.Add(-1)
		if !l.full.Swap(true) {
			l.server.log.Warn("too many rtsp connections: new ones are refused", "limit", limit)
		}
		_ = c.Close() //nolint:errcheck // it is refused
		return nil
	}
	l.full.Store(false)
	_ = c.SetWriteBuffer(sndbuf) //nolint:errcheck // the system's own does too
	k, err := newLink(c, l.server, func() { l.open.Add(-1) })
	if err != nil {
		l.open.Add(-1)
		_ = c.Close() //nolint:errcheck // it failed
		return nil
	}
	return k
}
