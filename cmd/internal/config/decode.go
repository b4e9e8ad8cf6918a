package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// decoder reads nodes into a Config and gathers what is wrong.
type decoder struct {
	file     string
	env      Env
	secrets  []string
	problems FileError
}

// maxProblems is how many are told; after that many the file is something else.
const maxProblems = 200

func (d *decoder) problem(line, col int, path, message string) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{File: d.file, Line: line, Col: col, Path: path, Message: d.scrub(message)})
	}
}

// wrong reports what is wrong with a node.
func (d *decoder) wrong(n *node, path, format string, args ...any) {
	d.problem(n.line, n.col, path, fmt.Sprintf(format, args...))
}

// show makes what stands in the file fit for a message: short, on one line, no password.
func (d *decoder) show(text string) string {
	text = hal.Redact(strings.Join(strings.Fields(d.scrub(text)), " "))
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "…"
	}
	return text
}

// setter reads a value of the key at path.
type setter func(n *node, path string)

// entry is a key an object may have.
type entry struct {
	name string
	set  setter
}

// fields reads an object that may have these keys. It says whether n is one.
func (d *decoder) fields(n *node, path string, known ...entry) bool {
	switch n.kind {
	case isBroken:
		return false
	case isNull:
		return true
	case isObject:
	case isText, isInteger, isFloat, isBoolean, isList:
		d.wrong(n, path, "is %s: an object with the keys %s", n.kind, names(known))
		return false
	}
	for _, f := range n.fields {
		i := slices.IndexFunc(known, func(e entry) bool { return e.name == f.name })
		if len(d.problems) >= maxProblems {
			return true
		}
		if i < 0 {
			d.problem(f.line, f.col, path, fmt.Sprintf("unknown key %q: %s", d.show(f.name), hint(f.name, known)))
			continue
		}
		known[i].set(f.value, join(path, f.name))
	}
	return true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func names(known []entry) string {
	all := make([]string, 0, len(known))
	for _, e := range known {
		all = append(all, e.name)
	}
	return strings.Join(all, ", ")
}

// hint is what may have been meant: the nearest key, or all of them.
func hint(name string, known []entry) string {
	best, at := "", 3
	for _, e := range known {
		distance := distance(strings.ToLower(name), e.name)
		if strings.HasPrefix(e.name, strings.ToLower(name)) && len(name) >= 3 {
			distance = 1
		}
		if distance < at && distance <= max(1, len(e.name)/3) {
			best, at = e.name, distance
		}
	}
	if best != "" {
		return fmt.Sprintf("do you mean %s?", best)
	}
	return "one of " + names(known)
}

// distance is Levenshtein's: how many letters to change, add or take away. Long names are cut.
func distance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// scalar returns the text of a value of the kinds wanted.
func (d *decoder) scalar(n *node, path, want string, kinds ...kind) (string, bool) {
	if n.kind == isBroken {
		return "", false
	}
	if slices.Contains(kinds, n.kind) {
		return n.text, true
	}
	value := n.kind.String()
	if n.kind != isNull && n.kind != isList && n.kind != isObject {
		value = fmt.Sprintf("%q (%s)", d.show(n.text), n.kind)
	}
	d.wrong(n, path, "is %s: %s", value, want)
	return "", false
}

// text reads text; secrets in it are filled in.
func (d *decoder) text(dst *string, want string) setter {
	return func(n *node, path string) {
		raw, ok := d.scalar(n, path, want, isText)
		if !ok {
			return
		}
		if raw == "" {
			d.wrong(n, path, "is empty: %s", want)
			return
		}
		if t, ok := d.expand(n, path, raw); ok {
			*dst = t.fill(func(_ spot, secret string) string { return secret })
		}
	}
}

func (d *decoder) boolean(dst *bool) setter {
	return func(n *node, path string) {
		if raw, ok := d.scalar(n, path, "true or false", isBoolean); ok {
			*dst = strings.EqualFold(raw, "true")
		}
	}
}

func (d *decoder) integer(dst *int, low, high int) setter {
	return func(n *node, path string) {
		want := fmt.Sprintf("a whole number from %d to %d", low, high)
		raw, ok := d.scalar(n, path, want, isInteger)
		if !ok {
			return
		}
		v, err := strconv.ParseInt(raw, 0, 64)
		if err != nil || v < int64(low) || v > int64(high) {
			d.wrong(n, path, "is %s: %s", d.show(raw), want)
			return
		}
		*dst = int(v)
	}
}

func (d *decoder) oneOf(dst *string, allowed ...string) setter {
	return func(n *node, path string) {
		want := "one of " + strings.Join(allowed, ", ")
		raw, ok := d.scalar(n, path, want, isText)
		if !ok {
			return
		}
		if !slices.Contains(allowed, raw) {
			d.wrong(n, path, "is %q: %s", d.show(raw), want)
			return
		}
		*dst = raw
	}
}

func (d *decoder) duration(dst *time.Duration, low, high time.Duration) setter {
	return d.durationOr(dst, low, high, "")
}

// durationOr names in its errors what else is allowed.
func (d *decoder) durationOr(dst *time.Duration, low, high time.Duration, other string) setter {
	return func(n *node, path string) {
		such := "500ms, 90s, 10m or 1h30m"
		if high > 7*day {
			such = "90m, 12h, 7d or 1d12h"
		}
		want := fmt.Sprintf("%sa time with its unit, such as %s, from %s to %s", other, such, short(low), short(high))
		raw, ok := d.scalar(n, path, want, isText)
		if !ok {
			return
		}
		v, err := parseDuration(raw)
		if err != nil || v < low || v > high {
			d.wrong(n, path, "is %q: %s", d.show(raw), want)
			return
		}
		*dst = v
	}
}

// parseDuration is time.ParseDuration with whole days before the rest, as in 7d or 1d12h.
func parseDuration(text string) (time.Duration, error) {
	front, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	days, err := strconv.ParseUint(front, 10, 16)
	if err != nil || rest == "" {
		return time.Duration(days) * day, err
	}
	if strings.Trim(rest[:1], "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	v, err := time.ParseDuration(rest)
	return time.Duration(days)*day + v, err
}

// short is a duration without the zeros at its end.
func short(t time.Duration) string {
	if t >= 7*day && t%day == 0 {
		return strconv.Itoa(int(t/day)) + "d"
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size reads a number of bytes, with a unit or without.
func (d *decoder) size(dst *int64, low, high int64) setter {
	return func(n *node, path string) {
		want := fmt.Sprintf("bytes such as 64M, 1G or 512Ki (k, M, G: thousands; Ki, Mi, Gi: 1024s), from %s to %s", inUnits(low), inUnits(high))
		d.quantity(n, path, want, low, high, func(v int64) { *dst = v })
	}
}

// sizeInt is size for what lies in memory.
func (d *decoder) sizeInt(dst *int, low, high int64) setter {
	return func(n *node, path string) {
		v := int64(*dst)
		d.size(&v, low, high)(n, path)
		*dst = int(v)
	}
}

// part reads a part of a whole.
func (d *decoder) part(dst *float64) setter {
	return func(n *node, path string) {
		const want = "a part of the whole such as 0.75, above 0 and at most 1"
		raw, ok := d.scalar(n, path, want, isFloat, isInteger)
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(raw, 64)
		if err != nil || !(v > 0 && v <= 1) {
			d.wrong(n, path, "is %s: %s", d.show(raw), want)
			return
		}
		*dst = v
	}
}

// bitrate reads bits a second, with a unit or without.
func (d *decoder) bitrate(dst *int, low, high int64) setter {
	return func(n *node, path string) {
		want := fmt.Sprintf("bits a second such as 800k or 4M, from %s to %s", inUnits(low), inUnits(high))
		d.quantity(n, path, want, low, high, func(v int64) { *dst = int(v) })
	}
}

func (d *decoder) quantity(n *node, path, want string, low, high int64, set func(int64)) {
	raw, ok := d.scalar(n, path, want, isText, isInteger)
	if !ok {
		return
	}
	v, ok := parseQuantity(raw)
	if !ok || v < low || v > high {
		d.wrong(n, path, "is %q: %s", d.show(raw), want)
		return
	}
	set(v)
}

type unit struct {
	suffix string
	factor float64
}

func units() []unit {
	return []unit{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}}
}

// parseQuantity reads 4M, 1.5G, 64Mi, 64MiB, 4000000.
func parseQuantity(text string) (int64, bool) {
	text = strings.TrimSuffix(text, "B")
	factor := 1.0
	for _, u := range units() {
		if digits, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = strings.TrimSpace(digits), u.factor
			break
		}
	}
	if strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v*factor > math.MaxInt64/2 {
		return 0, false
	}
	return int64(math.Round(v * factor)), true
}

// inUnits is the inverse of parseQuantity for round numbers.
func inUnits(v int64) string {
	all := units()
	for _, i := range []int{8, 7, 6, 3, 2, 1, 4, 0} {
		if f := int64(all[i].factor); v >= f && v%f == 0 {
			return strconv.FormatInt(v/f, 10) + all[i].suffix
		}
	}
	return strconv.FormatInt(v, 10)
}

// pair reads WIDTHxHEIGHT.
func pair(text string) (Size, bool) {
	w, h, ok := strings.Cut(text, "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	return Size{width, height}, ok && errW == nil && errH == nil
}
