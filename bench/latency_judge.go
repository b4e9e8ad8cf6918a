package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// load is what the processors did so far, in ticks.
type load struct{ all, idle int64 }

// loadOf reads /proc/stat.
func loadOf() (l load, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return l, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	const idle, wait, steal = 4, 5, 8
	for i, field := range bytes.Fields(line) {
		if i == 0 || i > steal { // a guest's time is in user's already
			continue
		}
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return l, errors.Join(errors.New("/proc/stat is not understood"), err)
		}
		l.all += n
		if i == idle || i == wait {
			l.idle += n
		}
	}
	return l, nil
}

// since is how busy the machine was, 0 to 1.
func (l load) since(before load) float64 {
	if l.all == before.all {
		return 0
	}
	return 1 - float64(l.idle-before.idle)/float64(l.all-before.all)
}

// Judge implements Bench.
func (b *Latency) Judge(r *Report) {
	b.withDefaults()
	p99, ok := r.Median(b.name(), percentileUnit(0.99))
	if !ok {
		return
	}
	busy, _ := r.Median(b.name(), "cpu-%")
	got := fmt.Sprintf("%.3f ms, the machine %.0f %% busy", p99, busy)
	if busy > 100*busyLimit {
		got += ": saturated, so this says little"
	}
	r.Promise(p99 <= latencyLimit, fmt.Sprintf("99 of 100 frames of %d channels, a viewer at each, are at the live branch's sink in time", b.Channels),
		fmt.Sprintf("at most %g ms", latencyLimit), got)
	r.Charts = append(r.Charts, b.spreadChart(), b.histogramChart())
}

// spreadChart shows the percentiles of the last run.
func (b *Latency) spreadChart() Chart {
	c := Chart{Title: "Kernel to sink, the last run", X: "share of the frames", Y: "ms", Limits: []Limit{{"promised for 99 %", latencyLimit}}}
	s := Series{Name: "time"}
	for _, q := range []float64{0.5, 0.9, 0.95, 0.99, 0.999, 1} {
		if len(b.took) > 0 {
			s.Points = append(s.Points, Point{Label: fmt.Sprintf("%g %%", 100*q), Y: quantile(b.took, q)})
		}
	}
	c.Series = []Series{s}
	return c
}

// histogramChart shows how many frames took how long: steps that double.
func (b *Latency) histogramChart() Chart {
	c := Chart{Title: "How many frames took how long, the last run", X: "time, below", Y: "% of the frames"}
	s := Series{Name: "frames"}
	at := 0
	for step := 4 * time.Microsecond; at < len(b.took); step *= 2 {
		n := 0
		for ; at < len(b.took) && b.took[at] < step; at++ {
			n++
		}
		s.Points = append(s.Points, Point{Label: step.String(), Y: 100 * float64(n) / float64(len(b.took))})
	}
	c.Series = []Series{s}
	return c
}
