package rtsp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/millrace-video/millrace/pool"
)

const (
	// maxRedirects bounds the connections of one opening.
	maxRedirects = 5
	// inactivity is when gortsplib takes a connection for dead. The context of the opening and
	// the watch for stalls act before.
	inactivity = 20 * time.Second
	// writeWait bounds the writing of a request or a report.
	writeWait = 5 * time.Second
	// udpBuffer is the socket buffer asked for: a key frame comes faster than it is read.
	udpBuffer = 1 << 20
)

var errRedirects = errors.New("the camera redirects in a circle")

// newClient returns a gortsplib client whose connection is a link.
func (o *opening) newClient() (*gortsplib.Client, error) {
	if o.target.url.Scheme == "rtsps" {
		if _, err := o.target.trust.Config(""); err != nil {
			return nil, err
		}
	}
	protocol := o.target.protocol()
	return &gortsplib.Client{
		Scheme:            o.target.url.Scheme,
		Host:              o.target.url.Host,
		Protocol:          &protocol,
		ReadTimeout:       inactivity,
		WriteTimeout:      writeWait,
		UserAgent:         "millrace",
		DialContext:       o.dial,
		DialTLSContext:    o.dialTLS,
		ListenPacket:      listenPacket,
		OnTransportSwitch: func(error) {},
		OnPacketsLost:     func(uint64) {}, // the tracks count
		OnDecodeError:     func(error) {},
	}, nil
}

func (o *opening) connect(ctx context.Context, network, address string) (*net.TCPConn, error) {
	if o.dials++; o.dials > maxRedirects {
		return nil, errRedirects
	}
	if _, has := o.target.url.User.Password(); has && o.dials > 1 {
		host, _, _ := net.SplitHostPort(address) //nolint:errcheck // made by JoinHostPort
		if host != o.target.url.Hostname() {
			return nil, fmt.Errorf("the camera redirects to %s: a password is not sent to another host; put that address into the URL", address)
		}
	}
	dial := o.driver.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	socket, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a connection of type %T: a *net.TCPConn is needed", c), c.Close())
	}
	return socket, nil
}

func (o *opening) dial(ctx context.Context, network, address string) (net.Conn, error) {
	socket, err := o.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	o.socket, o.link = socket, newLink(socket)
	return o.link, nil
}

func (o *opening) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	socket, err := o.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	// Records are at most 16 KiB: without a buffer each would cost two system calls.
	secure, err := o.target.trust.Client(ctx, &bufferedConn{TCPConn: socket, r: bufio.NewReaderSize(socket, minBlock)}, host)
	if err != nil {
		return nil, err
	}
	o.socket, o.link = socket, newLink(secure)
	return o.link, nil
}

// bufferedConn reads a connection in large blocks.
type bufferedConn struct {
	*net.TCPConn

	r *bufio.Reader
}

// Read implements net.Conn.
func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// listenPacket opens a UDP socket with as large a buffer as the system allows.
func listenPacket(network, address string) (net.PacketConn, error) {
	pc, err := (&net.ListenConfig{}).ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	if u, ok := pc.(*net.UDPConn); ok {
		if err := u.SetReadBuffer(udpBuffer); err != nil {
			return nil, errors.Join(err, pc.Close())
		}
	}
	return pc, nil
}

// queue lets gortsplib put the packets of every track into a queue.
func (o *opening) queue(s *Source) *queueFeed {
	f := newQueueFeed(s)
	o.link.onClose = f.end
	for _, t := range s.tracks {
		s.client.OnPacketRTP(t.media, t.format, func(p *rtp.Packet) { f.put(queued{track: t, rtp: p}) })
		s.client.OnPacketRTCP(t.media, func(p rtcp.Packet) { f.onRTCP(t, p) })
	}
	return f
}

// makeTracks makes the tracks that were chosen. The first with pictures is the reference.
func (s *Source) makeTracks(found []offer, pictures, sound *pool.Arena) {
	for i, f := range found {
		arena := sound
		if f.track.Codec.IsVideo() {
			arena = pictures
		}
		s.tracks = append(s.tracks, newTrack(s, i, f, pool.NewBuilder(arena)))
	}
	s.ref = s.tracks[0]
	for _, t := range s.tracks {
		if t.track.Codec.IsVideo() {
			s.ref = t
			return
		}
	}
}

// assign notes which interleaved channels a track was given.
func (f *tcpFeed) assign(t *track, res *base.Response) error {
	var th headers.Transport
	if err := th.Unmarshal(res.Header["Transport"]); err != nil {
		return fmt.Errorf("transport header: %w", err)
	}
	if th.InterleavedIDs == nil {
		return nil // not over TCP
	}
	for i, ch := range th.InterleavedIDs {
		if ch < 0 || ch > 255 || f.known(byte(ch)) {
			return fmt.Errorf("the camera gives channel %d to a track, which is not to be had", ch)
		}
		f.channels = append(f.channels, channel{track: t, rtcp: i == 1})
		f.uses[ch] = byte(len(f.channels)) // as many as there are numbers, less the one that stays idle
	}
	return nil
}

// adopt makes the feed the owner of a link's socket, whose reader lets go.
func (f *tcpFeed) adopt(l *link, socket *net.TCPConn) (err error) {
	if f.in, err = l.take(); err != nil {
		return err
	}
	f.link, f.socket, f.in.reserve = l, socket, f.reserve
	if l.Conn == net.Conn(socket) {
		if err = f.direct(); err != nil {
			return err
		}
	}
	f.in.known = f.known
	for f.idle = 255; f.known(f.idle); {
		f.idle--
	}
	f.readAt = f.source.clock.Mono()
	f.fed = f.readAt
	return nil
}

// rtpInfo is where a track stands at the session's instant 0 (RFC 2326 §12.33).
type rtpInfo struct {
	known bool
	ts    uint32
}

// info takes the RTP-Info header. It is used where it names every track.
func (s *Source) info(res *base.Response, baseURL *base.URL) {
	var h headers.RTPInfo
	if res == nil || h.Unmarshal(res.Header["RTP-Info"]) != nil || len(h) != len(s.tracks) {
		return
	}
	infos := make([]rtpInfo, len(s.tracks))
	for i, e := range h {
		if e.Timestamp == nil {
			return
		}
		at := i
		for j, t := range s.tracks {
			u, err := t.media.URL(baseURL)
			if err == nil && u != nil && strings.HasSuffix(u.String(), e.URL[strings.LastIndexByte(e.URL, '/')+1:]) {
				at = j
				break
			}
		}
		infos[at] = rtpInfo{known: true, ts: *e.Timestamp}
	}
	for i, t := range s.tracks {
		if !infos[i].known {
			return
		}
		t.info = infos[i]
	}
}

// await reads until every track's description is complete.
func (s *Source) await(ctx context.Context) error {
	s.feed.setUrgent(true)
	defer s.feed.setUrgent(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.complete() {
		if err := s.awaitStep(ctx); err != nil {
			return err
		}
	}
	s.describeAll()
	return nil
}

func (s *Source) awaitStep(ctx context.Context) error {
	held := s.ready
	s.ready, s.head = nil, 0 // a step ends where a frame is ready
	err := s.advance(ctx)
	s.ready = append(held, s.ready...)
	if err != nil {
		return fmt.Errorf("waiting for the parameter sets that the camera's description leaves out: %w", err)
	}
	if len(s.ready) > maxAwaited {
		s.ready[0].Release()
		s.ready = s.ready[1:]
	}
	return nil
}

// maxAwaited bounds the frames of other tracks that wait for a description.
const maxAwaited = 256

func (s *Source) complete() bool {
	for _, t := range s.tracks {
		if !t.complete() {
			return false
		}
	}
	return true
}
