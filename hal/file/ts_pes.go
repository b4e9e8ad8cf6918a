package file

import (
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

// elementary is one elementary stream: its PES packets (ISO/IEC 13818-1, 2.4.3.6) are put
// together to access units.
type elementary struct {
	listed
	index   int // of its track
	initial hal.Track
	track   hal.Track // as it is now

	cc     int8 // of the packet before; −1: none
	active bool // a unit is under way
	broken bool // part of it is missing
	gap    bool // of the next sample
	head   []byte
	inHead bool // the PES header is not complete
	left   int  // payload bytes to come; −1: not said

	timed    bool  // pts and dts are of the unit under way
	pts, dts int64 // 33 bits
	firstDTS int64
	started  bool // firstDTS is known

	place   placed
	lastDTS time.Duration

	join *joiner // pictures

	// Sound, of which a PES packet holds several frames and maybe part of one.
	sound []byte
	at    int   // of the next frame
	mark  int   // where the payload of this PES packet begins
	clock int64 // time of the next frame, 33 bits
	part  int64 // what of a tick is left over, in samples × 90000
}

const maxSound = 1 << 20

func newElementary(l listed, lender *lender) *elementary {
	e := &elementary{listed: l, cc: -1, index: -1}
	e.track = hal.Track{Codec: l.codec, TimeScale: tsScale}
	if l.codec.IsVideo() {
		e.join = newJoiner(lender)
		e.join.track = &e.track
	}
	if l.codec == hal.Opus {
		e.track.SampleRate, e.track.Channels = 48000, l.channels
	}
	return e
}

// known says whether a decoder could begin.
func (e *elementary) known() bool {
	return e.started && nal.Complete(&e.track) && (e.codec != hal.AAC || e.track.AudioConfig != nil)
}

func (e *elementary) rewind() {
	e.drop()
	e.cc, e.active, e.gap, e.place, e.lastDTS = -1, false, false, placed{}, 0
}

// drop forgets the unit under way.
func (e *elementary) drop() {
	e.broken, e.inHead, e.left, e.timed = false, false, 0, false
	e.sound, e.at, e.mark = e.sound[:0], 0, 0
	if e.join != nil {
		e.join.discard()
	}
}

// breaks says that something is missing.
func (e *elementary) breaks() {
	e.gap = true
	e.broken = e.broken || e.active
}

// continuity compares the packet's counter. again is a packet sent twice.
func (e *elementary) continuity(cc byte, p []byte) (lost int, again bool) {
	if e.cc < 0 || p[3]&0x20 != 0 && p[4] > 0 && p[5]&0x80 != 0 { // discontinuity_indicator
		return 0, false
	}
	want := byte(e.cc+1) & 15
	if cc == want {
		return 0, false
	}
	if cc == byte(e.cc) {
		return 0, true
	}
	return int(cc-want) & 15, false
}

// closes says whether a payload that starts a PES packet ends the unit under way: pictures may
// go on in a packet without a time stamp.
func (e *elementary) closes(p []byte) bool {
	return e.join == nil || len(p) < 8 || p[7]&0x80 != 0
}

// take adds a packet's payload to the unit.
func (e *elementary) take(p []byte, starts bool) {
	if starts {
		e.head, e.inHead = e.head[:0], true
		e.active = true
	}
	if !e.active {
		return
	}
	if e.inHead {
		if p = e.header(p); p == nil {
			return
		}
	}
	if e.left >= 0 {
		p = p[:min(len(p), e.left)]
		e.left -= len(p)
	}
	if e.broken {
		return
	}
	if e.join != nil {
		e.join.write(p)
		return
	}
	if len(e.sound)+len(p) > maxSound {
		e.breaks()
		return
	}
	e.sound = append(e.sound, p...)
}

// header gathers the PES header and returns what stands behind it.
func (e *elementary) header(p []byte) []byte {
	had := len(e.head)
	e.head = append(e.head, p...)
	h := e.head
	if len(h) < 9 {
		return nil
	}
	if h[0] != 0 || h[1] != 0 || h[2] != 1 || h[6]&0xc0 != 0x80 {
		e.inHead = false
		e.breaks()
		return nil
	}
	size := 9 + int(h[8])
	if len(h) < size {
		return nil
	}
	e.inHead = false
	e.left = -1
	if n := int(be16(h[4:])); n != 0 {
		e.left = max(0, n+6-size)
	}
	e.stamps(h[:size])
	e.mark = len(e.sound)
	return p[size-had:]
}

// stamps reads PTS and DTS.
func (e *elementary) stamps(h []byte) {
	flags := h[7] >> 6
	e.timed = flags&2 != 0 && len(h) >= 14
	if !e.timed {
		return
	}
	e.pts = stamp33(h[9:])
	e.dts = e.pts
	if flags == 3 && len(h) >= 19 {
		e.dts = stamp33(h[14:])
	}
	if !e.started {
		e.firstDTS, e.started = e.dts, true
	}
}

func stamp33(p []byte) int64 {
	return int64(p[0]>>1&7)<<30 | int64(be16(p[1:])>>1)<<15 | int64(be16(p[3:])>>1)
}

// length is how long a picture is shown, as far as can be known before the next: as long as
// the one before was.
func (e *elementary) length(dts time.Duration) time.Duration {
	if d := dts - e.lastDTS; d > 0 && d < time.Second && e.lastDTS > 0 {
		return d
	}
	if e.track.FrameRate > 0 {
		return time.Duration(float64(time.Second) / e.track.FrameRate)
	}
	return minPeriod
}
