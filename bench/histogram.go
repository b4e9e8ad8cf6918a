package bench

import (
	"math"
	"time"
)

// histogram counts times in steps of 0.1 ms, up to 6.5 s.
type histogram struct {
	counts [1 << 16]uint32
	n      int64
	most   time.Duration
}

const histogramStep = 100 * time.Microsecond

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[min(int(d/histogramStep), len(h.counts)-1)]++
	h.n++
	h.most = max(h.most, d)
}

// Spread is how times are spread, in ms.
type Spread struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func (h *histogram) spread() Spread {
	return Spread{P50: h.percentile(0.50), P99: h.percentile(0.99), Max: ms(h.most)}
}

// percentile is the upper end of the step that the share q of all falls into, in ms.
func (h *histogram) percentile(q float64) float64 {
	want := int64(math.Ceil(q * float64(h.n)))
	for i, count := range h.counts {
		if want -= int64(count); want <= 0 {
			return min(ms(time.Duration(i+1)*histogramStep), ms(h.most))
		}
	}
	return ms(h.most)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
