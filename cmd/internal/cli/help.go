package cli

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// The help's shape, in columns.
const (
	width   = 80
	padding = 4
	leftMax = 30 // what is wider has its text on the next line
)

// tell writes the command's help.
func (c *command) tell(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n\n", c.usage())
	for i, paragraph := range strings.Split(c.help, "\n\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range wrap(paragraph, width) {
			fmt.Fprintln(&b, line)
		}
	}
	args := make([][2]string, 0, len(c.args))
	for _, a := range c.args {
		args = append(args, [2]string{a.argument(), a.help})
	}
	table(&b, "Arguments:", args)
	table(&b, "Flags:", c.flagRows())
	var commands [][2]string
	for _, below := range c.commands {
		commands = below.rows(c, commands)
	}
	table(&b, "Commands:", commands)
	if c.parent == nil {
		fmt.Fprintf(&b, "\nRun \"%s <command> --help\" for more information on a command.\n", c.name)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (c *command) usage() string {
	parts := []string{c.path()}
	if len(c.commands) > 0 {
		parts = append(parts, "<command>")
	}
	for _, a := range c.args {
		parts = append(parts, a.argument())
	}
	for p := c; p != nil; p = p.parent {
		for _, f := range p.flags {
			if f.required {
				parts = append(parts, "--"+f.name+"="+f.placeholder)
			}
		}
	}
	return strings.Join(append(parts, "[flags]"), " ")
}

// argument is an argument as the usage has it.
func (f *field) argument() string {
	text := "<" + f.name + ">"
	if f.value.Kind() == reflect.Slice {
		text += " ..."
	}
	if !f.required {
		text = "[" + text + "]"
	}
	return text
}

// flagRows are the command's flags, those of the commands above it first, with a row between them.
func (c *command) flagRows() (rows [][2]string) {
	if c.parent == nil {
		rows = [][2]string{{"-h, --help", "Show context-sensitive help."}}
	} else {
		rows = c.parent.flagRows()
	}
	first := c.parent != nil
	for _, f := range c.flags {
		if f.hidden {
			continue
		}
		if first {
			rows, first = append(rows, [2]string{}), false
		}
		left := "    --" + f.name
		if f.short != "" {
			left = "-" + f.short + ", --" + f.name
		}
		if f.value.Kind() != reflect.Bool {
			left += "=" + f.placeholder
		}
		rows = append(rows, [2]string{left, f.help})
	}
	return rows
}

// rows adds the command, or those below it, as they are called from the command from.
func (c *command) rows(from *command, to [][2]string) [][2]string {
	switch {
	case c.hidden:
	case len(c.commands) == 0:
		name := strings.TrimPrefix(c.path(), from.root().name+" ")
		short, _, _ := strings.Cut(c.help, "\n\n")
		to = append(to, [2]string{name, short})
	}
	if !c.hidden {
		for _, below := range c.commands {
			to = below.rows(from, to)
		}
	}
	return to
}

func (c *command) root() *command {
	for c.parent != nil {
		c = c.parent
	}
	return c
}

// table writes rows of two columns under a title, or nothing where there is none.
func table(b *strings.Builder, title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	left := 0
	for _, r := range rows {
		if n := utf8.RuneCountInString(r[0]); n <= leftMax {
			left = max(left, n)
		}
	}
	left += padding
	fmt.Fprintf(b, "\n%s\n", title)
	for _, r := range rows {
		lines := wrap(r[1], width-2-left)
		if utf8.RuneCountInString(r[0]) > left-padding {
			lines = append([]string{""}, lines...)
		}
		for i, text := range lines {
			head := ""
			if i == 0 {
				head = r[0]
			}
			pad := strings.Repeat(" ", max(0, left-utf8.RuneCountInString(head)))
			fmt.Fprintln(b, strings.TrimRight("  "+head+pad+text, " "))
		}
	}
}

// wrap breaks text between words, so that no line is wider than it may be; at least one line.
func wrap(text string, most int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= most:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
