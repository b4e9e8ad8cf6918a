package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/cloud"
)

// C3: what is given up is in the time line, also after a kill in the middle of a line.
func TestLostPackagesAreKept(t *testing.T) {
	l := newLostPackages(filepath.Join(t.TempDir(), "gate", "cloud-lost.jsonl"))
	zero := time.Unix(1_800_000_000, 0).UTC()
	at := func(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }
	none, err := l.between(at(0), at(100))
	require.NoError(t, err)
	require.Empty(t, none)
	for i := range 4 {
		require.NoError(t, l.add(cloud.Lost{Channel: "gate", Number: uint64(i), From: at(4 * i), To: at(4*i + 4), Cause: "the spool was full"}))
	}
	f, err := os.OpenFile(l.file.path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"channel": "ga`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	some, err := l.between(at(4), at(9))
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.EqualValues(t, 1, some[0].Number)
	require.Equal(t, at(8), some[1].From)
	require.NoError(t, l.add(cloud.Lost{Channel: "gate", Number: 4, From: at(16), To: at(20)}))
	last, err := l.between(at(16), at(20))
	require.NoError(t, err)
	require.Len(t, last, 1, "the one that was cut off costs itself alone")
	require.NoError(t, l.add(cloud.Lost{Channel: "gate", Number: 5, From: at(20), To: at(24), Cause: strings.Repeat("no ", 10_000)}))
	long, err := l.between(at(20), at(24))
	require.NoError(t, err)
	require.Len(t, long, 1, "a store may say much")
}
