package bench

import (
	"fmt"
	"slices"
	"strconv"
)

const (
	// readerLimit is what a reader may cost, ms of CPU a second.
	readerLimit = 0.5
	// lateRatio and lateSlack are how much later pictures may come while somebody is slow: what the machine's own noise is.
	lateRatio = 1.5
	lateSlack = 2.0 // ms
)

// Judge implements Bench.
func (b *Fanout) Judge(r *Report) {
	b.withDefaults()
	if cost, ok := r.Median(readerCost(oursName), unitPerReader); ok {
		r.Promise(cost <= readerLimit, "a live reader's CPU, ms a second", fmt.Sprintf("at most %g", readerLimit), figure(cost))
	}
	if h := b.heard[oursName]; h != nil && len(h.beside) > 0 {
		r.Promise(h.missing == 0 && h.starved == 0, fmt.Sprintf("every one of %d readers gets every packet in order beside a slow one", b.Readers[1]),
			"0 missing", fmt.Sprintf("%d missing, %d readers short of pictures, %d pictures", h.missing, h.starved, h.frames))
		calm, beside := median(h.late), median(h.beside)
		r.Promise(beside <= lateRatio*calm+lateSlack, "their pictures' lateness (99 %) beside a slow one",
			fmt.Sprintf("at most %g of %.1f ms, and %g ms", lateRatio, calm, lateSlack), fmt.Sprintf("%.1f ms", beside))
	}
	b.tables(r)
}

func median(all []Spread) float64 {
	p99 := make([]float64, 0, len(all))
	for _, one := range all {
		p99 = append(p99, one.P99)
	}
	slices.Sort(p99)
	return (p99[(len(p99)-1)/2] + p99[len(p99)/2]) / 2
}

// tables are the servers side by side, and a chart of what a reader costs.
func (b *Fanout) tables(r *Report) {
	t := Table{Title: "Side by side, medians", Columns: []string{"server", "CPU ms a reader and second", "with a slow reader: missing packets", "late 99 %, ms", "beside a slow one, ms"}}
	chart := Chart{Title: "CPU of one more reader", X: "server", Y: "ms a second", Limits: []Limit{{"promised", readerLimit}}}
	growth := Chart{Title: "CPU of the server", X: "readers", Y: "ms a second"}
	for _, name := range []string{oursName, gortsplibName, mediamtxName} {
		cost, ok := r.Median(readerCost(name), unitPerReader)
		if !ok {
			continue
		}
		row := []string{name, figure(cost), "–", "–", "–"}
		if h := b.heard[name]; h != nil && len(h.beside) > 0 {
			row = []string{name, figure(cost), strconv.FormatInt(h.missing, 10), fmt.Sprintf("%.1f", median(h.late)), fmt.Sprintf("%.1f", median(h.beside))}
		}
		t.Rows = append(t.Rows, row)
		chart.Series = append(chart.Series, Series{Name: name, Points: []Point{{Label: name, Y: cost}}})
		line := Series{Name: name}
		for _, n := range b.Readers {
			if y, ok := r.Median(serverCost(name, n), unitServer); ok {
				line.Points = append(line.Points, Point{X: float64(n), Y: y})
			}
		}
		growth.Series = append(growth.Series, line)
	}
	for _, why := range b.skipped {
		t.Rows = append(t.Rows, []string{why, "", "", "", ""})
	}
	if len(t.Rows) > 0 {
		r.Tables = append(r.Tables, t)
		r.Charts = append(r.Charts, chart, growth)
	}
}
