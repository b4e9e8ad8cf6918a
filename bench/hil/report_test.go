//go:build !hil

package hil_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
)

func TestCases(t *testing.T) {
	for _, tc := range []struct {
		name, log string
		want      []hil.Case
	}{
		{
			"a test without subtests is a case, with its figures",
			"=== RUN   TestA\r\nHIL-FIGURE TestA 24.9 fps\r\nHIL-FIGURE TestA 0 copies\r\n--- PASS: TestA (1.20s)\r\nPASS\r\n",
			[]hil.Case{{Name: "TestA", Result: "pass", Seconds: "1.20", Figures: []string{"24.9 fps", "0 copies"}}},
		},
		{
			"of a test with subtests the subtests are",
			"=== RUN   TestA\n=== RUN   TestA/x\n=== RUN   TestA/y\n--- FAIL: TestA (3.00s)\n    --- PASS: TestA/x (1.00s)\n    --- FAIL: TestA/y (2.00s)\n",
			[]hil.Case{{Name: "TestA/x", Result: "pass", Seconds: "1.00"}, {Name: "TestA/y", Result: "fail", Seconds: "2.00"}},
		},
		{
			"a test that failed when its subtests had passed is one too",
			"=== RUN   TestA\n=== RUN   TestA/x\n--- FAIL: TestA (3.00s)\n    --- PASS: TestA/x (1.00s)\n",
			[]hil.Case{{Name: "TestA", Result: "fail", Seconds: "3.00"}, {Name: "TestA/x", Result: "pass", Seconds: "1.00"}},
		},
		{
			"what never ended died",
			"=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\npanic: no\n",
			[]hil.Case{{Name: "TestA", Result: "pass", Seconds: "0.00"}, {Name: "TestB", Result: "died"}},
		},
		{"a figure behind the kernel's words counts", "[ 1.0] vivid: hmHIL-FIGURE TestA 1 fps\n--- PASS: TestA (0.10s)\n", []hil.Case{{Name: "TestA", Result: "pass", Seconds: "0.10", Figures: []string{"1 fps"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := hil.Cases(strings.NewReader(tc.log))
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestTheTableCountsWhatDidNotPass(t *testing.T) {
	var out strings.Builder
	bad, err := hil.WriteTable(&out, []hil.Case{{Name: "TestA/a_rule", Result: "pass", Seconds: "1.0"}, {Name: "TestB", Result: "died"}})
	require.NoError(t, err)
	require.Equal(t, 1, bad)
	require.Contains(t, out.String(), "A/a rule")
}
