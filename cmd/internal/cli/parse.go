package cli

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Parse fills the fields of the command that args call for and returns a pointer to its struct. Where
// they ask for help (-h, --help) it is written to out, and the command is nil.
func (p Program) Parse(args []string, out io.Writer) (any, error) {
	root, err := newCommand(reflect.ValueOf(p.Commands).Elem(), p.Name, p.About, nil)
	if err != nil {
		return nil, err
	}
	l := line{at: root, rest: args}
	if err = l.read(); err != nil {
		return nil, err
	}
	if l.help {
		return nil, l.at.tell(out)
	}
	if err = l.complete(); err != nil {
		return nil, err
	}
	return l.at.target.Addr().Interface(), nil
}

// line is a command line that is read.
type line struct {
	at     *command
	rest   []string
	words  int  // arguments so far
	noFlag bool // after --
	help   bool // was asked for: the rest does not count
}

func (l *line) read() error {
	for len(l.rest) > 0 && !l.help {
		token := l.rest[0]
		l.rest = l.rest[1:]
		var err error
		switch {
		case l.noFlag || len(token) < 2 || token[0] != '-':
			err = l.word(token)
		case token == "--":
			l.noFlag = true
		default:
			err = l.flag(token)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// word takes a command or an argument.
func (l *line) word(token string) error {
	if len(l.at.commands) > 0 {
		next := l.at.below(token)
		if next == nil {
			return fmt.Errorf("unexpected argument %s: expected one of %s", token, l.at.names())
		}
		l.at = next
		return nil
	}
	if l.words >= len(l.at.args) {
		return fmt.Errorf("unexpected argument %s", token)
	}
	f := l.at.args[l.words]
	if f.value.Kind() != reflect.Slice {
		l.words++
	}
	if err := f.give(token); err != nil {
		return fmt.Errorf("<%s> %w", f.name, err)
	}
	return nil
}

// flag takes --name, --name=value, --name value, -n, -nvalue or -n value.
func (l *line) flag(token string) error {
	name, value, glued := strings.Cut(token, "=")
	if token[1] != '-' {
		name, value, glued = token[:2], strings.TrimPrefix(token[2:], "="), len(token) > 2
	}
	if name == "--help" || name == "-h" {
		l.help = true
		return nil
	}
	f := l.at.flag(func(f *field) bool { return "--"+f.name == name || f.short != "" && "-"+f.short == name })
	switch {
	case f == nil:
		return fmt.Errorf("unknown flag %s", name)
	case f.value.Kind() == reflect.Bool && !glued:
		value = "true"
	case !glued && (len(l.rest) == 0 || looksLikeFlag(l.rest[0])):
		return fmt.Errorf("--%s=%s: a value is missing (one that begins with a minus goes after =)", f.name, f.placeholder)
	case !glued:
		value, l.rest = l.rest[0], l.rest[1:]
	}
	if err := f.give(value); err != nil {
		return fmt.Errorf("--%s %w", f.name, err)
	}
	return nil
}

// looksLikeFlag tells a flag from a value that begins with a minus, such as -10m.
func looksLikeFlag(token string) bool {
	return len(token) > 1 && token[0] == '-' && (token[1] < '0' || token[1] > '9')
}

// complete says what is missing.
func (l *line) complete() error {
	if len(l.at.commands) > 0 {
		return fmt.Errorf("expected one of %s", l.at.names())
	}
	var missing []string
	for c := l.at; c != nil; c = c.parent {
		for _, f := range c.flags {
			if f.required && !f.given {
				missing = append(missing, fmt.Sprintf("--%s=%s", f.name, f.placeholder))
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing flags: %s", strings.Join(missing, ", "))
	}
	for _, f := range l.at.args {
		if f.required && !f.given {
			return fmt.Errorf("expected %q", "<"+f.name+">")
		}
	}
	return nil
}
