package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func readAll(t *testing.T, l *lineLog, tail int64) (all []string) {
	t.Helper()
	require.NoError(t, l.read(tail, func(line []byte) { all = append(all, strings.TrimSpace(string(line))) }))
	return all
}

func TestALineLog(t *testing.T) {
	l := &lineLog{path: filepath.Join(t.TempDir(), "gate", "frames.jsonl"), what: "the log", limit: 20}
	require.Empty(t, readAll(t, l, 100), "none is no error")
	require.NoError(t, writeLines(l, "a<b", "c"))
	require.Equal(t, []string{`"a<b"`, `"c"`}, readAll(t, l, 100))

	// A kill in the middle of a line.
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"chan`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, writeLines(l, "d"))
	require.Equal(t, []string{`"a<b"`, `"c"`, `{"chan`, `"d"`}, readAll(t, l, 100))

	// One that is long is put aside.
	require.NoError(t, writeLines(l, "e"))
	require.NoError(t, writeLines(l, "f"))
	require.Equal(t, []string{`"a<b"`, `"c"`, `{"chan`, `"d"`, `"e"`, `"f"`}, readAll(t, l, 100))
	require.FileExists(t, l.aside())
	require.Equal(t, []string{`"d"`, `"f"`}, readAll(t, l, 4), "the tail of each")
}

// What lies there may be anything.
func TestALineLogPassesLongLinesOver(t *testing.T) {
	l := &lineLog{path: filepath.Join(t.TempDir(), "log"), what: "the log", limit: 1 << 30}
	long := strings.Repeat("x", 3*maxLine)
	require.NoError(t, os.WriteFile(l.path, []byte("1\n"+long+"\n2\n"+long), 0o600))
	require.Equal(t, []string{"1", "2"}, readAll(t, l, 1<<20))
}

func TestALineLogThatCannotBeWritten(t *testing.T) {
	l := &lineLog{path: filepath.Join(t.TempDir(), "log"), what: "the log", limit: 1 << 30}
	require.ErrorContains(t, writeLines(l, func() {}), "write the log: json: unsupported type")
	require.NoError(t, os.Mkdir(l.path, 0o700))
	require.ErrorContains(t, writeLines(l, 1), "write the log: ")
	require.ErrorContains(t, l.read(10, func([]byte) {}), "read the log: ")
}
