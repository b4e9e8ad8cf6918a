package hil

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// Case is one row of the table.
type Case struct {
	Name    string
	Result  string // "pass", "fail", "skip", or "died" where it never ended
	Seconds string
	Figures []string
}

// Cases reads what `go test -v` printed. A test with subtests stands there only where it failed
// itself. Figures are the lines that begin with FigureMark.
func Cases(log io.Reader) ([]Case, error) {
	result := regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)`)
	var all []Case
	find := func(name string) *Case {
		i := slices.IndexFunc(all, func(c Case) bool { return c.Name == name })
		if i < 0 {
			all = append(all, Case{Name: name, Result: "died"})
			i = len(all) - 1
		}
		return &all[i]
	}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if name, ok := strings.CutPrefix(line, "=== RUN   "); ok {
			find(name)
		} else if _, rest, ok := strings.Cut(line, FigureMark); ok {
			name, figure, _ := strings.Cut(rest, " ")
			c := find(name)
			c.Figures = append(c.Figures, figure)
		} else if m := result.FindStringSubmatch(line); m != nil {
			c := find(m[2])
			if c.Result != "fail" { // of a case that runs often the worst counts
				c.Result, c.Seconds = strings.ToLower(m[1]), m[3]
			}
		}
	}
	return slices.DeleteFunc(all, func(c Case) bool {
		child := func(o Case) bool { return strings.HasPrefix(o.Name, c.Name+"/") }
		failed := func(o Case) bool { return child(o) && o.Result != "pass" }
		return slices.ContainsFunc(all, child) && (c.Result == "pass" || slices.ContainsFunc(all, failed))
	}), lines.Err()
}

// FigureMark begins a line of the suite that carries a figure: the mark, the test's name, a
// space, the figure.
const FigureMark = "HIL-FIGURE "

// WriteTable prints the cases and returns how many did not pass.
func WriteTable(w io.Writer, cases []Case) (bad int, err error) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "RESULT\tSECONDS\tCASE\tFIGURES")
	for _, c := range cases {
		if c.Result != "pass" {
			bad++
		}
		name := strings.ReplaceAll(strings.TrimPrefix(c.Name, "Test"), "_", " ")
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", c.Result, c.Seconds, name, strings.Join(c.Figures, "; "))
	}
	return bad, tab.Flush()
}
