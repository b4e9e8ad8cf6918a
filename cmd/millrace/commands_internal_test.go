package main

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// A3: every command that has none below it can be run.
func TestEveryCommandDoesSomething(t *testing.T) {
	seen := 0
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		below := false
		for i := range v.NumField() {
			if _, ok := v.Type().Field(i).Tag.Lookup("cmd"); ok {
				below = true
				walk(v.Field(i), path+" "+v.Type().Field(i).Name)
			}
		}
		if !below {
			seen++
			require.Implements(t, (*runner)(nil), v.Addr().Interface(), path)
		}
	}
	walk(reflect.ValueOf(&commands{}).Elem(), "millrace")
	require.Greater(t, seen, 30)
}
