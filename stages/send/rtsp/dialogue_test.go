package rtsp_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

func h264Track() hal.Track {
	return hal.Track{
		Codec: hal.H264, TimeScale: 90000, Width: 160, Height: 112,
		SPS: []byte{0x67, 0x42, 0xC0, 0x0A, 0xDA, 0x0F, 0x0A, 0x69, 0xA8, 0x08, 0x08, 0x0A}, PPS: []byte{0x68, 0xCE, 0x3C, 0x80},
	}
}

// gop is pictures of H.264, 40 ms apart, a key frame each five.
func gop(n int) (track int, at time.Duration, key bool, data []byte) {
	head := byte(0x41)
	if n%5 == 0 {
		head = 0x65
	}
	return 0, time.Duration(n) * 40 * time.Millisecond, n%5 == 0, nals(filled(200, head))
}

func TestErrorsSayWhatIsWrong(t *testing.T) { // A3
	t.Parallel()
	r := newRig(t, rtsp.Config{Wait: 50 * time.Millisecond, MaxReaders: 1})
	r.scripted("dark", h264Track())
	raw, _ := r.scripted("raw", hal.Track{Codec: hal.Raw, Width: 640, Height: 480})
	raw.repeat(func(n int) (int, time.Duration, bool, []byte) {
		return 0, time.Duration(n) * time.Millisecond, true, make([]byte, 10)
	})
	live, _ := r.scripted("live", h264Track())
	live.repeat(gop)
	p := dial(t, r.server.Addr().String())
	for _, tc := range []struct {
		method, path, header string
		status               int
		reason               string
	}{
		{"DESCRIBE", "nobody", "", 404, "no channel at this path"},
		{"DESCRIBE", "", "", 404, "no channel at this path"},
		{"DESCRIBE", "dark", "", 503, "gives no picture now"},
		{"DESCRIBE", "raw", "", 415, "encode it"},
		{"SETUP", "nobody/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", 404, "no channel"},
		{"ANNOUNCE", "live", "", 501, "Not Implemented"},
		{"DESCRIBE", "live", "", 200, "OK"},
		{"OPTIONS", "live", "", 200, "OK"},
		{"GET_PARAMETER", "live", "", 200, "OK"},
	} {
		a := p.ask(tc.method, r.url(tc.path), tc.header)
		require.Equal(t, tc.status, a.status, "%s %s: %s", tc.method, tc.path, a.reason)
		require.Contains(t, a.reason, tc.reason)
		p.session = ""
	}
	one := dial(t, r.server.Addr().String())
	one.watch(r.url("live"), 0)
	two := dial(t, r.server.Addr().String())
	a := two.ask("SETUP", r.url("live/trackID=0"), "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	require.Equal(t, 453, a.status)
	require.Equal(t, "too many players", a.reason)
	multicast := dial(t, r.server.Addr().String())
	require.Equal(t, 461, multicast.ask("SETUP", r.url("live/trackID=0"), "Transport: RTP/AVP;multicast").status)
}

func TestPauseAndPlayAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	s, ch := r.scripted("gate", h264Track())
	s.repeat(gop)
	p := dial(t, r.server.Addr().String())
	p.watch(r.url("gate"), 0)
	for range 3 {
		p.pictures(7)
		require.Equal(t, 200, p.ask("GET_PARAMETER", r.url("gate")).status)
		require.Equal(t, 200, p.ask("PAUSE", r.url("gate")).status)
		p.early = nil
		own, _ := stats(ch)
		require.Zero(t, own.Readers)
		require.Equal(t, 200, p.ask("PLAY", r.url("gate")).status)
		_, sr := p.packet()
		require.Equal(t, byte(200), sr[1], "nothing of before the pause is left")
		_, b := p.packet()
		require.True(t, isKeyStart(parseRTP(b).payload), "it goes on at a key frame")
	}
}

func TestSenderReportsPutTracksSideBySide(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	r.camera("gate", "synth://?size=160x112&rate=25&gop=25")
	p := dial(t, r.server.Addr().String())
	p.watch(r.url("gate"), 0, 1)
	var ntp [2]uint64
	for range 2 {
		ch, b := p.packet()
		require.Equal(t, 1, ch%2)
		ntp[ch/2] = binary.BigEndian.Uint64(b[8:])
	}
	require.Equal(t, ntp[0], ntp[1], "both tracks report the same instant")
	at := time.Unix(int64(ntp[0]>>32)-2208988800, 0)
	require.WithinDuration(t, time.Now(), at, time.Minute)
}

func TestAStreamThatChangesSendsPlayersOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	s, _ := r.scripted("gate", h264Track())
	give := func(n int) { s.give(gop(n)) }
	give(0)
	p := dial(t, r.server.Addr().String())
	p.watch(r.url("gate"), 0)
	p.pictures(1)

	// Other parameter sets: they come in-band.
	other := h264Track()
	other.PPS = []byte{0x68, 0xCE, 0x3C, 0x81}
	s.stream = &hal.Stream{Tracks: []hal.Track{other}}
	give(5)
	for {
		if _, b := p.packet(); b[1]&0x7F == 96 {
			require.Contains(t, string(b), string(other.PPS))
			break
		}
	}

	// Another codec: whoever watches must describe it again.
	s.stream = &hal.Stream{Tracks: []hal.Track{{Codec: hal.AV1}}}
	s.give(0, time.Second, true, obu(6, 20))
	_, err := io.Copy(io.Discard, p.r)
	require.NoError(t, err, "the connection is closed in order")
	again := dial(t, r.server.Addr().String())
	require.Contains(t, again.ask("DESCRIBE", r.url("gate")).body, "AV1/90000")
}

func TestANewRunGoesOnWithoutAJumpBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	s, _ := r.scripted("gate", h264Track())
	for n := range 3 {
		s.give(gop(n))
	}
	p := dial(t, r.server.Addr().String())
	p.watch(r.url("gate"), 0)
	next := func() rtpPacket {
		for {
			if ch, b := p.packet(); ch == 0 {
				return parseRTP(b)
			}
		}
	}
	var last rtpPacket
	for range 3 {
		last = next()
	}
	s.ends <- struct{}{}
	<-s.opened
	s.give(gop(0)) // its clock begins anew
	k := next()
	require.Equal(t, last.seq+1, k.seq)
	require.Less(t, k.ts-last.ts, uint32(60*90000), "time goes on as the monotonic clock did")
	require.NotZero(t, k.ts-last.ts)
}

func TestTwoChannelsOfOneName(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	_, ch := r.scripted("gate", h264Track())
	env := pipeline.Env{Want: func(bool) {}, RequestKeyFrame: func() {}}
	second := r.server.Mount("gate")
	require.ErrorContains(t, second.Open(t.Context(), env), "/gate: already mounted")
	require.NoError(t, ch.Exit(t.Context()))
	require.NoError(t, second.Open(t.Context(), env))
	require.NoError(t, second.Close())
	require.NoError(t, second.Close(), "a second call is harmless")
}

func TestCloseEndsEverySession(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	s, ch := r.scripted("gate", h264Track())
	s.repeat(gop)
	r.scripted("dark", h264Track())
	watching, idle, half, waiting := dial(t, r.server.Addr().String()), dial(t, r.server.Addr().String()),
		dial(t, r.server.Addr().String()), dial(t, r.server.Addr().String())
	watching.watch(r.url("gate"), 0)
	idle.ask("OPTIONS", r.url("gate"))
	_, err := io.WriteString(half.conn, "DESCR")
	require.NoError(t, err)
	waiting.send("DESCRIBE", r.url("dark"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, r.server.Close(ctx))
	require.NoError(t, r.server.Close(ctx), "a second call is harmless")
	for _, p := range []*player{watching, idle, half, waiting} {
		_, _ = io.Copy(io.Discard, p.r) // it ends
	}
	eventually(t, "the channel runs unwatched", func() bool { own, _ := stats(ch); return own.Readers == 0 })
	require.Error(t, r.server.Start(), "a closed server does not start")
}

func TestConfigurationErrors(t *testing.T) { // A3
	t.Parallel()
	for _, tc := range []struct {
		cfg  rtsp.Config
		want string
	}{
		{rtsp.Config{Listen: "8554"}, `listen address "8554": HOST:PORT`},
		{rtsp.Config{Listen: "127.0.0.1:rtsp"}, "HOST:PORT"},
		{rtsp.Config{UDP: "127.0.0.1:8001"}, "must be even"},
		{rtsp.Config{MaxReaders: -1}, "negative"},
	} {
		require.ErrorContains(t, tc.cfg.Validate(), tc.want)
		require.ErrorContains(t, rtsp.NewServer(tc.cfg).Start(), tc.want)
	}
	require.NoError(t, rtsp.Config{}.Validate())
	var lc net.ListenConfig
	busy, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, busy.Close()) }()
	require.ErrorContains(t, rtsp.NewServer(rtsp.Config{Listen: busy.Addr().String()}).Start(), "address already in use")
}

func TestUDPOffRefusesUDP(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{UDP: rtsp.UDPOff})
	s, _ := r.scripted("gate", h264Track())
	s.repeat(gop)
	p := dial(t, r.server.Addr().String())
	require.Equal(t, 461, p.ask("SETUP", r.url("gate/trackID=0"), "Transport: RTP/AVP;unicast;client_port=5000-5001").status)
	require.Equal(t, 200, p.ask("SETUP", r.url("gate/trackID=0"),
		"Transport: RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1").status)
}

func TestHostileClientsHurtNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{MaxConns: 200})
	s, _ := r.scripted("gate", h264Track())
	s.repeat(gop)
	watching := dial(t, r.server.Addr().String())
	watching.watch(r.url("gate"), 0)
	for _, attack := range attacks(r.url("gate")) {
		for range 3 {
			p := dial(t, r.server.Addr().String())
			_, _ = io.WriteString(p.conn, attack) // the server may hang up in between
		}
		p := dial(t, r.server.Addr().String())
		_, _ = io.WriteString(p.conn, attack)
		_ = p.conn.Close()
	}
	deaf := dial(t, r.server.Addr().String()) // asks and does not read
	for range 20000 {
		if _, err := fmt.Fprintf(deaf.conn, "DESCRIBE %s RTSP/1.0\r\nCSeq: 1\r\n\r\n", r.url("gate")); err != nil {
			break
		}
	}
	watching.pictures(100)
	p := dial(t, r.server.Addr().String())
	p.watch(r.url("gate"), 0)
	p.pictures(10)
}

// attacks is what no player says.
func attacks(url string) []string {
	long := strings.Repeat("A", 1<<20)
	req := func(method, target string, headers ...string) string {
		return method + " " + target + " RTSP/1.0\r\nCSeq: 1\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
	}
	setup := req("SETUP", url+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	return []string{
		"\x00", long, "DESCRIBE " + long, "GET / HTTP/1.1\r\n" + long, "POST /x HTTP/1.0\r\n\r\n", "DESC", "$", "$\x00\xff\xff", "$\x00\x00\x01x",
		req("DESCRIBE", "rtsp://"), req("DESCRIBE", "*"), req("DESCRIBE", url, "Content-Length: 99999999"),
		req("DESCRIBE", url, "Content-Length: 100"), req("DESCRIBE", url, long+": x"), req("DESCRIBE", url, "X: "+long),
		req("PLAY", url), req("PLAY", url, "Session: 1234"), req("PAUSE", url, "Session: x"), req("TEARDOWN", url, "Session: x"),
		req("SETUP", url), req("SETUP", url+"/trackID=99", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
		req("SETUP", url+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=300-301"),
		req("SETUP", url+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-7"),
		req("SETUP", url+"/trackID=0", "Transport: RTP/AVP;unicast;client_port=0-0"),
		req("SETUP", url+"/trackID=0", "Transport: RTP/AVP;unicast;client_port=99999-100000"),
		req("SETUP", url+"/trackID=-1", "Transport: nonsense"), setup + setup, setup + req("PLAY", url) + "garbage",
		req("PLAY", "*"), req("RECORD", url), req("SET_PARAMETER", url, "Content-Length: 3") + "abc", "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
	}
}

// FuzzClient: whatever a client says, the server lives, and leaves in time.
func FuzzClient(f *testing.F) {
	for _, a := range attacks("rtsp://127.0.0.1/gate") {
		f.Add([]byte(a[:min(len(a), 4096)]))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		r := newRig(t, rtsp.Config{Wait: time.Millisecond, UDP: rtsp.UDPOff})
		r.scripted("gate", h264Track())
		p := dial(t, r.server.Addr().String())
		_, _ = p.conn.Write(said)
		_ = p.conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, p.conn)
	})
}
