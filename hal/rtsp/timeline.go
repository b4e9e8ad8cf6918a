package rtsp

import (
	"math/bits"
	"time"
)

// How time stamps are made.
//
// Each track counts its own RTP clock from its first packet. Where that first packet stands
// between the tracks is told by RTP-Info, or else by when it arrived. As soon as sender reports of
// two tracks are there, they say exactly where a track stands beside the reference, the first
// track with pictures. What is then wrong is not jumped over: the track's clock runs up to a
// tenth faster or slower until it is right, so that stamps never step back and no hole opens.
// Before its first frame a track is set right at once. The reference itself is never moved.
const (
	// maxSkew: reports that put two tracks further apart than this are not believed.
	maxSkew = 10 * time.Second
	// maxInfoSkew: RTP-Info that contradicts the arrival by more is not believed.
	maxInfoSkew = 2 * time.Second
	// maxJump: an RTP clock that jumps further than this was set anew.
	maxJump = 10 * time.Second
	// slewPart: a clock is corrected by at most this part of the time that passes.
	slewPart = 10
)

// trackClock makes media time of RTP time stamps.
type trackClock struct {
	rate int64 // ticks a second

	begun bool
	last  uint32
	ticks int64 // of last, since the first packet
	mono  int64 // when it came

	base   time.Duration // media time of tick 0
	target time.Duration // what base ought to be
	moved  int64         // ticks up to which base was corrected

	report   bool
	reportAt int64 // ticks
	reported time.Duration
}

// ticksToDuration converts without overflow.
func ticksToDuration(ticks, rate int64) time.Duration {
	sec, rest := ticks/rate, ticks%rate
	return time.Duration(sec)*time.Second + time.Duration(rest)*time.Second/time.Duration(rate)
}

// durationToTicks is the inverse.
func durationToTicks(d time.Duration, rate int64) int64 {
	sec, rest := d/time.Second, d%time.Second
	return int64(sec)*rate + int64(rest)*rate/int64(time.Second)
}

// at returns the ticks of an RTP time stamp that arrived at mono, without moving the clock far:
// where it jumped, the clock goes on from where arrival says, and jumped is true.
func (c *trackClock) at(ts uint32, mono int64) (ticks int64, jumped bool) {
	step := int64(int32(ts - c.last))
	if limit := durationToTicks(maxJump, c.rate); step > limit || step < -limit {
		jumped = true
		step = durationToTicks(time.Duration(max(mono-c.mono, 0)), c.rate)
		c.report = false
	}
	c.last, c.mono = ts, mono
	c.ticks += step
	return c.ticks, jumped
}

// begin starts the clock at its first packet.
func (c *trackClock) begin(ts uint32, mono int64, base time.Duration) {
	c.begun, c.last, c.mono = true, ts, mono
	c.base, c.target = base, base
}

// media returns the media time of a tick and corrects the clock by what may be corrected since.
func (c *trackClock) media(ticks int64) time.Duration {
	if off := c.target - c.base; off != 0 && ticks > c.moved {
		room := ticksToDuration(ticks-c.moved, c.rate) / slewPart
		c.base += min(max(off, -room), room)
	}
	c.moved = max(c.moved, ticks)
	return c.base + ticksToDuration(ticks, c.rate)
}

// observe takes a sender report. It returns false where it contradicts what the track sends.
func (c *trackClock) observe(sr senderReport) bool {
	step := int64(int32(sr.rtp - c.last))
	if limit := durationToTicks(maxJump, c.rate); !c.begun || sr.ntp == 0 || step > limit || step < -limit {
		return false
	}
	c.report, c.reportAt, c.reported = true, c.ticks+step, ntpDuration(sr.ntp)
	return true
}

// align sets c's target by its sender report and the reference's. It returns false where the
// two are too far apart to be believed.
func (c *trackClock) align(ref *trackClock, started bool) bool {
	if !c.report || !ref.report {
		return true
	}
	// At the instant of c's report the reference stands here:
	want := ref.base + ticksToDuration(ref.reportAt, ref.rate) + (c.reported - ref.reported)
	target := want - ticksToDuration(c.reportAt, c.rate)
	if (target - c.base).Abs() > maxSkew {
		return false
	}
	c.target = target
	if !started {
		c.base = target
	}
	return true
}

// ntpDuration is the time since 1900.
func ntpDuration(ntp uint64) time.Duration {
	sec := time.Duration(ntp>>32) * time.Second
	frac, _ := bits.Mul64(ntp<<32, uint64(time.Second))
	return sec + time.Duration(frac)
}

// ntpTime is a time since 1900 as a time; the era turns over in 2036 (RFC 5905 §6).
func ntpTime(since1900 time.Duration) time.Time {
	const toUnix = 2208988800
	sec := int64(since1900/time.Second) - toUnix
	if sec < 0 { // written after 7 February 2036, or by a camera that knows no time
		sec += 1 << 32
	}
	return time.Unix(sec, int64(since1900%time.Second)).UTC()
}

// reorder derives decoding times: in decoding order, the time of a picture is the smallest
// presentation time among it and the depth pictures that wait before it. It never steps back,
// and lies at or before the presentation time where depth is as the encoder said.
type reorder struct {
	depth int // pictures that may come before others that are shown earlier
	known bool
	pts   [17]time.Duration // the smallest first
	n     int
	least time.Duration // the last smallest
	last  time.Duration // the last decoding time
	begun bool
}

const maxReorder = 16

// next returns the decoding time of a picture. interval is a picture's duration, as far as
// known: the first pictures' decoding times lie so far apart.
func (r *reorder) next(pts, interval time.Duration) time.Duration {
	if !r.begun {
		r.begun, r.n = true, 0
		for i := r.depth; i > 0; i-- {
			r.insert(pts - time.Duration(i)*interval)
		}
		r.last = pts - time.Duration(r.depth+1)*interval
		r.least = r.last
	}
	if !r.known && pts < r.least && r.depth < 4 {
		r.depth++ // an encoder that did not say so reorders
		r.insert(r.least)
	}
	r.insert(pts)
	r.least = r.pts[0]
	for r.n > r.depth {
		copy(r.pts[:], r.pts[1:r.n])
		r.n--
	}
	r.last = max(r.least, r.last)
	return r.last
}

func (r *reorder) insert(pts time.Duration) {
	i := r.n
	for i > 0 && r.pts[i-1] > pts {
		r.pts[i] = r.pts[i-1]
		i--
	}
	r.pts[i] = pts
	r.n++
}

// set takes the depth that a parameter set names.
func (r *reorder) set(depth int, known bool) {
	depth = min(max(depth, 0), maxReorder)
	if r.begun && depth == r.depth && known == r.known {
		return
	}
	r.depth, r.known = depth, known
	if r.begun { // what is shown next is unknown: begin again after the last
		r.n = 0
		for range depth {
			r.insert(r.last)
		}
	}
}

// restart continues the clock where the camera began to count anew.
func (c *trackClock) restart(ts uint32, mono int64) {
	if c.begun {
		c.ticks += durationToTicks(time.Duration(max(mono-c.mono, 0)), c.rate)
		c.last, c.mono, c.report = ts, mono, false
	}
}
