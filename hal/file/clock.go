package file

import (
	"math/bits"
	"time"
)

// century is the longest a file can be; what passes it is damage, not time.
const century = 100 * 365 * 24 * time.Hour

// toTime converts ticks of a time scale to the nearest nanosecond, so that the ticks can be
// had back exactly. False where the result passes a century.
func toTime(ticks int64, scale uint32) (time.Duration, bool) {
	if scale == 0 {
		return 0, false
	}
	abs := uint64(ticks)
	if ticks < 0 {
		abs = -abs
	}
	hi, lo := bits.Mul64(abs, uint64(time.Second))
	lo, carry := bits.Add64(lo, uint64(scale)/2, 0)
	hi += carry
	if hi >= uint64(scale) {
		return 0, false
	}
	q, _ := bits.Div64(hi, lo, uint64(scale))
	if q > uint64(century) {
		return 0, false
	}
	if ticks < 0 {
		return -time.Duration(q), true
	}
	return time.Duration(q), true
}
