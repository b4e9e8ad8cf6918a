package rtsp

import (
	"sync/atomic"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/pool"
)

// track is one media of the session: packets go in, frames come out at its source.
type track struct {
	offer

	source *Source
	index  int
	pt     uint8
	join   unpacker
	build  *pool.Builder
	params paramSets
	width  int // of the last JPEG
	height int

	p     packet
	mono  int64 // when the packet at hand was received
	begun bool
	ssrc  uint32
	next  uint16 // sequence number expected
	late  int    // packets in a row that came after their time

	clock   trackClock
	pending senderReport // came before the first packet
	order   reorder
	info    rtpInfo

	started  bool // its first frame was delivered
	gap      bool
	leading  bool          // pictures before floor cannot be decoded
	floor    time.Duration // the first key frame's presentation time
	interval time.Duration // from one frame to the next
	measured bool          // interval is more than what was announced
	lastDTS  time.Duration
	ended    bool

	inter  bool          // the codec's; does not change
	remote atomic.Uint32 // ssrc, for other goroutines
	wall   atomic.Pointer[wallMark]
}

// wallMark says what time it was at the camera at a presentation time.
type wallMark struct {
	pts time.Duration
	ntp time.Duration // since 1900
}

// maxLate is how many packets in a row may be late before the numbering counts as begun anew.
const maxLate = 64

func newTrack(s *Source, index int, o offer, builder *pool.Builder) *track {
	t := &track{
		offer: o, source: s, index: index, pt: o.format.PayloadType(), build: builder,
		params:   paramSetsOf(o.track),
		interval: 40 * time.Millisecond, inter: o.track.Codec.IsInter(),
	}
	t.clock.rate = int64(o.rate)
	t.join = o.join(t, assembly{Builder: builder})
	if j, ok := t.join.(*jpegUnpacker); ok {
		j.size = t.jpegSize
	}
	t.describe()
	return t
}

// rtp takes a packet as it came from the network.
func (t *track) rtp(b []byte, mono int64) {
	if !parsePacket(b, &t.p) {
		t.source.stats.malformed.Add(1)
		return
	}
	t.take(mono)
}

// take takes t.p.
func (t *track) take(mono int64) {
	p := &t.p
	if p.pt != t.pt {
		return // another format of the media, or comfort noise
	}
	t.mono = mono
	t.source.arrived(t, mono)
	if !t.begun {
		t.begin(p)
	}
	lost := false
	switch ahead := p.seq - t.next; {
	case p.ssrc != t.ssrc: // the camera began anew
		t.ssrc, lost = p.ssrc, true
		t.remote.Store(p.ssrc)
		t.clock.restart(p.ts, mono)
	case ahead == 0:
	case ahead < 1<<15:
		lost = true
		t.source.stats.lost.Add(uint64(ahead))
	case t.late < maxLate:
		t.late++
		return
	default:
		lost = true
	}
	t.next, t.late = p.seq+1, 0
	if lost {
		t.gap = true
	}
	t.join.push(p, lost)
}

func (t *track) begin(p *packet) {
	t.begun, t.ssrc, t.next = true, p.ssrc, p.seq
	t.remote.Store(p.ssrc)
	t.clock.begin(p.ts, t.mono, t.source.firstMedia(t, p.ts))
	if t.pending.ntp != 0 {
		t.source.report(t, t.pending)
	}
}

// frame implements output.
func (t *track) frame(b *assembly, ts uint32, extra int64, key bool) {
	s := t.source
	if t.params.changed {
		t.describe()
	}
	ticks, jumped := t.clock.at(ts, t.mono)
	pts := t.clock.media(ticks + extra)
	if jumped {
		t.gap = true
		t.order.begun = false
	}
	if key && t.started {
		t.leading = false
	}
	if !s.wanted(t, key, pts) {
		b.Discard()
		s.stats.dropped.Add(1)
		return
	}
	dts := pts
	if t.inter {
		dts = t.order.next(pts, t.interval)
	}
	if !s.zeroSet {
		s.zero, s.zeroSet = dts, true
	}
	dts, pts = dts-s.zero, pts-s.zero
	if dts < 0 && !t.started {
		b.Discard() // from before the run's first picture
		s.stats.dropped.Add(1)
		return
	}
	buf, err := b.Finish()
	if err != nil {
		b.Discard()
		t.broken(blame(err))
		return
	}
	if !t.started {
		t.started, t.leading, t.floor, t.gap = true, t.inter, pts+s.zero, false
		t.mark()
	} else {
		dts = max(dts, t.lastDTS)
		t.measure(dts - t.lastDTS)
	}
	t.lastDTS = dts
	s.stats.frames.Add(1)
	s.stats.bytes.Add(uint64(buf.Len()))
	s.push(hal.Frame{
		Buf: buf, Stream: s.stream, Track: t.index, Key: key, Gap: t.gap,
		Stamp: hal.Stamp{DTS: dts, PTS: max(pts, dts), Mono: t.mono},
	})
	t.gap = false
}

// measure follows the time from one frame to the next.
func (t *track) measure(step time.Duration) {
	switch {
	case step <= 0 || step > 10*time.Second:
	case t.measured:
		t.interval += (step - t.interval) / 4
	default:
		t.interval, t.measured = step, true
	}
}

// broken implements output.
func (t *track) broken(why fault) {
	t.gap = true
	switch why {
	case faultMalformed:
		t.source.stats.malformed.Add(1)
	case faultNoRoom:
		t.source.stats.dropped.Add(1)
	case faultLost:
	}
}

// parameter implements output.
func (t *track) parameter(kind nal.Kind, unit []byte) bool {
	named, ok := t.params.offer(kind, unit, t.build.Bytes())
	if !ok {
		t.source.stats.malformed.Add(1)
	}
	return named
}

// describe makes the track's description of its parameter sets, and a new stream where that
// changes it.
func (t *track) describe() {
	tr, r := t.params.described()
	if len(tr.SPS) > 0 {
		t.order.set(r.Depth, r.Known)
		if tr.FrameRate > 0 && !t.started {
			t.interval = time.Duration(float64(time.Second) / tr.FrameRate)
		}
	}
	if tr.Codec == hal.MJPEG {
		tr.Width, tr.Height = t.width, t.height
	}
	t.track = tr
	t.source.changed(t.index, tr)
}

// complete says whether all is known that the stream has to name.
func (t *track) complete() bool {
	return nal.Complete(&t.params.named) && (t.track.Codec != hal.MJPEG || t.width > 0)
}

func (t *track) jpegSize(width, height int) {
	if width != t.width || height != t.height {
		t.width, t.height = width, height
		t.describe()
	}
}

// mark ties presentation times to the camera's clock.
func (t *track) mark() {
	if t.clock.report && t.source.zeroSet {
		t.wall.Store(&wallMark{
			pts: t.clock.base + ticksToDuration(t.clock.reportAt, t.clock.rate) - t.source.zero,
			ntp: t.clock.reported,
		})
	}
}
