package rtsp_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// player is an RTSP client written out, so that a test can do what no client would.
type player struct {
	t       testing.TB
	conn    net.Conn
	r       *bufio.Reader
	cseq    int
	session string
	early   [][]byte // interleaved packets that came before an answer
}

type answer struct {
	status int
	reason string
	header textproto.MIMEHeader
	body   string
}

func dial(t testing.TB, address string) *player {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	t.Cleanup(func() { _ = c.Close() })
	return &player{t: t, conn: c, r: bufio.NewReaderSize(c, 1<<16)}
}

func (p *player) ask(method, url string, headers ...string) answer {
	p.t.Helper()
	p.send(method, url, headers...)
	return p.answer()
}

func (p *player) send(method, url string, headers ...string) {
	p.t.Helper()
	p.cseq++
	req := fmt.Sprintf("%s %s RTSP/1.0\r\nCSeq: %d\r\n", method, url, p.cseq)
	if p.session != "" {
		req += "Session: " + p.session + "\r\n"
	}
	for _, h := range headers {
		req += h + "\r\n"
	}
	_, err := io.WriteString(p.conn, req+"\r\n")
	require.NoError(p.t, err)
}

func (p *player) answer() answer {
	p.t.Helper()
	for {
		b, err := p.r.Peek(1)
		require.NoError(p.t, err)
		if b[0] != '$' {
			break
		}
		p.early = append(p.early, p.interleaved())
	}
	tp := textproto.NewReader(p.r)
	line, err := tp.ReadLine()
	require.NoError(p.t, err)
	parts := strings.SplitN(line, " ", 3)
	require.Len(p.t, parts, 3, line)
	status, err := strconv.Atoi(parts[1])
	require.NoError(p.t, err)
	h, err := tp.ReadMIMEHeader()
	require.NoError(p.t, err)
	a := answer{status: status, reason: parts[2], header: h}
	if n, _ := strconv.Atoi(h.Get("Content-Length")); n > 0 {
		body := make([]byte, n)
		_, err := io.ReadFull(p.r, body)
		require.NoError(p.t, err)
		a.body = string(body)
	}
	if s := h.Get("Session"); s != "" {
		p.session, _, _ = strings.Cut(s, ";")
	}
	return a
}

// interleaved returns the next packet with its header of four bytes.
func (p *player) interleaved() []byte {
	p.t.Helper()
	var h [4]byte
	_, err := io.ReadFull(p.r, h[:])
	require.NoError(p.t, err)
	require.Equal(p.t, byte('$'), h[0], "the stream of packets is broken")
	b := make([]byte, 4+int(binary.BigEndian.Uint16(h[2:])))
	copy(b, h[:])
	_, err = io.ReadFull(p.r, b[4:])
	require.NoError(p.t, err)
	return b
}

// packet returns the next packet: its channel and its bytes.
func (p *player) packet() (channel int, packet []byte) {
	p.t.Helper()
	if len(p.early) > 0 {
		b := p.early[0]
		p.early = p.early[1:]
		return int(b[1]), b[4:]
	}
	b := p.interleaved()
	return int(b[1]), b[4:]
}

// watch sets up the given tracks over TCP and plays. It returns the answer to PLAY.
func (p *player) watch(url string, tracks ...int) answer {
	p.t.Helper()
	a := p.ask("DESCRIBE", url, "Accept: application/sdp")
	require.Equal(p.t, 200, a.status, a.reason)
	for _, i := range tracks {
		a := p.ask("SETUP", fmt.Sprintf("%s/trackID=%d", url, i), fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*i, 2*i+1))
		require.Equal(p.t, 200, a.status, a.reason)
	}
	a = p.ask("PLAY", url, "Range: npt=0.000-")
	require.Equal(p.t, 200, a.status, a.reason)
	return a
}

// rtpPacket is a packet's header.
type rtpPacket struct {
	seq     uint16
	ts      uint32
	marker  bool
	payload []byte
}

func parseRTP(b []byte) rtpPacket {
	return rtpPacket{
		seq: binary.BigEndian.Uint16(b[2:]), ts: binary.BigEndian.Uint32(b[4:]), marker: b[1]&0x80 != 0, payload: b[12:],
	}
}

// pictures reads n access units of channel 0, and fails where a packet is missing.
func (p *player) pictures(n int) {
	p.t.Helper()
	var last *rtpPacket
	for n > 0 {
		ch, b := p.packet()
		if ch != 0 {
			continue
		}
		k := parseRTP(b)
		if last != nil {
			require.Equal(p.t, last.seq+1, k.seq, "a packet is missing")
		}
		last = &k
		if k.marker {
			n--
		}
	}
}

// isKeyStart says whether a payload of H.264 begins with parameter sets.
func isKeyStart(payload []byte) bool { return payload[0]&0x1F == 24 && payload[3]&0x1F == 7 }
