package rtsp

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

var (
	errChanged = errors.New("the stream has changed: describe it again")
	errOver    = errors.New("the session is over")
)

// reader is one player: an RTSP session from its first SETUP on.
type reader struct {
	mount  *mount
	layout *layout
	// stream is what gortsplib hangs the session on; nothing is written to it. Each session has
	// its own, because gortsplib looks into the other sessions of a stream without their locks.
	stream *gortsplib.ServerStream
	udp    bool
	peer   *net.TCPAddr
	post   *mailer // over UDP

	channels []int // by media: the interleaved channel, −1 where it was not set up
	pictures bool  // it gets the pictures

	link atomic.Pointer[link] // over TCP, while it plays

	mu      sync.Mutex // guards the channels too, until the first PLAY seals them
	sealed  bool
	holds   bool // claim is held
	claim   claim
	playing bool
	over    bool
}

func newReader(m *mount, l *layout, udp bool, peer *net.TCPAddr) (*reader, error) {
	r := &reader{mount: m, layout: l, udp: udp, peer: peer, channels: make([]int, len(l.tracks))}
	for i := range r.channels {
		r.channels[i] = -1
	}
	r.stream = &gortsplib.ServerStream{Server: m.server.signal, Desc: l.desc}
	if err := r.stream.Initialize(); err != nil {
		return nil, err
	}
	if udp {
		r.post = newMailer(m.server.ports, m.server.cfg.ReaderBytes, len(l.tracks))
	}
	return r, m.know(r)
}

// String is the player's address.
func (r *reader) String() string { return r.peer.String() }

// setUp notes where a track's packets go, from the answer to its SETUP, and puts into that the
// SSRC that they have.
func (r *reader) setUp(session *gortsplib.ServerSession, res *base.Response) {
	var th headers.Transport
	medias := session.Medias()
	if th.Unmarshal(res.Header["Transport"]) != nil || len(medias) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, m := range r.layout.desc.Medias {
		if m != medias[len(medias)-1] || r.sealed {
			continue
		}
		th.SSRC = &r.layout.tracks[i].ssrc
		res.Header["Transport"] = th.Marshal()
		r.pictures = r.pictures || i == r.layout.video
		switch {
		case r.udp && th.ClientPorts != nil:
			ip := r.peer.AddrPort().Addr()
			r.post.to[i][0] = r.post.ports.sockaddr(ip, th.ClientPorts[0])
			r.post.to[i][1] = r.post.ports.sockaddr(ip, th.ClientPorts[1])
			r.channels[i] = 2 * i
		case !r.udp && th.InterleavedIDs != nil:
			r.channels[i] = th.InterleavedIDs[0] & 0xFF
		}
	}
}

// hold asks for frames until drop, once.
func (r *reader) hold() (claim, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
		return claim{}, errOver
	case r.holds:
		return r.claim, nil
	}
	c, err := r.mount.acquire()
	if err == nil {
		r.holds, r.claim = true, c
	}
	return c, err
}

// drop stops the media and gives the claim back; end for good.
func (r *reader) drop(end bool) {
	r.mu.Lock()
	held, link := r.holds, r.link.Swap(nil)
	r.holds, r.playing = false, false
	r.over = r.over || end
	c := r.claim
	r.mu.Unlock()
	if !held {
		return
	}
	r.mount.part(r)
	if link != nil {
		link.detach(r)
	}
	if r.udp {
		r.post.stop()
	}
	r.mount.release(c)
}

// begin makes the media start behind the answer to PLAY, which goes over l, and returns what
// that says of where the tracks begin.
func (r *reader) begin(l *link, url func(media int) string) (headers.RTPInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || !r.holds || r.playing {
		return nil, errOver
	}
	var info headers.RTPInfo
	err := r.mount.join(r, func(tail []block) error {
		info = r.info(tail, url)
		if r.udp {
			l.play = r
			r.post.start(r.intro())
		} else {
			if err := l.attach(r, r.intro()); err != nil {
				return err
			}
			r.link.Store(l)
		}
		for _, b := range tail {
			r.offer(b)
		}
		return nil
	})
	if err == nil {
		r.playing, r.sealed = true, true
	}
	return info, err
}

// offer puts a block into the player's queue and says whether it was too slow for it.
func (r *reader) offer(b block) (slow bool) {
	c := r.channels[b.media]
	if c < 0 {
		return false
	}
	b.start = b.start || !r.pictures
	if r.udp {
		return r.post.push(b)
	}
	l := r.link.Load()
	if l == nil {
		return false
	}
	if c == 2*b.media {
		return l.push(r, b)
	}
	own, err := r.readdress(b, c)
	if err != nil {
		return false
	}
	defer own.buf.Release()
	return l.push(r, own)
}

// readdress copies a block for a player that chose other channels than the usual ones.
func (r *reader) readdress(b block, channel int) (block, error) {
	from := b.buf.Bytes()
	buf, err := r.mount.server.copies.Get(len(from))
	if err != nil {
		return block{}, err
	}
	to := buf.Bytes()
	copy(to, from)
	for p := to; len(p) >= interleavedHeader; p = p[interleavedHeader+int(binary.BigEndian.Uint16(p[2:])):] {
		p[1] = byte(channel + int(p[1]&1))
	}
	b.buf = buf
	return b, nil
}

// flush writes what the player takes. It drops one that has taken nothing for too long, and
// says so.
func (r *reader) flush() (dropped bool) {
	if r.udp {
		r.post.flush()
		return false
	}
	l := r.link.Load()
	if l == nil || !l.flush(r.mount.server.cfg.DropAfter) {
		return false
	}
	_ = l.Close() //nolint:errcheck // it is to go
	return true
}

func (r *reader) uncork() { r.post.uncork() }

// intro is a sender report for each track, so that a player can put them side by side from the
// first packet on. The mount's mu is held.
func (r *reader) intro() []byte {
	if r.mount.ref.number == 0 {
		return nil
	}
	var b []byte
	for i, c := range r.channels {
		if c < 0 {
			continue
		}
		n := len(b)
		b = append(b, make([]byte, reportSize(len(r.layout.name)))...)
		putReport(b[n:], &r.layout.tracks[i], r.mount.ref, byte(c+1), r.layout.name)
	}
	return b
}

// info is the RTP-Info header: each track's first packet, and its RTP time at the instant that
// playing begins with. The mount's mu is held.
func (r *reader) info(tail []block, url func(media int) string) headers.RTPInfo {
	var info headers.RTPInfo
	at := r.mount.line.last
	if len(tail) > 0 {
		at = tail[0].at
	}
	for i, c := range r.channels {
		if c < 0 {
			continue
		}
		t := &r.layout.tracks[i]
		seq, ts := t.seq, t.rtpTime(at)
		for _, b := range tail {
			if b.media == i {
				seq = b.seq
				break
			}
		}
		info = append(info, &headers.RTPInfoEntry{URL: url(i), SequenceNumber: &seq, Timestamp: &ts})
	}
	return info
}
