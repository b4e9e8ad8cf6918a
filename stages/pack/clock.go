package pack

import (
	"math"
	"time"
)

// units converts a time to units of 1/scale s, to the nearest. Each time is converted by
// itself, so that rounding never adds up: a sample lasts from its own time to the next one's.
// Sound whose times were cut to whole nanoseconds gets its sample numbers back exactly.
func units(d time.Duration, scale uint32) int64 {
	sec, ns := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second / 2)
	if ns < 0 {
		half = -half
	}
	return sec*int64(scale) + (ns*int64(scale)+half)/int64(time.Second)
}

// span fits a sample's duration into its field. A negative one is a clock that stepped back.
func span(d int64) uint32 { return uint32(min(max(d, 0), math.MaxUint32)) }

// shift fits a composition offset into its field.
func shift(d int64) int32 { return int32(min(max(d, math.MinInt32), math.MaxInt32)) }

// since converts units of 1/scale s to a time, to the nearest ns; what passes three centuries
// stops there.
func since(n int64, scale uint32) time.Duration {
	const most = 300 * 365 * 24 * 3600
	s := int64(scale)
	if n/s > most || n/s < -most {
		n = min(max(n, -most*s), most*s)
	}
	half := s / 2
	if n < 0 {
		half = -half
	}
	return time.Duration(n/s)*time.Second + time.Duration((n%s*int64(time.Second)+half)/s)
}
