package cli

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// give takes what the command line says. A list begins anew the first time and goes on after that.
func (f *field) give(text string) error {
	if f.enum != nil && !slices.Contains(f.enum, text) {
		var quoted []string
		for _, e := range f.enum {
			if e != "" {
				quoted = append(quoted, strconv.Quote(e))
			}
		}
		return fmt.Errorf("must be one of %s but got %q", strings.Join(quoted, ", "), text)
	}
	if !f.given && f.value.Kind() == reflect.Slice {
		f.value.SetZero()
	}
	f.given = true
	return f.set(text)
}

func (f *field) set(text string) error {
	if f.value.Kind() != reflect.Slice {
		return set(f.value, text)
	}
	for item := range strings.SplitSeq(text, ",") {
		next := reflect.New(f.value.Type().Elem()).Elem()
		if err := set(next, item); err != nil {
			return err
		}
		f.value.Set(reflect.Append(f.value, next))
	}
	return nil
}

// set reads one value.
func set(value reflect.Value, text string) (err error) {
	wrong := func(what string, err error) error {
		if numeric := (*strconv.NumError)(nil); errors.As(err, &numeric) {
			err = numeric.Err
		}
		return fmt.Errorf("%q: not %s: %w", text, what, err)
	}
	switch to := value.Addr().Interface().(type) {
	case *time.Duration:
		if *to, err = time.ParseDuration(text); err != nil {
			return wrong("a time such as 90s, 10m or 1h30m", err)
		}
		return nil
	case *time.Time:
		if *to, err = time.Parse(time.RFC3339, text); err != nil {
			return wrong("a time such as 2026-03-01T12:00:00Z", err)
		}
		return nil
	}
	switch value.Kind() { //nolint:exhaustive // what fields here are; the rest is told
	case reflect.String:
		value.SetString(text)
	case reflect.Bool:
		on, err := strconv.ParseBool(text)
		if err != nil {
			return wrong("true or false", err)
		}
		value.SetBool(on)
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, value.Type().Bits())
		if err != nil {
			return wrong("a whole number", err)
		}
		value.SetInt(n)
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, value.Type().Bits())
		if err != nil {
			return wrong("a whole number from 0 on", err)
		}
		value.SetUint(n)
	default:
		return fmt.Errorf("no command line says what a %s is", value.Type())
	}
	return nil
}
