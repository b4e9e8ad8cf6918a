package pipeline

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latency is a histogram of durations in powers of two of a microsecond with four steps each,
// so that a percentile is right to a quarter. One writer, any readers; it never allocates.
type latency struct {
	counts [4 * 32]atomic.Uint64
	max    atomic.Int64
}

func (l *latency) add(ns int64) {
	us := uint64(max(0, ns)) / uint64(time.Microsecond)
	l.counts[latencyStep(us)].Add(1)
	if ns > l.max.Load() {
		l.max.Store(ns)
	}
}

// countOn goes on from another's figures.
func (l *latency) countOn(before *latency) {
	for i := range l.counts {
		l.counts[i].Store(before.counts[i].Load())
	}
	l.max.Store(before.max.Load())
}

// latencyStep is the step of a number of microseconds: 0–3 for themselves, then four a power.
func latencyStep(us uint64) int {
	if us < 4 {
		return int(us)
	}
	power := bits.Len64(us) - 1
	return min(4*(power-1)+int(us>>(power-2)&3), 4*32-1)
}

// latencyUpper is the first number of microseconds beyond a step.
func latencyUpper(step int) uint64 {
	if step < 4 {
		return uint64(step) + 1
	}
	power := step/4 + 1
	return uint64(4+step%4+1) << (power - 2)
}

// LatencyStats is how long frames took, in microseconds.
type LatencyStats struct {
	Count uint64 `json:"count"`
	P50   uint64 `json:"p50_us"`
	P99   uint64 `json:"p99_us"`
	Max   uint64 `json:"max_us"`
}

func (l *latency) stats() LatencyStats {
	var counts [len(l.counts)]uint64
	s := LatencyStats{Max: uint64(l.max.Load()) / uint64(time.Microsecond)}
	for i := range l.counts {
		counts[i] = l.counts[i].Load()
		s.Count += counts[i]
	}
	percentile := func(p uint64) uint64 {
		rest := s.Count * p / 100
		for i, n := range counts {
			if rest < n {
				return min(latencyUpper(i), max(s.Max, 1))
			}
			rest -= n
		}
		return s.Max
	}
	if s.Count > 0 {
		s.P50, s.P99 = percentile(50), percentile(99)
	}
	return s
}
