package rtsp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"github.com/bluenviron/gortsplib/v5"
	"golang.org/x/sys/unix"
)

// ports are the two UDP sockets of the server. gortsplib reads them, we write to them.
type ports struct {
	rtp, rtcp *net.UDPConn
	rawRTP    syscall.RawConn
	rawRTCP   syscall.RawConn
	six       bool // IPv6 sockets
}

// pairTries is how often two ports side by side are looked for.
const pairTries = 64

// listenPair opens two ports side by side, the first even.
func listenPair(host string, port int) (*ports, error) {
	network := "udp"
	if host == "0.0.0.0" {
		network = "udp4"
	}
	var last error
	for range pairTries {
		p, err := tryPair(network, host, port)
		if err == nil {
			return p, nil
		}
		last = err
		if port != 0 {
			break
		}
	}
	return nil, fmt.Errorf("rtsp: UDP ports on %s: %w", net.JoinHostPort(host, strconv.Itoa(port)), last)
}

var errOddPort = errors.New("no even port with a free one after it")

func tryPair(network, host string, port int) (*ports, error) {
	first, err := listenUDP(network, host, port)
	if err != nil {
		return nil, err
	}
	at, ok := first.LocalAddr().(*net.UDPAddr)
	if !ok || at.Port%2 != 0 {
		return nil, errors.Join(errOddPort, first.Close())
	}
	second, err := listenUDP(network, host, at.Port+1)
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	p := &ports{rtp: first, rtcp: second, six: at.IP.To4() == nil}
	p.rawRTP, err = first.SyscallConn()
	if err == nil {
		p.rawRTCP, err = second.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func listenUDP(network, host string, port int) (*net.UDPConn, error) {
	at, err := net.ResolveUDPAddr(network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return net.ListenUDP(network, at)
}

func (p *ports) close() error { return errors.Join(p.rtp.Close(), p.rtcp.Close()) }

// serve lets gortsplib read the sockets.
func (p *ports) serve(g *gortsplib.Server) {
	g.UDPRTPAddress, g.UDPRTCPAddress = p.rtp.LocalAddr().String(), p.rtcp.LocalAddr().String()
	g.ListenPacket = func(_, address string) (net.PacketConn, error) {
		if address == g.UDPRTPAddress {
			return p.rtp, nil
		}
		return p.rtcp, nil
	}
}

// sockaddr is where packets go, as the socket's family wants it.
func (p *ports) sockaddr(ip netip.Addr, port int) unix.Sockaddr { //nolint:ireturn // what Sendto takes
	if ip = ip.Unmap(); !p.six {
		return &unix.SockaddrInet4{Addr: ip.As4(), Port: port}
	}
	to := &unix.SockaddrInet6{Addr: ip.As16(), Port: port}
	if zone, err := net.InterfaceByName(ip.Zone()); err == nil {
		to.ZoneId = uint32(zone.Index)
	}
	return to
}

// mailer sends one player's blocks as datagrams.
type mailer struct {
	ports *ports
	to    [][2]unix.Sockaddr // by media: RTP, RTCP

	mu     sync.Mutex
	out    outbox
	corked bool
	gone   bool
	packet []byte
	dest   unix.Sockaddr
	err    error
	send   func(uintptr) bool
}

// burst is how many bytes go out at once: what a player's socket buffer surely holds. What is
// more, after a join, goes out with the next access units.
const burst = 96 << 10

func newMailer(p *ports, limit, medias int) *mailer {
	m := &mailer{ports: p, to: make([][2]unix.Sockaddr, medias), corked: true}
	m.out.limit = limit
	m.send = func(fd uintptr) bool {
		m.err = unix.Sendto(int(fd), m.packet, unix.MSG_DONTWAIT, m.dest)
		return true
	}
	return m
}

func (m *mailer) push(b block) (slow bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.gone && m.out.push(b)
}

// start begins anew; nothing is sent before uncork.
func (m *mailer) start(intro []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone, m.corked = false, true
	m.out.start(intro)
}

func (m *mailer) uncork() {
	m.mu.Lock()
	m.corked = false
	m.mu.Unlock()
	m.flush()
}

func (m *mailer) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	m.out.clear()
}

// flush sends blocks until the burst is over or the socket is full. A packet that cannot be
// sent for another reason is lost, as UDP packets are.
func (m *mailer) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for sent := 0; !m.corked && m.out.n > 0 && sent < burst; {
		piece := m.out.at(0).bytes()[m.out.off:]
		n := min(len(piece), interleavedHeader+int(binary.BigEndian.Uint16(piece[2:])))
		if !m.post(piece[:n]) {
			return
		}
		m.out.advance(n)
		sent += n
	}
}

// post sends one interleaved packet and says whether the socket took it.
func (m *mailer) post(p []byte) bool {
	channel := int(p[1])
	m.packet, m.dest = p[interleavedHeader:], m.to[channel/2][channel%2]
	socket := m.ports.rawRTP
	if channel%2 != 0 {
		socket = m.ports.rawRTCP
	}
	if m.dest == nil {
		return true
	}
	err := socket.Write(m.send)
	m.packet = nil
	return err != nil || !errors.Is(m.err, unix.EAGAIN)
}
