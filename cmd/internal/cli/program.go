package cli

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// Program is what a command line is for.
type Program struct {
	Name, About string
	Commands    any // a pointer to a struct
}

// command is one command, or the program itself.
type command struct {
	name, help string
	hidden     bool
	parent     *command
	target     reflect.Value // the struct
	flags      []*field
	args       []*field
	commands   []*command
}

// field is a flag or an argument.
type field struct {
	name, help, placeholder string
	short                   string
	initial                 string   // the default
	enum                    []string // nil: anything
	required, hidden        bool
	value                   reflect.Value
	given                   bool
}

// newCommand reads a struct's tags, and sets its fields to their defaults.
func newCommand(target reflect.Value, name, help string, parent *command) (*command, error) {
	if more, ok := reflect.TypeAssert[interface{ Help() string }](target.Addr()); ok {
		help += "\n\n" + more.Help()
	}
	c := &command{name: name, help: help, parent: parent, target: target}
	if err := c.add(target); err != nil {
		return nil, fmt.Errorf("%s: %w", c.path(), err)
	}
	return c, nil
}

func (c *command) add(target reflect.Value) error {
	for i := range target.NumField() {
		t, value := target.Type().Field(i), target.Field(i)
		if t.Anonymous {
			if err := c.add(value); err != nil {
				return err
			}
			continue
		}
		if !t.IsExported() {
			continue
		}
		if err := c.addField(t, value); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return nil
}

func (c *command) addField(t reflect.StructField, value reflect.Value) error {
	has := func(key string) bool { _, ok := t.Tag.Lookup(key); return ok }
	name, initial := t.Tag.Get("name"), t.Tag.Get("default")
	if name == "" {
		name = kebab(t.Name)
	}
	help := strings.ReplaceAll(t.Tag.Get("help"), "${default}", initial)
	if has("cmd") {
		below, err := newCommand(value, name, help, c)
		if err != nil {
			return err
		}
		below.hidden = has("hidden")
		c.commands = append(c.commands, below)
		return nil
	}
	f := &field{
		name: name, help: help, placeholder: t.Tag.Get("placeholder"), short: t.Tag.Get("short"),
		initial: initial, required: has("required") || has("arg") && !has("optional"), hidden: has("hidden"), value: value,
	}
	if has("enum") {
		f.enum = strings.Split(t.Tag.Get("enum"), ",")
	}
	if f.placeholder == "" {
		f.placeholder = strings.ToUpper(t.Name)
	}
	if has("arg") {
		c.args = append(c.args, f)
	} else {
		c.flags = append(c.flags, f)
	}
	if initial == "" {
		return nil
	}
	return f.set(initial)
}

// kebab is a field's name as a command line has it: WarmUp is warm-up.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && unicode.IsLower(rune(name[i-1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// path is the command as it is called.
func (c *command) path() string {
	if c.parent == nil {
		return c.name
	}
	return c.parent.path() + " " + c.name
}

// below is the command of that name; nil where there is none.
func (c *command) below(name string) *command {
	for _, b := range c.commands {
		if b.name == name {
			return b
		}
	}
	return nil
}

// names are those of the commands that the help tells.
func (c *command) names() string {
	var names []string
	for _, b := range c.commands {
		if !b.hidden {
			names = append(names, fmt.Sprintf("%q", b.name))
		}
	}
	return strings.Join(names, ", ")
}

// flag finds a flag of the command or of one above it.
func (c *command) flag(is func(*field) bool) *field {
	for ; c != nil; c = c.parent {
		for _, f := range c.flags {
			if is(f) {
				return f
			}
		}
	}
	return nil
}
