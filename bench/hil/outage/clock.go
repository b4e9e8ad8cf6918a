package outage

import (
	"fmt"
	"strings"
)

// Clocks are cuts of a machine whose wall clock is set while it records: by an hour forth and back,
// from 1970, where the machine begins, to today, and back and forth.
func Clocks() []Cut {
	const hour = 3600
	return []Cut{
		{Sync: "5s", Clock: step("$(date +%s)", hour) + step("$(date +%s)", -hour), Steps: 2},
		{Sync: "5s", Before: "date -s @300", Clock: step("$now", 20), Steps: 1, Label: "-1970", Random: true},
		{Sync: "5s", Clock: step("$(date +%s)", -hour) + step("$(date +%s)", hour), Steps: 2},
	}
}

// step sets the clock some seconds from an instant, after a while. The program must have begun to
// record by then, and have more than one file.
func step(from string, seconds int) string {
	return fmt.Sprintf("sleep 8\ndate -s @$((%s + %d))\necho %q\n", from, seconds, saysStepped)
}

// noticed makes sure that the program saw each step of the clock by itself, and that a file of this
// boot has the label that it must.
func (s *Series) noticed(files []left, c Cut, out *console) error {
	if n := strings.Count(out.text.String(), "the wall clock was set"); n < c.Steps {
		return fmt.Errorf("the clock was set %d times, but the program noticed %d", c.Steps, n)
	}
	for _, f := range files {
		if f.number > s.highest[f.channel] && strings.Contains(f.name(), c.Label) {
			return nil
		}
	}
	if c.Label != "" {
		return fmt.Errorf("no file of this boot is labelled %s", c.Label)
	}
	return nil
}
