package record

import (
	"time"

	"github.com/millrace-video/millrace/hal"
)

// line ties a run's DTS to the monotonic clock. A frame never arrives before it was taken, so the
// frame with the least delay so far tells best; a camera whose clock is slow is followed by a
// few parts in ten thousand.
type line struct {
	begun bool
	zero  int64         // Mono of DTS 0
	at    time.Duration // DTS of the frame before
}

// drift is how much of the time that has passed the line gives way to later frames.
const drift = 5000 // 1/5000: 200 ppm, twice what a bad crystal has

func (l *line) see(s hal.Stamp) {
	zero := s.Mono - int64(s.DTS)
	if !l.begun || zero <= l.zero {
		l.begun, l.zero, l.at = true, zero, s.DTS
		return
	}
	l.zero += min(zero-l.zero, int64(max(0, s.DTS-l.at))/drift)
	l.at = max(l.at, s.DTS)
}

// mono returns the instant of a DTS.
func (l *line) mono(dts time.Duration) int64 { return l.zero + int64(dts) }
