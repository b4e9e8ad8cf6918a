package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// SimulatorConfig is what a simulator of cameras is started with.
type SimulatorConfig struct {
	Spec     ClipSpec `json:"spec"`
	Clip     string   `json:"clip"` // where the clip is
	Channels int      `json:"channels"`
	Packets  bool     `json:"packets"` // a write for each packet, not for each access unit
}

// simulator is N cameras behind one RTSP address: /cam000 and on. Each camera has a time line of its own, so that
// their key frames are spread over a GOP. Every second one begins with sound, the others with the key frame.
type simulator struct {
	cfg      SimulatorConfig
	clip     *clip
	wheel    *wheel
	sdp      string
	listener *net.TCPListener

	mu       sync.Mutex
	sessions []*session
}

func newSimulator(ctx context.Context, cfg SimulatorConfig) (*simulator, error) {
	if cfg.Channels < 1 || cfg.Channels > 10_000 {
		return nil, fmt.Errorf("%d cameras: from 1 to 10000", cfg.Channels)
	}
	c, err := loadClip(ctx, cfg.Spec, cfg.Clip)
	if err != nil {
		return nil, err
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(errors.New("no TCP"), l.Close())
	}
	return &simulator{cfg: cfg, clip: c, wheel: newWheel(c, cfg.Packets), sdp: c.describe(), listener: tcp}, nil
}

// run serves until ctx ends.
func (s *simulator) run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	all.Go(func() { s.wheel.run(ctx) })
	for {
		conn, err := s.listener.AcceptTCP()
		if err != nil {
			s.close()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		one, err := newSession(conn, monotonic())
		if err != nil || !s.admit(one) {
			_ = conn.Close() //nolint:errcheck // nobody is told
			continue
		}
		all.Go(func() { one.end(s.serve(one)) })
	}
}

// admit takes a session in, within bounds.
func (s *simulator) admit(one *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= 64+16*s.cfg.Channels {
		return false
	}
	s.sessions = append(s.sessions, one)
	return true
}

func (s *simulator) close() {
	_ = s.listener.Close() //nolint:errcheck // it may be closed already
	for _, one := range s.all() {
		one.end("the simulator ended")
	}
}

func (s *simulator) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*session(nil), s.sessions...)
}

// serve answers a reader's requests until it goes, and says why it went.
func (s *simulator) serve(one *session) string {
	r := bufio.NewReader(one.conn)
	for {
		q, err := readRequest(r)
		if err != nil {
			return "the reader left: " + err.Error()
		}
		channel, track, ok := channelOf(q.url)
		if !ok && q.method != "OPTIONS" || channel >= s.cfg.Channels {
			one.put(outgoing{text: true, rest: response(q, "404 Not Found", "")})
			continue
		}
		one.put(outgoing{text: true, rest: s.reply(q, track)})
		switch q.method {
		case "PLAY":
			if one.report().Played == 0 {
				s.play(one, channel)
			}
		case "TEARDOWN":
			return "the reader left"
		}
	}
}

// play starts a session: the cameras' time lines are spread over a GOP.
func (s *simulator) play(one *session, channel int) {
	gop := int64(s.cfg.Spec.GOP)
	one.mu.Lock()
	one.channel, one.log.Channel = channel, channel
	one.offset = s.wheel.video.due(gop) * time.Duration(channel) / time.Duration(s.cfg.Channels)
	one.soundFirst = channel%2 == 1
	one.mu.Unlock()
	s.wheel.join(one, gop)
}

func (s *simulator) reply(q request, track int) []byte {
	const id = "Session: 12345678;timeout=60"
	switch q.method {
	case "OPTIONS":
		return response(q, "200 OK", "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER, SET_PARAMETER")
	case "DESCRIBE":
		return response(q, "200 OK", s.sdp, "Content-Type: application/sdp", "Content-Base: "+q.url+"/")
	case "SETUP":
		if !strings.Contains(q.transport, "RTP/AVP/TCP") {
			return response(q, "461 Unsupported Transport", "")
		}
		return response(q, "200 OK", "", id, fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d", 2*track, 2*track+1))
	case "PLAY", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN":
		return response(q, "200 OK", "", id)
	}
	return response(q, "501 Not Implemented", "")
}

// Standing is how far the cameras' readers are.
type Standing struct {
	Connected int   `json:"connected"` // cameras that a reader was accepted at
	Playing   int   `json:"playing"`   // cameras whose reader has said PLAY
	Begun     int   `json:"begun"`     // cameras that have sent a picture
	First     int64 `json:"first"`     // when the first reader was accepted: CLOCK_MONOTONIC, ns
	Last      int64 `json:"last"`      // when the last camera's first reader said PLAY
}

func (s *simulator) standing() (st Standing) {
	playing, begun := map[int]bool{}, map[int]bool{}
	for _, one := range s.all() {
		log := one.report()
		st.Connected++
		if st.First == 0 || log.Accepted < st.First {
			st.First = log.Accepted
		}
		if log.Played == 0 || playing[log.Channel] {
			continue
		}
		playing[log.Channel] = true
		st.Last = max(st.Last, log.Played)
		if log.Pictures > 0 {
			begun[log.Channel] = true
		}
	}
	st.Playing, st.Begun = len(playing), len(begun)
	return st
}

func (s *simulator) sessionLog() []Session {
	all := s.all()
	logs := make([]Session, len(all))
	for i, one := range all {
		logs[i] = one.report()
	}
	return logs
}
