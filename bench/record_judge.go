package bench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// What is promised of a recording.
const (
	floorShare    = 0.6  // of the floor's CPU, nobody watching
	peerShare     = 0.25 // of the best peer's CPU
	watchedShare  = 1.3  // of the floor's CPU, with a viewer each, what viewers cost by themselves taken off
	memoryBase    = 25.0 // MB
	memoryChannel = 1.0  // MB a channel
	growthNoise   = 1.05 // what the same figure may differ by from one run to the next
	firstLimit    = time.Second
	allLimit      = 5 * time.Second
)

// Judge implements Bench.
func (b *Record) Judge(r *Report) {
	b.withDefaults(r.Short())
	if len(b.Capacity) == 0 {
		b.judgeCost(r)
		b.judgeGrowth(r)
		b.judgeMemory(r)
	}
	b.judgeCapacity(r)
	b.judgeStart(r)
	b.judgeFiles(r)
	b.left(r)
	b.charts(r)
}

// left tells what was not measured.
func (b *Record) left(r *Report) {
	table := Table{Title: "Not measured, or not as it should be"}
	for _, text := range append(slices.Clone(b.skipped), b.trouble...) {
		table.Rows = append(table.Rows, []string{text})
	}
	if len(table.Rows) > 0 {
		r.Tables = append(r.Tables, table)
	}
}

// cpu is the median of a recorder's CPU.
func (b *Record) cpu(r *Report, recorder string, channels, viewers int) (float64, bool) {
	return r.Median(resultName(recorder, b.Clip, channels, viewers), unitCPU)
}

// judgeCost compares CPU.
func (b *Record) judgeCost(r *Report) {
	table := Table{Title: "CPU, ms a channel and second (medians); the ratio is ours to it", Columns: []string{"channels", "recorder", "cpu", "ratio"}}
	viewer, measured := b.viewerCost(r)
	for _, n := range b.Channels {
		mine, ok := b.cpu(r, oursName, n, 0)
		if !ok {
			continue
		}
		best, bestName := math.Inf(1), ""
		for _, one := range recorders() {
			cpu, there := b.cpu(r, one.name, n, 0)
			if !there {
				continue
			}
			table.Rows = append(table.Rows, []string{fmt.Sprint(n), one.name, figure(cpu), figure(mine / cpu)})
			if one.program != "" && cpu < best {
				best, bestName = cpu, one.name
			}
		}
		floor, ok := b.cpu(r, floorName, n, 0)
		if ok {
			ratio(r, fmt.Sprintf("CPU at %d channels, nobody watching, to the floor", n), mine, floor, floorShare)
		}
		if bestName != "" {
			ratio(r, fmt.Sprintf("CPU at %d channels, nobody watching, to the best peer (%s)", n, bestName), mine, best, peerShare)
		}
		if watched, there := b.cpu(r, oursName, n, 1); there && ok && measured {
			table.Rows = append(table.Rows, []string{fmt.Sprint(n), oursName + ", a viewer each", figure(watched), ""})
			ratio(r, fmt.Sprintf("CPU at %d channels, a viewer each, less %s ms that a viewer costs by itself, to the floor", n, figure(viewer)), watched-viewer, floor, watchedShare)
		}
	}
	if measured {
		table.Rows = append(table.Rows, []string{fmt.Sprint(b.Channels[0]), "a viewer by itself", figure(viewer), ""})
	}
	if len(table.Rows) > 0 {
		r.Tables = append(r.Tables, table)
	}
}

// viewerCost is what a viewer more costs, measured in the same go: the slope from one to many.
func (b *Record) viewerCost(r *Report) (float64, bool) {
	if !b.Viewers {
		return 0, false
	}
	one, ok1 := b.cpu(r, oursName, b.Channels[0], 1)
	many, ok2 := b.cpu(r, oursName, b.Channels[0], manyViewers)
	return (many - one) / (manyViewers - 1), ok1 && ok2
}

func ratio(r *Report, what string, got, to, limit float64) {
	r.Promise(got <= limit*to, what, "at most "+figure(limit)+" times", fmt.Sprintf("%s times (%s to %s ms)", figure(got/to), figure(got), figure(to)))
}

// judgeMemory holds ours against what was promised at each number of channels.
func (b *Record) judgeMemory(r *Report) {
	for _, n := range b.Channels {
		if mb, ok := r.Median(resultName(oursName, b.Clip, n, 0), unitMemory); ok {
			limit := memoryBase + memoryChannel*float64(n)
			r.Promise(mb <= limit, fmt.Sprintf("memory at %d channels", n), fmt.Sprintf("at most %s MB", figure(limit)), figure(mb)+" MB")
		}
	}
}

// judgeGrowth says whether a channel of many costs more than one of few.
func (b *Record) judgeGrowth(r *Report) {
	few, many := slices.Min(b.Channels), slices.Max(b.Channels)
	if few == many {
		return
	}
	for _, what := range []struct{ name, unit string }{{"CPU", unitCPU}, {"memory", unitMemoryOne}} {
		least, ok1 := r.Median(resultName(oursName, b.Clip, few, 0), what.unit)
		most, ok2 := r.Median(resultName(oursName, b.Clip, many, 0), what.unit)
		if ok1 && ok2 {
			r.Promise(most <= growthNoise*least, fmt.Sprintf("%s a channel at %d channels to that at %d", what.name, many, few),
				fmt.Sprintf("at most %s times (it does not rise; the rest is noise)", figure(growthNoise)),
				fmt.Sprintf("%s times (%s to %s %s)", figure(most/least), figure(most), figure(least), what.unit))
		}
	}
}

// judgeStart says how long it took with many channels until cameras were connected.
func (b *Record) judgeStart(r *Report) {
	n := 0
	for channels := range b.starts {
		n = max(n, channels)
	}
	if n == 0 {
		return
	}
	s := b.starts[n]
	r.Promise(s.first <= firstLimit, fmt.Sprintf("start with %d channels until the first connection, the slowest", n), "at most "+firstLimit.String(), s.first.Round(time.Millisecond).String())
	r.Promise(s.all <= allLimit, fmt.Sprintf("start with %d channels until all are connected and play, the slowest", n), "at most "+allLimit.String(), s.all.Round(time.Millisecond).String())
}

// judgeFiles says whether every frame was there.
func (b *Record) judgeFiles(r *Report) {
	var runs, missing, openings, tail float64
	for _, one := range r.Results {
		if !b.isOurs(one.Name) {
			continue
		}
		runs++
		for _, v := range one.Values {
			switch v.Unit {
			case unitMissing:
				missing += v.Value
			case unitOpenings:
				openings += v.Value
			case unitTail:
				tail = max(tail, v.Value)
			}
		}
	}
	if runs == 0 {
		return
	}
	over := fmt.Sprintf(" in %d recordings", int(runs))
	r.Promise(openings == 0, "opening key frames lost, sound first or not", "0", figure(openings)+over)
	if len(b.Capacity) == 0 { // there the last try may lose some
		r.Promise(missing == 0, "frames missing, twice or without their sound, all files checked", "0", figure(missing)+over)
		r.Promise(tail <= tailLimit, "pictures sent and not in the file when it was told to end", fmt.Sprintf("at most %d", tailLimit), figure(tail))
	}
}

func (b *Record) isOurs(name string) bool {
	for _, n := range append(slices.Clone(b.Channels), b.Capacity...) {
		for _, viewers := range []int{0, 1, manyViewers} {
			if name == resultName(oursName, b.Clip, n, viewers) {
				return true
			}
		}
	}
	return false
}

// charts draws CPU and memory over channels.
func (b *Record) charts(r *Report) {
	for _, what := range []struct{ title, unit string }{
		{"CPU of a channel", unitCPU}, {"Memory of a channel", unitMemoryOne}, {"How late cameras were at most", unitLate},
	} {
		chart := Chart{Title: what.title, X: "channels", Y: what.unit}
		for _, one := range recorders() {
			line := Series{Name: one.name}
			for _, n := range append(slices.Clone(b.Channels), b.Capacity...) {
				if v, ok := r.Median(resultName(one.name, b.Clip, n, 0), what.unit); ok {
					line.Points = append(line.Points, Point{X: float64(n), Y: v})
				}
			}
			if len(line.Points) > 0 {
				chart.Series = append(chart.Series, line)
			}
		}
		if len(chart.Series) > 0 {
			r.Charts = append(r.Charts, chart)
		}
	}
}
