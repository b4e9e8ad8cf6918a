package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRequirementsAreReadWithTheirStatus(t *testing.T) {
	reqs, err := ParseRequirements("# P\n- **P1** (built) one\n  more\n- **P2** (planned) two\n")
	require.NoError(t, err)
	require.Equal(t, []Requirement{{"P1", "built"}, {"P2", "planned"}}, reqs)
	for _, bad := range []string{"", "- **P1** (done) one", "- **P1** one", "- **P1** (built) a\n- **P1** (built) b"} {
		_, err := ParseRequirements(bad)
		require.Error(t, err, bad)
	}
}

func TestATestNamesRequirements(t *testing.T) {
	dir := t.TempDir()
	code := `package a_test

// P4: exit works from every state (P1, P7).
func TestExit(t *testing.T) {
	// P6: here too
}

// Object storage is S3, sound H264.
func TestStore(t *testing.T) {}

// S3: channels come and go.
func TestR2Interval_R3(t *testing.T) {}

// P9
func BenchmarkNothing(b *testing.B) {}

// P9
func ExampleSilent() {}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a_test.go"), []byte(code), 0o600))
	tests, err := FindTests(dir)
	require.NoError(t, err)
	require.Len(t, tests, 3)
	require.Equal(t, []string{"P1", "P4", "P6", "P7"}, tests[0].Numbers)
	require.Equal(t, "a_test.go:4", tests[0].Place)
	require.Empty(t, tests[1].Numbers)
	require.Equal(t, []string{"R2", "R3", "S3"}, tests[2].Numbers)
}

func TestABuiltRequirementWithoutATestFails(t *testing.T) {
	reqs := []Requirement{{"P1", "built"}, {"P2", "partly"}, {"P3", "planned"}}
	_, err := Match(reqs, []Test{{Name: "TestA", Numbers: []string{"P1"}}})
	require.ErrorContains(t, err, "P2 is partly but no test names it")
	require.NotContains(t, err.Error(), "P1")
	require.NotContains(t, err.Error(), "P3")
	_, err = Match(reqs[:1], []Test{{Name: "TestA", Numbers: []string{"P1", "P77"}}})
	require.ErrorContains(t, err, "P77, which is no requirement")
}
