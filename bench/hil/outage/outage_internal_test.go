package outage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/record"
)

func TestWhatTheConsoleSays(t *testing.T) {
	acted := 0
	c := &console{starts: 2, act: func() { acted++ }}
	for _, piece := range []string{
		"HIL up after 4.2 s\r\nALIVE 5.1", "0\r\nOUTAGE start\r\n", "ALIVE 6.00\n",
		"level=DEBUG msg=recording channel=a stage=record file=/disk/rec/a/00000003-x.mp4\n", "ALIVE 7.00\n",
		"level=DEBUG msg=recording channel=a stage=record file=/disk/rec/a/00000004-x.mp4\n",
	} {
		_, err := c.Write([]byte(piece))
		require.NoError(t, err)
	}
	require.Zero(t, acted, "the clock was not set yet")
	_, err := c.Write([]byte("OUTAGE stepped\n"))
	require.NoError(t, err)
	require.Equal(t, 1, acted)
	require.Equal(t, 7*time.Second, c.alive)
	require.Equal(t, map[string]time.Duration{"a": 6 * time.Second}, c.begun, "since its first file of this boot")
	require.NotContains(t, c.text.String(), "ALIVE")
}

func TestReportsOfTwoMachinesCompare(t *testing.T) {
	said := `msg="a file that was open is repaired" found="%s/a/00000002-20260101T000000Z.mp4: 2s, 10 bytes, frames [1 2]; it was whole"` + "\n"
	inside, through := report(`x ` + said + `msg="rtsp server listens"`)
	require.True(t, through)
	outside, through := report(said)
	require.False(t, through)
	require.Equal(t, outside, inside)
	require.Equal(t, []string{"a/00000002-20260101T000000Z.mp4: 2s, 10 bytes, frames [1 2]; it was whole"}, inside)
}

func TestFilesFollowEachOther(t *testing.T) {
	const year = 1_780_000_000_000_000_000
	at := func(number, recording uint64, from time.Duration) *record.Segment {
		return &record.Segment{Number: number, Recording: recording, Start: record.Instant{Wall: year, Mono: int64(from)}, Length: 6 * time.Second}
	}
	for name, tc := range map[string]struct {
		n         *record.Segment
		explained bool
		wrong     string
	}{
		"the next one":                {at(2, 1, 6*time.Second), false, ""},
		"over the one before":         {at(2, 1, 5*time.Second), false, "begins 1s before"},
		"a number again":              {at(1, 1, 6*time.Second), false, "stands behind"},
		"a hole that nobody explains": {at(2, 1, 7*time.Second), false, "nothing says why"},
		"a gap with its cause":        {at(2, 1, 7*time.Second), true, ""},
		"another boot":                {at(2, 2, 0), true, ""},
		"1970":                        {&record.Segment{Number: 2}, true, "year 1970"},
	} {
		err := follows(at(1, 1, 0), tc.n, tc.explained)
		if tc.wrong == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tc.wrong, name)
	}
}

func TestWhatTheCatalogNamesMustBeThere(t *testing.T) {
	data := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(data, "a"), 0o750))
	path := filepath.Join(data, "a", "00000001-x.mp4")
	require.NoError(t, os.WriteFile(path, make([]byte, 9), 0o600))
	text := []byte(`{"channels":[{"name":"a","items":[{"segment":{"number":1,"file":"00000001-x.mp4","bytes":10,"ended_by":"it was full"}}]}]}`)
	d := read(t, text)
	require.ErrorContains(t, d.holds(data, false), "names 10 bytes of a/00000001-x.mp4, which has 9")
	require.NoError(t, os.Truncate(path, 10))
	require.NoError(t, d.holds(data, false))
	require.NoError(t, os.Remove(path))
	require.ErrorContains(t, d.holds(data, false), "names what is not there")
}

func TestALaterCutMustChangeNothing(t *testing.T) {
	data := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(data, "a"), 0o750))
	path := filepath.Join(data, "a", "1.mp4")
	require.NoError(t, os.WriteFile(path, []byte("whole"), 0o600))
	k, err := keep(path, -1)
	require.NoError(t, err)
	s := Series{kept: map[string]kept{"a/1.mp4": k}}
	for content, ok := range map[string]bool{"whole": true, "whole and more": true, "whol": false, "w ole": false} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.Equal(t, ok, s.unharmed(data) == nil, content)
	}
	require.NoError(t, os.Remove(path))
	require.ErrorContains(t, s.unharmed(data), "a later cut lost a file")
}

func TestWhatIsMissingIsMeasuredFromTheLastFileOfThisBoot(t *testing.T) {
	s := Series{highest: map[string]uint64{"a": 4}}
	out := &console{alive: 20 * time.Second, begun: map[string]time.Duration{"a": 13 * time.Second}}
	old := []left{{channel: "a", number: 4}}
	require.ErrorContains(t, s.missing(old, Cut{Sync: "5s"}, out), "7s are missing")
	require.NoError(t, s.missing(old, Cut{Sync: "segment"}, out))
	require.Equal(t, 7*time.Second, s.found.Worst)
	require.NoError(t, s.missing(nil, Cut{Sync: "fragment"}, &console{alive: time.Minute}), "a channel that has not begun")

	out.stood = []stall{{12 * time.Second, 5 * time.Second}, {19 * time.Second, 3 * time.Second}}
	require.NoError(t, s.missing(old, Cut{Sync: "5s"}, out), "the machine stood still for 3 s of the 7")
}

func TestAMachineThatStandsStillShowsIt(t *testing.T) {
	c := &console{}
	for _, at := range []string{"5.00", "5.20", "7.60", "7.80"} {
		_, err := c.Write([]byte("ALIVE " + at + "\n"))
		require.NoError(t, err)
	}
	require.Equal(t, 2*time.Second, c.stalled(time.Second))
	require.Zero(t, c.stalled(100*time.Millisecond), "before that")
}

func read(t *testing.T, text []byte) (d dump) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}
