package rtsp

import (
	"errors"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// take makes a block of a frame, keeps it for players that join, and returns who is to get it.
func (m *mount) take(f hal.Frame) (b block, readers []*reader, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open || m.interest == 0 {
		return b, nil, false
	}
	if f.Stream != m.seen {
		m.follow(f.Stream)
	}
	if !m.isKnown {
		m.isKnown = true
		close(m.known)
	}
	if m.layout == nil || !m.fresh(f) {
		return b, nil, false
	}
	t := &m.layout.tracks[m.layout.media[f.Track]]
	start := m.layout.video < 0 || t.media == m.layout.video && f.Key
	if m.needKey && !start {
		return b, nil, false
	}
	seq := t.seq
	buf, at, err := m.pack(t, f)
	if err != nil {
		m.fault(t, err)
		return b, nil, false
	}
	m.needKey = false
	m.frames.Add(1)
	b = block{buf: buf, media: t.media, start: start, seq: seq, at: at}
	m.keep(b)
	if !m.isReady {
		m.isReady = true
		close(m.ready)
	}
	return b, m.readers, true
}

// fresh says whether f is served and did not come before: who joins anew while frames of
// before are still in the queue sees some of them twice.
func (m *mount) fresh(f hal.Frame) bool {
	if f.Track >= len(m.layout.media) || m.layout.media[f.Track] < 0 {
		return false
	}
	for len(m.prev) <= f.Track {
		m.prev = append(m.prev, stampOf{})
	}
	p, s := &m.prev[f.Track], f.Stamp
	if p.has && p.run == s.Run && (s.DTS < p.dts || s.DTS == p.dts && s.PTS == p.pts) {
		return false
	}
	if !m.needKey || f.Key {
		*p = stampOf{has: true, run: s.Run, dts: s.DTS, pts: s.PTS}
	}
	return true
}

// pack makes a frame's block, with a sender report before it where one is due.
func (m *mount) pack(t *track, f hal.Frame) (pool.Buffer, time.Duration, error) {
	pts, dts := m.line.place(f.Stamp)
	if m.ref.number == 0 || f.Stamp.Mono-m.ref.mono >= int64(reportEvery) {
		m.ref = reference{number: m.ref.number + 1, mono: f.Stamp.Mono, at: dts, ntp: ntpTime(m.env.Clock.Wall(f.Stamp.Mono))}
	}
	before := *t
	if t.reported != m.ref.number && t.packets > 0 {
		if p, err := m.w.b.Grow(reportSize(len(m.layout.name))); err == nil {
			putReport(p, t, m.ref, byte(2*t.media+1), m.layout.name)
			t.reported = m.ref.number
		}
	}
	err := m.w.frame(t, f, pts)
	if err == nil && t.packets == before.packets {
		err = errEmptyUnit
	}
	if err != nil {
		m.w.b.Discard()
		*t = before
		return pool.Buffer{}, 0, err
	}
	buf, err := m.w.b.Finish()
	if err != nil {
		return pool.Buffer{}, 0, err
	}
	return buf, pts, nil
}

var errEmptyUnit = errors.New("access unit without content")

// fault counts a frame that could not be sent; after a lost picture players start anew with
// a key frame. The caller holds mu.
func (m *mount) fault(t *track, err error) {
	m.faults.Add(1)
	if t.media == m.layout.video && m.layout.inter {
		m.needKey = true
		m.forgetTail()
	}
	if text := err.Error(); text != m.bad {
		m.bad = text
		m.env.Log.Warn("frame cannot be sent over RTSP", "track", t.String(), "cause", text)
	}
}

// keep remembers a block for players that join. The caller holds mu.
func (m *mount) keep(b block) {
	if b.start {
		m.forgetTail()
	} else if len(m.tail) == 0 {
		return
	}
	if m.kept+b.buf.Len() > m.server.cfg.ReplayBytes && !b.start {
		m.forgetTail()
		return
	}
	b.buf.Retain()
	m.tail = append(m.tail, b)
	m.kept += b.buf.Len()
}

// follow takes note of another stream. The caller holds mu.
func (m *mount) follow(s *hal.Stream) {
	m.seen = s
	if m.layout != nil && m.layout.carry(s) {
		return
	}
	next, left, err := newLayout(s)
	m.dropLayout(next)
	m.why, m.needKey = err, true
	if text := strings.Join(left, "; "); text != m.left {
		m.left = text
		if text != "" {
			m.env.Log.Warn("tracks left out of RTSP", "tracks", text)
		}
	}
}
