package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/millrace-video/millrace/hal"
)

// hidden stands where a secret was.
const hidden = "xxxxx"

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// spot is where in a URL a secret stands, and so how it must be written.
type spot uint8

const (
	anywhere spot = iota
	inUser
	inQuery
)

// template is text with secrets in it, taken apart.
type template struct {
	parts []part
}

// part is a piece of text, or a secret.
type part struct {
	text   string // the secret's value where secret
	secret bool
}

// expand takes text apart and looks up its secrets: ${NAME} in the environment, ${file:PATH}
// in a file, and $${ is ${ itself. What is not there is a problem at its own place.
func (d *decoder) expand(n *node, path, text string) (template, bool) {
	var t template
	ok := true
	rest, offset := text, 0
	for {
		at := strings.Index(rest, "${")
		if at < 0 {
			t.parts = append(t.parts, part{text: rest})
			return t, ok
		}
		if at > 0 && rest[at-1] == '$' {
			t.parts = append(t.parts, part{text: rest[:at-1] + "${"})
			rest, offset = rest[at+2:], offset+at+2
			continue
		}
		col := n.col
		if n.shift >= 0 {
			col += n.shift + len([]rune(text[:offset+at]))
		}
		name, after, closed := strings.Cut(rest[at+2:], "}")
		if !closed {
			d.problem(n.line, col, path, "a ${ without its }: ${NAME} is a variable of the environment, ${file:PATH} a file's content, $${ stands for ${ itself")
			return t, false
		}
		t.parts = append(t.parts, part{text: rest[:at]})
		value, err := d.lookUp(name)
		if err != nil {
			d.problem(n.line, col, path, err.Error())
			ok = false
		}
		t.parts = append(t.parts, part{text: value, secret: true})
		offset += at + 2 + len(name) + 1
		rest = after
	}
}

// lookUp returns a secret and takes note that it is one.
func (d *decoder) lookUp(name string) (string, error) {
	if file, ok := strings.CutPrefix(name, "file:"); ok {
		return d.fromFile(file)
	}
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", fmt.Errorf("${%s} is no name of a variable: letters, digits and _, or ${file:PATH}", d.show(name))
	}
	value, ok := d.env.Lookup(name)
	if !ok || value == "" {
		return "", fmt.Errorf("the environment variable %s is not set: set it for the program that reads this file", name)
	}
	d.keep(value)
	return value, nil
}

// fromFile reads a secret from a file: its content without the line's end.
func (d *decoder) fromFile(file string) (string, error) {
	content, err := d.env.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the secret's file %s cannot be read: %w", d.show(file), cause(err))
	}
	value := strings.TrimRight(string(content), "\r\n")
	switch {
	case value == "":
		return "", fmt.Errorf("the secret's file %s is empty", d.show(file))
	case strings.ContainsAny(value, "\r\n\x00"):
		return "", fmt.Errorf("the secret's file %s has more than one line: the secret alone", d.show(file))
	}
	d.keep(value)
	return value, nil
}

// cause is an error of the file system without its path, which the message has already.
func cause(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// readSecret is Env.ReadFile of the real world.
func readSecret(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() //nolint:errcheck // only read
	content, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(content) > maxSecret {
		err = fmt.Errorf("larger than %d KiB", maxSecret>>10)
	}
	return content, err
}

// keep takes note of a secret, as it is and as a URL has it, so that no message shows it.
func (d *decoder) keep(secret string) {
	d.secrets = append(d.secrets, secret, asUser(secret), url.QueryEscape(secret))
}

func (d *decoder) scrub(text string) string { return scrub(text, d.secrets) }

func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, hidden)
		}
	}
	return text
}

// Scrub hides every secret that came from the environment or a file. It is for what is logged
// or shown after all care was taken already.
func (c *Config) Scrub(text string) string { return scrub(text, c.secrets) }

// asUser writes a secret as the user part of a URL wants it.
func asUser(secret string) string {
	return strings.TrimPrefix(url.UserPassword("u", secret).String(), "u:")
}

// fill returns the text with every secret as write gives it, which learns where it stands.
func (t template) fill(write func(at spot, secret string) string) string {
	masked := t.masked()
	user := userPart(masked)
	query := strings.IndexByte(masked, '?')
	var b strings.Builder
	at := 0
	for _, p := range t.parts {
		if !p.secret {
			b.WriteString(p.text)
			at += len(p.text)
			continue
		}
		where := anywhere
		switch {
		case at < user:
			where = inUser
		case query >= 0 && at > query:
			where = inQuery
		}
		b.WriteString(write(where, p.text))
		at++
	}
	return b.String()
}

// masked is the text with one byte for every secret, whatever stands in it.
func (t template) masked() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.secret {
			b.WriteByte('x')
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// userPart returns where a URL's user and password end, or 0.
func userPart(u string) int {
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		return 0
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return 0
	}
	return strings.Index(u, "://") + 3 + at
}

// url returns a source's URL, complete and as it may be shown.
func (t template) url() (complete, shown string) {
	complete = t.fill(func(at spot, secret string) string {
		switch at {
		case inUser:
			return asUser(secret)
		case inQuery:
			return url.QueryEscape(secret)
		case anywhere:
		}
		return secret
	})
	if t.masked() == "x" { // the whole URL is a secret: its host may be shown
		u, err := url.Parse(complete)
		if err != nil {
			return complete, hidden
		}
		if u.RawQuery != "" {
			u.RawQuery = hidden
		}
		return complete, hal.Redact(u.String())
	}
	return complete, hal.Redact(t.fill(func(spot, string) string { return hidden }))
}
