package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Print writes the report in the form that benchstat reads: its header, a line for each run of each thing.
// What follows, and what stands before, is for a person, and benchstat skips it: such a line begins with a
// capital or a blank.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.StripEscape)
	fmt.Fprintf(t, "Millrace bench %s: %s\n", r.Name, r.Title)
	fmt.Fprintf(t, "Command: %s\n", r.Command)
	fmt.Fprintf(t, "Machine: %s\n", r.Machine)
	fmt.Fprintf(t, "Versions: %s\n\n", r.versions())
	if r.About != "" {
		fmt.Fprintf(t, "%s\n\n", capital(r.About))
	}
	r.benchstat(t)
	if r.Runs > 1 {
		r.medians().print(t)
	}
	for _, table := range r.Tables {
		table.print(t)
	}
	r.promises(t)
	if r.Ended != "" {
		fmt.Fprintf(t, "\nNot all was measured: %s.\n", r.Ended)
	}
	return t.Flush()
}

// benchstat is what benchstat reads.
func (r *Report) benchstat(w io.Writer) {
	if len(r.Results) == 0 {
		return
	}
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/millrace-video/millrace/bench\n", r.Machine.OS, r.Machine.Arch)
	if r.Machine.CPU != "" {
		fmt.Fprintf(w, "cpu: %s\n", r.Machine.CPU)
	}
	for _, one := range r.Results {
		r.line(w, one)
	}
}

// line is one line of benchstat's.
func (r *Report) line(w io.Writer, one Result) {
	name := "Benchmark" + one.Name
	if r.Machine.Cores > 1 {
		name += "-" + strconv.Itoa(r.Machine.Cores)
	}
	fmt.Fprintf(w, "%s\t%d", name, one.Iterations)
	for _, v := range one.Values {
		fmt.Fprintf(w, "\t%s %s", figure(v.Value), v.Unit)
	}
	fmt.Fprintln(w)
}

// promises tells what was promised and what became of it.
func (r *Report) promises(w io.Writer) {
	if len(r.Promises) == 0 {
		return
	}
	table := Table{Title: "Promises", Columns: []string{"", "what", "limit", "measured"}}
	for _, p := range r.Promises {
		held := "held"
		if !p.Held {
			held = "NOT HELD"
		}
		table.Rows = append(table.Rows, []string{held, p.What, p.Limit, p.Got})
	}
	table.print(w)
}

// medians is the table of them, with the least and the most.
func (r *Report) medians() Table {
	table := Table{Title: fmt.Sprintf("Medians of %d runs", r.Runs), Columns: []string{"what", "median", "least", "most", "unit"}}
	for _, name := range r.Names() {
		for _, unit := range r.units(name) {
			middle, _ := r.Median(name, unit)
			least, most := r.span(name, unit)
			table.Rows = append(table.Rows, []string{name, figure(middle), figure(least), figure(most), unit})
		}
	}
	return table
}

// span is the least and the most of a figure.
func (r *Report) span(name, unit string) (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, one := range r.Results {
		for _, v := range one.Values {
			if one.Name == name && v.Unit == unit {
				least, most = min(least, v.Value), max(most, v.Value)
			}
		}
	}
	return least, most
}

// print writes the table for a person.
func (t Table) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s:\n", capital(t.Title))
	if len(t.Columns) > 0 {
		fmt.Fprintf(w, "  %s\n", strings.ToUpper(strings.Join(t.Columns, "\t")))
	}
	for _, row := range t.Rows {
		fmt.Fprintf(w, "  %s\n", strings.Join(row, "\t"))
	}
}

// JSON writes the report as JSON.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		*Report

		All bool `json:"held"` // all that was promised is true, and all was measured
	}{r, r.Held()})
}

// String is the machine in one line.
func (m Machine) String() string {
	cpu := m.CPU
	if cpu == "" {
		cpu = "unknown CPU"
	}
	return fmt.Sprintf("%s, %d cores, %.1f GiB, %s %s, %s", cpu, m.Cores, float64(m.Memory)/(1<<30), capital(m.OS), m.Kernel, m.Arch)
}

func (r *Report) versions() string {
	all := make([]string, len(r.Versions))
	for i, v := range r.Versions {
		all[i] = v.Name + " " + v.Version
	}
	return strings.Join(all, ", ")
}

// figure is a number with four digits that count, and no exponent.
func figure(v float64) string {
	size := math.Abs(v)
	digits := 3
	switch {
	case v == math.Trunc(v), size >= 1000:
		digits = 0
	case size >= 100:
		digits = 1
	case size >= 10:
		digits = 2
	case size < 0.01:
		digits = 6
	case size < 1:
		digits = 4
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
