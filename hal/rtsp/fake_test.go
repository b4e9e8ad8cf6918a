package rtsp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// reply answers one request; false closes the connection.
type reply func(c *fakeConn, cseq string) bool

// fakeCamera is a hand-written RTSP server for what no real one does. Each method has one
// reply; those not named answer as they should.
type fakeCamera struct {
	sdp     string
	replies map[string]reply
	onRTCP  func(channel byte, packet []byte)

	addr  string
	conns atomic.Int64
}

type fakeConn struct {
	net.Conn

	cam  *fakeCamera
	done <-chan struct{} // closed when the test is over
	next int             // interleaved channel
	reqs []string        // every request so far
}

// say writes and ignores that the other end may have gone.
func (c *fakeConn) say(format string, args ...any) { _, _ = fmt.Fprintf(c, format, args...) }

func (c *fakeConn) send(b ...[]byte) bool {
	for _, p := range b {
		if _, err := c.Write(p); err != nil {
			return false
		}
	}
	return true
}

// answer returns a reply with a status line and headers.
func answer(status string, headers ...string) reply {
	return func(c *fakeConn, cseq string) bool {
		c.say("RTSP/1.0 %s\r\nCSeq: %s\r\n%s\r\n", status, cseq, lines(headers))
		return true
	}
}

func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

func describe(contentType, sdp string) reply {
	return func(c *fakeConn, cseq string) bool {
		c.say("RTSP/1.0 200 OK\r\nCSeq: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", cseq, contentType, len(sdp), sdp)
		return true
	}
}

func (f *fakeCamera) start(t testing.TB) *fakeCamera {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback
	require.NoError(t, err)
	f.addr = ln.Addr().String()
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.conns.Add(1)
			all.Go(func() {
				defer c.Close() //nolint:errcheck // the other end may be gone
				ended := make(chan struct{})
				all.Go(func() {
					select {
					case <-done:
						_ = c.Close()
					case <-ended:
					}
				})
				defer close(ended)
				f.serve(&fakeConn{Conn: c, cam: f, done: done})
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = ln.Close()
		all.Wait()
	})
	return f
}

func (f *fakeCamera) serve(c *fakeConn) {
	in := bufio.NewReader(c)
	for {
		var head strings.Builder
		for !strings.HasSuffix(head.String(), "\r\n\r\n") {
			if b, err := in.Peek(1); err == nil && b[0] == '$' {
				var h [4]byte
				if _, err := io.ReadFull(in, h[:]); err != nil {
					return
				}
				report := make([]byte, int(h[2])<<8|int(h[3]))
				if _, err := io.ReadFull(in, report); err != nil {
					return
				}
				if f.onRTCP != nil {
					f.onRTCP(h[1], report)
				}
				continue
			}
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
		}
		req := head.String()
		c.reqs = append(c.reqs, req)
		method, _, _ := strings.Cut(req, " ")
		cseq := header(req, "CSeq")
		r := f.replies[method]
		if r == nil {
			r = proper(method, req)
		}
		if !r(c, cseq) {
			return
		}
	}
}

func header(req, name string) string {
	for line := range strings.SplitSeq(req, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// proper answers as a camera should.
func proper(method, _ string) reply {
	switch method {
	case "OPTIONS":
		return answer("200 OK", "Public: DESCRIBE, SETUP, PLAY, TEARDOWN")
	case "DESCRIBE":
		return func(c *fakeConn, cseq string) bool { return describe("application/sdp", c.cam.sdp)(c, cseq) }
	case "SETUP":
		return func(c *fakeConn, cseq string) bool {
			c.next += 2
			return answer("200 OK", fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d", c.next-2, c.next-1),
				"Session: 1234;timeout=60")(c, cseq)
		}
	case "TEARDOWN":
		return func(*fakeConn, string) bool { return false }
	default:
		return answer("200 OK", "Session: 1234")
	}
}

// interleave wraps RTP packets for a channel.
func interleave(channel byte, packets ...[]byte) []byte {
	var out []byte
	for _, p := range packets {
		out = append(append(out, '$', channel, byte(len(p)>>8), byte(len(p))), p...)
	}
	return out
}
