package bench

import (
	"fmt"
	"math"
	"slices"
)

// The measures of a chart. A chart is as wide as a phone, so that its letters stay readable there.
const (
	chartWide  = 420.0
	chartHigh  = 240.0
	barHigh    = 15.0
	letterWide = 6.9
	colours    = 6
)

func (p *page) charts(all []Chart) {
	if len(all) == 0 {
		return
	}
	p.add(`<h2>Charts</h2><div class="charts">`)
	for _, c := range all {
		p.add(`<figure class="card"><figcaption>%s</figcaption>`, c.Title)
		p.legend(c)
		if c.bars() {
			p.bars(c)
		} else {
			p.curves(c)
		}
		p.add(`</figure>`)
	}
	p.add(`</div>`)
}

// bars says whether the chart has labels in place of an X.
func (c Chart) bars() bool {
	return !slices.ContainsFunc(c.Series, func(s Series) bool {
		return slices.ContainsFunc(s.Points, func(p Point) bool { return p.X != 0 })
	})
}

// top is the end of the scale of Y.
func (c Chart) top() float64 {
	top := 0.0
	for _, s := range c.Series {
		for _, p := range s.Points {
			top = max(top, p.Y)
		}
	}
	for _, l := range c.Limits {
		top = max(top, l.Y)
	}
	if top <= 0 || math.IsInf(top, 0) || math.IsNaN(top) {
		return 1
	}
	return top
}

// step is a round distance between lines of the scale, for about five of them.
func step(top float64) float64 {
	rough := top / 5
	unit := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, times := range []float64{1, 2, 2.5, 5} {
		if unit*times >= rough {
			return unit * times
		}
	}
	return unit * 10
}

// scale are the values at which lines stand, the last one at top or above.
func scale(top float64) []float64 {
	distance := step(top)
	var all []float64
	for i := 0; ; i++ {
		v := distance * float64(i)
		all = append(all, v)
		if v >= top*0.999 {
			return all
		}
	}
}

// tick is a value of a scale in the fewest letters.
func tick(v float64) string { return fmt.Sprintf("%.6g", v) }

func (p *page) legend(c Chart) {
	if len(c.Series) < 2 {
		return
	}
	p.add(`<ul class="legend">`)
	for i, s := range c.Series {
		p.add(`<li><svg viewBox="0 0 12 12" aria-hidden="true">`)
		if c.bars() {
			p.add(`<rect class="c%d" x="1" y="1" width="10" height="10" rx="2"/>`, i%colours)
		} else {
			p.mark(i, 6, 6)
		}
		p.add(`</svg>%s</li>`, s.Name)
	}
	p.add(`</ul>`)
}

// mark is the sign of a series' points: a shape as well as a colour.
func (p *page) mark(series int, x, y float64) {
	class := raw(fmt.Sprintf(`class="c%d"`, series%colours))
	switch series % 5 {
	case 0:
		p.add(`<circle %s cx="%.1f" cy="%.1f" r="4"/>`, class, x, y)
	case 1:
		p.add(`<rect %s x="%.1f" y="%.1f" width="7" height="7"/>`, class, x-3.5, y-3.5)
	case 2:
		p.add(`<path %s d="M%.1f %.1fl4.5 8h-9z"/>`, class, x, y-5)
	case 3:
		p.add(`<path %s d="M%.1f %.1fl5 5-5 5-5-5z"/>`, class, x, y-5)
	default:
		p.add(`<path %s d="M%.1f %.1fl-4.5-8h9z"/>`, class, x, y+5)
	}
}

// open begins a drawing.
func (p *page) open(c Chart, high float64) {
	p.add(`<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, chartWide, high, c.Title+", "+c.Y+"; the figures stand in the table below")
}

// bars draws rows, a bar for each series in each.
func (p *page) bars(c Chart) {
	var labels []string
	longest := 0
	for _, s := range c.Series {
		for _, one := range s.Points {
			if !slices.Contains(labels, one.Label) {
				labels = append(labels, one.Label)
				longest = max(longest, len(one.Label))
			}
		}
	}
	left := float64(longest)*letterWide + 8
	above := 0.0
	if left > chartWide/3 { // too long for a place beside the bars
		left, above = 0, 15
	}
	lines := scale(c.top())
	wide := chartWide - left - 50
	at := func(v float64) float64 { return left + wide*v/lines[len(lines)-1] }
	head := 6 + 14*float64(len(c.Limits))
	group := above + barHigh*float64(len(c.Series)) + 9
	foot := head + group*float64(len(labels))
	p.open(c, foot+34)
	for _, v := range lines {
		p.add(`<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, at(v), at(v), head, foot, at(v), foot+14, tick(v))
	}
	p.add(`<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, chartWide, foot+30, c.Y)
	if c.X != "" {
		p.add(`<text x="0" y="%.1f">%s</text>`, foot+30, "each row: "+c.X)
	}
	var values page // above all else
	for row, label := range labels {
		y := head + group*float64(row)
		if above > 0 {
			p.add(`<text class="v" x="0" y="%.1f">%s</text>`, y+12, label)
		} else {
			p.add(`<text class="v" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, left-6, y+barHigh*float64(len(c.Series))/2+4, label)
		}
		for i, s := range c.Series {
			for _, one := range s.Points {
				if one.Label == label {
					top := y + above + barHigh*float64(i)
					p.bar(i, at(0), top, at(one.Y)-at(0), fmt.Sprintf("%s %s: %s %s", s.Name, label, figure(one.Y), c.Y))
					values.add(`<text class="v" x="%.1f" y="%.1f">%s</text>`, at(one.Y)+4, top+11, figure(one.Y))
				}
			}
		}
	}
	for i, l := range c.Limits {
		p.limit(at(l.Y), at(l.Y), head-2, foot, min(at(l.Y), chartWide-90), 11+14*float64(i), l, c.Y)
	}
	p.add(`%s</svg>`, raw(values.String()))
}

func (p *page) bar(series int, x, y, wide float64, says string) {
	p.add(`<rect class="c%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" stroke="none"><title>%s</title></rect>`, series%colours, x, y+1, max(wide, 1), barHigh-3, says)
}

// limit is a line that says what was promised.
func (p *page) limit(x1, x2, y1, y2, nameX, nameY float64, l Limit, unit string) {
	p.add(`<line class="limit" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text class="limit-name" x="%.1f" y="%.1f">limit: %s, %s %s</text>`,
		x1, x2, y1, y2, nameX, nameY, l.Name, figure(l.Y), unit)
}

// across places X: evenly, or by ratio where the ends are far apart.
func (c Chart) across(left, right float64) (at func(x float64) float64, all []float64) {
	for _, s := range c.Series {
		for _, one := range s.Points {
			all = append(all, one.X)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	least, most := all[0], all[len(all)-1]
	by := func(x float64) float64 { return x }
	if least > 0 && most/least >= 8 {
		by = math.Log
	}
	span := by(most) - by(least)
	if span == 0 {
		span = 1
	}
	return func(x float64) float64 { return left + (right-left)*(by(x)-by(least))/span }, all
}

// curves draws a line for each series.
func (p *page) curves(c Chart) {
	lines := scale(c.top())
	left, right, head, foot := 8+letterWide*float64(len(tick(lines[len(lines)/2]))+1), chartWide-24, 18.0, chartHigh-34
	across, all := c.across(left+10, right-10)
	at := func(v float64) float64 { return foot - (foot-head)*v/lines[len(lines)-1] }
	p.open(c, chartHigh)
	for _, v := range lines {
		p.add(`<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, left, right, at(v), at(v), left-5, at(v)+4, tick(v))
	}
	taken := math.Inf(-1)
	for _, x := range all {
		if label := tick(x); across(x)-letterWide*float64(len(label))/2 > taken {
			p.add(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, across(x), foot+15, label)
			taken = across(x) + letterWide*float64(len(label))/2 + 3
		}
	}
	p.add(`<text x="0" y="10">%s</text><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, c.Y, chartWide-14, chartHigh-4, c.X)
	for _, l := range c.Limits {
		p.limit(left, right, at(l.Y), at(l.Y), left+4, at(l.Y)-4, l, c.Y)
	}
	for i, s := range c.Series {
		points := slices.Clone(s.Points)
		slices.SortFunc(points, func(a, b Point) int { return int(math.Copysign(1, a.X-b.X)) })
		p.add(`<polyline class="c%d path" style="fill:none" points="`, i%colours)
		for _, one := range points {
			p.add(`%.1f,%.1f `, across(one.X), at(one.Y))
		}
		p.add(`"/>`)
		for _, one := range points {
			p.add(`<g><title>%s, %s %s: %s %s</title>`, s.Name, tick(one.X), c.X, figure(one.Y), c.Y)
			p.mark(i, across(one.X), at(one.Y))
			p.add(`</g>`)
		}
	}
	p.add(`</svg>`)
}
