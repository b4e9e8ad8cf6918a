package bench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Report is what a bench measured, where, and what of it was promised.
type Report struct {
	Name     string    `json:"name"`    // as in millrace bench NAME
	Title    string    `json:"title"`   // one line
	About    string    `json:"about"`   // what was done, what was simulated, how to read the figures
	Command  string    `json:"command"` // that does it again
	Began    string    `json:"began"`   // wall clock, RFC 3339
	Took     float64   `json:"took_s"`
	Runs     int       `json:"runs"`            // that were finished
	Ended    string    `json:"ended,omitempty"` // why it ended before all was measured
	Machine  Machine   `json:"machine"`
	Versions []Version `json:"versions"` // of all that took part

	Results  []Result  `json:"results"`  // in the order measured, one for each run
	Tables   []Table   `json:"tables"`   // what does not fit in a Result
	Promises []Promise `json:"promises"` // judged on the medians
	Charts   []Chart   `json:"charts"`

	short bool
	tell  func(text string)
}

// Machine is where it ran.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`  // that this process may use
	Memory int64  `json:"memory"` // bytes
	Kernel string `json:"kernel"`
	OS     string `json:"goos"`
	Arch   string `json:"goarch"`
}

// Version is one program or library that took part.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Result is one run of one thing: a line of benchstat's. The runs of a thing have equal names.
type Result struct {
	Name       string  `json:"name"` // Record/recorder=millrace/channels=64: upper case first, no blank
	Iterations int     `json:"iterations"`
	Values     []Value `json:"values"`
}

// Value is a figure with its unit, as benchstat likes them: ns/op, allocs/op, cpu-ms/channel-s. A
// unit has no blank in it.
type Value struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Table is what was found besides the figures.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Promise is something that the figures must show.
type Promise struct {
	What  string `json:"what"`
	Limit string `json:"limit"` // with the unit, as a person says it: at most 1.1 s
	Got   string `json:"got"`
	Held  bool   `json:"held"`
}

// Chart draws figures: lines over X, or bars by label where no point has an X.
type Chart struct {
	Title  string   `json:"title"`
	X      string   `json:"x"` // what X is, and its unit
	Y      string   `json:"y"`
	Series []Series `json:"series"`
	Limits []Limit  `json:"limits,omitempty"` // what was promised, as level lines
}

// Series is one line, or one colour of bars.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is a place on a line (X), or one bar (Label).
type Point struct {
	Label string  `json:"label,omitempty"`
	X     float64 `json:"x"`
	Y     float64 `json:"y"`
}

// Limit is a level line of a chart.
type Limit struct {
	Name string  `json:"name"`
	Y    float64 `json:"y"`
}

// Add adds the figures of one run of one thing. A ratio to nothing is no figure and is left out.
func (r *Report) Add(name string, iterations int, values ...Value) {
	values = slices.DeleteFunc(slices.Clone(values), func(v Value) bool { return !finite(v.Value) })
	r.Results = append(r.Results, Result{Name: name, Iterations: iterations, Values: values})
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// clean takes what cannot be drawn, nor written as JSON, out of the charts.
func (r *Report) clean() {
	for _, c := range r.Charts {
		for i := range c.Series {
			c.Series[i].Points = slices.DeleteFunc(slices.Clone(c.Series[i].Points), func(p Point) bool { return !finite(p.X) || !finite(p.Y) })
		}
	}
}

// Promise adds a promise that was held or not; got is the figure as a person reads it.
func (r *Report) Promise(held bool, what, limit, got string) {
	r.Promises = append(r.Promises, Promise{What: what, Limit: limit, Got: got, Held: held})
}

// Held says whether all that was promised is true, and all was measured.
func (r *Report) Held() bool {
	return r.Ended == "" && !slices.ContainsFunc(r.Promises, func(p Promise) bool { return !p.Held })
}

// Short says that a short run was asked for: windows of seconds, few sizes.
func (r *Report) Short() bool { return r.short }

// lasting is how long something is measured: in full, or in a short run.
func (r *Report) lasting(full, short time.Duration) time.Duration {
	if r.short {
		return short
	}
	return full
}

// Tell says how far it is, for the person who waits. It is no part of the report.
func (r *Report) Tell(format string, args ...any) {
	if r.tell != nil {
		r.tell(fmt.Sprintf(format, args...))
	}
}

// Median returns the median over the runs of what a thing's figure was; ok says whether there is one.
func (r *Report) Median(name, unit string) (value float64, ok bool) {
	var all []float64
	for _, one := range r.Results {
		if one.Name != name {
			continue
		}
		for _, v := range one.Values {
			if v.Unit == unit {
				all = append(all, v.Value)
			}
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, true
}

// Names are the things measured, in the order in which they came first.
func (r *Report) Names() []string {
	var names []string
	for _, one := range r.Results {
		if !slices.Contains(names, one.Name) {
			names = append(names, one.Name)
		}
	}
	return names
}

// units are what was measured of a thing, in order.
func (r *Report) units(name string) []string {
	var units []string
	for _, one := range r.Results {
		for _, v := range one.Values {
			if one.Name == name && !slices.Contains(units, v.Unit) {
				units = append(units, v.Unit)
			}
		}
	}
	return units
}
