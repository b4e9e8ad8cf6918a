package flv

import "time"

const (
	// maxAhead: a time stamp that is further ahead of the one before was set anew.
	maxAhead = 10 * time.Second
	// maxBack: so was one that is further behind. Up to it an encoder is just not exact.
	maxBack = time.Second
	// shortWrap is where the time stamps of senders turn over that know no extension byte.
	shortWrap = 1 << 24
)

// clock makes media time of the time stamps of one track: milliseconds in 32 bits that turn over
// after 49 days. The tracks of a stream count on one clock, so where one jumps it stands where the
// other does that has jumped before, and else where it arrived.
type clock struct {
	begun bool
	last  uint32
	at    time.Duration // media time of last
	mono  int64         // when it came
}

// next returns the media time of a time stamp that came at mono, and whether the track's clock was
// set anew.
func (c *clock) next(ts uint32, mono int64, other *clock) (at time.Duration, jumped bool) {
	step, ok := since(ts, c.last)
	switch beside, near := since(ts, other.last); {
	case c.begun && ok:
		c.at += step
	case other.begun && near:
		c.at, jumped = max(c.at, other.at+beside), c.begun
	case c.begun:
		c.at, jumped = c.at+max(time.Duration(mono-c.mono), time.Millisecond), true
	case other.begun:
		c.at = other.at + time.Duration(mono-other.mono)
	}
	c.begun, c.last, c.mono = true, ts, mono
	return c.at, jumped
}

// since returns the time from one time stamp to another, and whether it is believed.
func since(ts, last uint32) (time.Duration, bool) {
	ms := int64(int32(ts - last))
	if ms < 0 && max(ts, last) < shortWrap && ms+shortWrap < maxAhead.Milliseconds() {
		ms += shortWrap
	}
	step := time.Duration(ms) * time.Millisecond
	return step, step >= -maxBack && step <= maxAhead
}
