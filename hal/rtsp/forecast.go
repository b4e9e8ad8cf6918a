package rtsp

import "time"

const (
	// maxSound and soundWait bound the sound that waits for a picture. The RTSP server keeps it for as
	// long, and a little longer, on its way out.
	maxSound  = 4 << 10
	soundWait = 40 * time.Millisecond
)

// expectation is what a camera is known to send.
type expectation struct {
	next  int64 // Mono when the next picture comes, at the soonest
	late  int64 // when it should have come
	sound int   // more bytes than sound comes to until then
}

// forecast makes an expectation of what a camera sent so far.
type forecast struct {
	expect expectation
	beat   int64 // when the last picture was due
	aside  int   // bytes of sound since the last picture
	sound  int   // the same between two pictures, of late
}

// follow takes in a packet that was read. After part of a picture the rest comes in a moment; after all of it the
// next one in an interval, give or take a tenth, and until then as much sound as of late and half as much again.
func (c *forecast) follow(t *track, bytes int, readAt int64) {
	switch {
	case t != t.source.ref:
		if !t.track.Codec.IsVideo() {
			c.aside += bytes
		}
	case !t.p.marker:
		c.expect = expectation{next: readAt, late: readAt}
	default:
		c.sound, c.aside = max(c.aside, c.sound-c.sound/8), 0
		c.beat = inTime(c.beat+int64(t.interval)*51/50, readAt, t.interval)
		wait := int64(min(t.interval, soundWait))
		c.expect = expectation{c.beat + wait*9/10, c.beat + wait*11/10, min(c.sound+c.sound/2, maxSound)}
	}
}

// inTime is when a picture was due that was read at a time: then, but for a delay of up to a quarter of the interval.
// Were each due an interval after the last was read, small ones that are read late would be so from then on. What
// came too early once is made up for by a fiftieth at each picture.
func inTime(due, readAt int64, interval time.Duration) int64 {
	return min(max(due, readAt-int64(interval)/4), readAt)
}
