package file

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/pool"
)

// mp4 reads progressive and fragmented MP4, and what QuickTime makes of the same boxes.
type mp4 struct {
	*input
	win   *window // for the boxes
	first *hal.Stream
	cur   *hal.Stream

	tracks     []*mp4Track // those that are played
	fragmented bool
	begin, top boxes // the file's boxes from moov on; where the next fragment is looked for
	topErr     error // why there is none
	topEnd     bool
	scratch    []byte
}

const boxWindow = 4 << 10

// openMP4 finds the tracks and the first sample of each.
func openMP4(in *input) (*mp4, error) {
	m := &mp4{input: in, win: newWindow(in.r, in.size, boxWindow)}
	l := boxes{win: m.win, end: in.size, where: "the file", file: true}
	for {
		b, ok, err := l.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, damaged(in.size, "moov", "the recording was cut off before its index was written: record it again, or as fragmented MP4",
				"the file ends without the index of its samples")
		}
		if b.kind != cc("moov") {
			continue
		}
		if b.cut {
			return nil, damaged(b.start, "moov", adviceCut, "the file ends within the index of its samples")
		}
		if err := m.movie(b); err != nil {
			return nil, err
		}
		break
	}
	m.begin = l
	m.begin.n = 0
	if err := m.choose(); err != nil {
		return nil, err
	}
	if err := m.origin(); err != nil {
		return nil, err
	}
	return m, nil
}

// choose keeps the tracks that can be played and says once which are left out.
func (m *mp4) choose() error {
	m.first = &hal.Stream{}
	var out []string
	m.tracks = slices.DeleteFunc(m.tracks, func(t *mp4Track) bool {
		if len(t.entries) == 0 || t.entries[0].track.Codec == hal.CodecUnknown {
			name := "no sample description"
			if len(t.entries) > 0 {
				name = t.entries[0].name.String()
			}
			out = append(out, fmt.Sprintf("track %d (%s)", t.id, name))
			return true
		}
		t.index, t.desc = len(m.first.Tracks), 1
		t.tables.group = t.entries[0].pcmFrame
		if t.tables.fixed > t.tables.group || t.tables.fixed == 0 {
			t.tables.group = 0
		}
		t.runs.win = newWindow(m.r, m.size, columnWindow)
		m.first.Tracks = append(m.first.Tracks, t.entries[0].track)
		if t.edits > 0 {
			m.log.Warn("edits in the middle of a track are ignored", "track", t.id, "edits", t.edits)
		}
		return false
	})
	if len(out) > 0 {
		m.log.Warn("tracks are left out: their codec is not supported", "tracks", strings.Join(out, ", "))
	}
	if len(m.tracks) == 0 {
		if len(out) == 0 {
			return fmt.Errorf("%w: the file has no track with pictures or sound; %s", hal.ErrUnsupported, adviceConvert)
		}
		return fmt.Errorf("%w: no track can be played, only: %s; %s", hal.ErrUnsupported, strings.Join(out, ", "), adviceConvert)
	}
	m.cur = m.first
	return nil
}

// origin makes the earliest DTS of the file 0, and knows the frame rate where it is constant.
func (m *mp4) origin() error {
	for _, t := range m.tracks {
		if t.tables.ctts.count > 0 {
			if err := t.tables.lowest(); err != nil {
				return err
			}
		}
		m.rate(t)
	}
	m.rewind()
	if err := m.fill(); err != nil {
		return err
	}
	for _, t := range m.tracks {
		t.back = min(t.tables.back, t.runs.lowest(t.head))
		back, _ := toTime(int64(t.back), t.scale)
		t.shift += back
	}
	m.rewind()
	if err := m.fill(); err != nil {
		return err
	}
	var earliest time.Duration
	some := false
	for _, t := range m.tracks {
		if t.have && (!some || t.dts < earliest) {
			earliest, some = t.dts, true
		}
	}
	if !some {
		if m.topErr != nil {
			return m.topErr
		}
		return damaged(m.begin.at, "moov", adviceCut, "the tracks have no samples")
	}
	for _, t := range m.tracks {
		t.shift -= earliest
	}
	m.rewind()
	return nil
}

func (m *mp4) rate(t *mp4Track) {
	track := &m.first.Tracks[t.index]
	s := &t.tables
	if !track.Codec.IsVideo() || s.stts.count != 1 {
		return
	}
	e, err := s.stts.at(0)
	if err != nil {
		return // the first sample will say so
	}
	if rate := float64(t.scale) / float64(be32(e[4:])); nal.BelievableRate(rate) {
		track.FrameRate = rate
		t.entries[0].track.FrameRate = rate
	}
}

func (m *mp4) stream() *hal.Stream { return m.first }

func (m *mp4) rewind() {
	m.top, m.topErr, m.topEnd = m.begin, nil, !m.fragmented
	if !m.cur.Equal(m.first) {
		m.cur = m.first
	}
	for _, t := range m.tracks {
		t.tables.rewind()
		t.runs.rewind()
		t.have, t.played, t.gap, t.desc = false, false, false, 1
	}
}

func (m *mp4) close() {}

// next returns the sample with the lowest DTS of all tracks.
func (m *mp4) next(ctx context.Context) (sample, error) {
	for {
		if err := m.fill(); err != nil {
			return sample{}, err
		}
		var t *mp4Track
		for _, c := range m.tracks {
			if c.have && (t == nil || c.dts < t.dts) {
				t = c
			}
		}
		if t == nil {
			if m.topErr != nil {
				return sample{}, m.topErr
			}
			return sample{}, io.EOF
		}
		s, ok, err := m.load(ctx, t)
		if err != nil {
			return sample{}, err
		}
		t.have = false
		if ok {
			return s, nil
		}
		if err := ctx.Err(); err != nil {
			return sample{}, err
		}
	}
}

// fill finds the next sample of every track, fragment after fragment, as far ahead as it is
// sensible to look for a track's next one.
func (m *mp4) fill() error {
	for {
		missing, waiting := false, 0
		for _, t := range m.tracks {
			if err := m.peek(t); err != nil {
				return err
			}
			missing = missing || !t.have
			waiting += t.runs.waiting()
		}
		if !missing || m.topEnd || waiting >= maxRuns {
			return nil
		}
		more, err := m.fragment()
		if err != nil || !more {
			m.topEnd, m.topErr = true, err
		}
	}
}

// peek makes head the track's next sample.
func (m *mp4) peek(t *mp4Track) error {
	for !t.have {
		u, ok, err := t.tables.next()
		if err == nil && !ok {
			u, ok, err = t.runs.next()
		}
		if err != nil || !ok {
			return err
		}
		if u.size == 0 {
			m.counts.malformed.Add(1)
			t.gap = true
			continue
		}
		dts, fits := toTime(u.dts, t.scale)
		if !fits {
			return damaged(u.off, "the sample there", adviceRemux, "track %d: a time stamp of %d ticks, %d a second", t.id, u.dts, t.scale)
		}
		t.head, t.dts, t.have = u, dts+t.shift, true
	}
	return nil
}

// load reads the track's next sample. False where nothing of it is left.
func (m *mp4) load(ctx context.Context, t *mp4Track) (sample, bool, error) {
	u := t.head
	if u.off < 0 || u.off > m.size || int64(u.size) > m.size-u.off {
		return sample{}, false, damaged(max(u.off, 0), "a sample", adviceCut, "track %d has a sample of %d bytes here, the file ends at byte %d",
			t.id, u.size, m.size)
	}
	if !m.describe(t, u.desc) {
		m.counts.malformed.Add(1)
		t.gap = true
		return sample{}, false, nil
	}
	e := &t.entries[t.desc-1]
	buf, err := m.fetch(ctx, t, e, u)
	if err != nil || buf.IsZero() {
		return sample{}, false, err
	}
	s := sample{buf: buf, stream: m.cur, track: t.index, key: u.key || !m.cur.Tracks[t.index].Codec.IsInter(), gap: t.gap}
	s.dts = t.dts
	shown, ok1 := toTime(u.dts+int64(u.cts), t.scale)
	length, ok2 := toTime(int64(u.dur), t.scale)
	if !ok1 || !ok2 {
		buf.Release()
		return sample{}, false, damaged(u.off, "the sample there", adviceRemux, "track %d: a time stamp of %d ticks, %d a second", t.id, u.dts, t.scale)
	}
	back, _ := toTime(int64(t.back), t.scale)
	s.pts, s.dur = shown+t.shift-back, length
	if t.played && s.dts < t.last {
		s.dts = t.last
	}
	t.last, t.played, t.gap = s.dts, true, false
	return s, true, nil
}

// describe makes another sample description the track's. False where it cannot be played.
func (m *mp4) describe(t *mp4Track, desc uint32) bool {
	if desc == t.desc || desc == 0 {
		return true
	}
	if int64(desc) > int64(len(t.entries)) || t.entries[desc-1].track.Codec == hal.CodecUnknown {
		return false
	}
	t.desc = desc
	if e := &t.entries[desc-1]; !e.track.Equal(m.cur.Tracks[t.index]) {
		m.cur = with(m.cur, t.index, e.track)
	}
	return true
}

// fetch reads a sample into the arena and brings it into the form of hal.Frame. A zero Buffer
// is a sample that makes no sense.
func (m *mp4) fetch(ctx context.Context, t *mp4Track, e *entry, u unit) (pool.Buffer, error) {
	track := &m.cur.Tracks[t.index]
	switch track.Codec {
	case hal.H264, hal.H265:
		return m.fetchNAL(ctx, t, e, u)
	case hal.AV1:
		buf, err := m.lender.get(ctx, int(u.size)+nal.OBURoom)
		if err != nil {
			return pool.Buffer{}, err
		}
		if err := m.read(buf, buf.Bytes()[:u.size], u); err != nil {
			return pool.Buffer{}, err
		}
		n, changed, bad := nal.SettleAV1(track, buf.Bytes(), int(u.size), u.key)
		return m.settled(t, buf, n, changed, bad), nil
	case hal.CodecUnknown, hal.Raw, hal.MJPEG, hal.LPCM, hal.AAC, hal.Opus, hal.G711A, hal.G711U, hal.FWHT:
	}
	buf, err := m.lender.get(ctx, int(u.size))
	if err != nil {
		return pool.Buffer{}, err
	}
	if err := m.read(buf, buf.Bytes(), u); err != nil {
		return pool.Buffer{}, err
	}
	if e.swap > 0 {
		for p := buf.Bytes(); len(p) >= e.swap; p = p[e.swap:] {
			slices.Reverse(p[:e.swap])
		}
	}
	return buf, nil
}

// read fills p from the file; on an error the buffer is given back.
func (m *mp4) read(buf pool.Buffer, p []byte, u unit) error {
	n, err := m.r.ReadAt(p, u.off)
	if n == len(p) {
		return nil
	}
	buf.Release()
	return readError(u.off+int64(n), "a sample", err)
}

func (m *mp4) fetchNAL(ctx context.Context, t *mp4Track, e *entry, u unit) (pool.Buffer, error) {
	extra := e.extra
	if !u.key {
		extra = nil
	}
	size := int(u.size)
	if e.lenSize != nal.PrefixLen {
		m.scratch = slices.Grow(m.scratch[:0], size)[:size]
		if n, err := m.r.ReadAt(m.scratch, u.off); n < size {
			return pool.Buffer{}, readError(u.off+int64(n), "a sample", err)
		}
		size = nal.Widened(m.scratch, e.lenSize)
	}
	buf, err := m.lender.get(ctx, len(extra)+size)
	if err != nil {
		return pool.Buffer{}, err
	}
	p := buf.Bytes()
	copy(p, extra)
	if e.lenSize != nal.PrefixLen {
		nal.Widen(p[len(extra):], m.scratch, e.lenSize)
	} else if err := m.read(buf, p[len(extra):], u); err != nil {
		return pool.Buffer{}, err
	}
	n, changed, bad := nal.Settle(&m.cur.Tracks[t.index], p, u.key)
	return m.settled(t, buf, n, changed, bad), nil
}

// settled takes over what nal.Settle found.
func (m *mp4) settled(t *mp4Track, buf pool.Buffer, n int, changed *hal.Track, bad int) pool.Buffer {
	if bad >= 0 {
		m.counts.malformed.Add(1)
	}
	if changed != nil {
		m.cur = with(m.cur, t.index, *changed)
	}
	if n == 0 || bad >= 0 {
		t.gap = true
		buf.Release()
		return pool.Buffer{}
	}
	if n < buf.Len() {
		buf.Shorten(n)
	}
	return buf
}
