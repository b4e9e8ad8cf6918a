package main_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/cmd/internal/playback/playbacktest"
	"github.com/millrace-video/millrace/pipeline"
)

func TestFilesAreShownAndExportedWithoutARunningProgram(t *testing.T) { // R6
	s := playbacktest.Record(t, "&audio=none", nil)
	data, dir := filepath.Dir(s.Dir), t.TempDir()
	r := call(t, dir, "timeline", "gate", "--data", data, "--from", "2026-03-01T12:00:00Z", "--to", "2026-03-01T12:01:00Z")
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.out, "[########################.......+############+...............]")
	require.Regexp(t, `2026-03-01T12:00:24.000Z  2026-03-01T12:00:31.300Z  7.3s +gap: unknown`, r.out)
	require.Equal(t, 4, strings.Count(r.out, ".mp4"))

	r = call(t, dir, "timeline", "gate", "--data", data, "--from", "2026-03-01T12:00:20Z", "--to", "2026-03-01T12:01:00Z", "--json")
	var line api.Timeline
	require.NoError(t, json.Unmarshal([]byte(r.out), &line), r.err)
	require.Len(t, line.Segments, 3)
	require.Len(t, line.Gaps, 1)

	from, to := "2026-03-01T12:00:07.5Z", "2026-03-01T12:00:33Z"
	r = call(t, dir, "export", "gate", "--data", data, "--from", from, "--to", to, "-o", "a.mp4")
	require.Zero(t, r.code, r.err)
	exactly := s.Numbers(at(t, from), at(t, to), false)
	require.Equal(t, exactly, playbacktest.Read(t, filepath.Join(dir, "a.mp4")))
	r = call(t, dir, "export", "gate", "--data", data, "--from", from, "-o", "a.mp4")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.err, "exists already")
	require.Equal(t, exactly, playbacktest.Read(t, filepath.Join(dir, "a.mp4")), "it is as it was")
	r = call(t, dir, "export", "gate", "--data", data, "--from", "-10m", "-o", "b.mp4")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.err, "the last recording ends at 2026-03-01T12:00:44.3Z")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing is left of an export that failed")
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return at
}

// storage is a catalog of one shelf.
type storage struct{ *playbacktest.Shelf }

func (storage) Account(catalog.Timeline) catalog.Account { return catalog.Account{} }
func (storage) Usage() (catalog.Usage, error)            { return catalog.Usage{}, nil }

// Where one film cannot hold a range, each of its files is a film that plays.
func TestARunningProgramExportsAsManyFilmsAsItTakes(t *testing.T) { // R6
	s := playbacktest.Record(t, "&audio=none", nil)
	s.Segments[2].Start.Wall -= int64(time.Hour) // the clock was set back
	s.Segments[3].Start.Wall -= int64(time.Hour)
	server := httptest.NewServer(api.Handler(api.Config{Engine: pipeline.NewEngine(pipeline.Config{}), Storage: storage{s}}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	args := []string{"export", "gate", "--api", server.URL, "--from", "2026-03-01T10:00:00Z", "--to", "2026-03-01T13:00:00Z", "-o", "a.mp4"}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a-2.mp4"), []byte("mine"), 0o600))
	r := call(t, dir, args...)
	require.Equal(t, 2, r.code, "nothing is begun that cannot be ended")
	r = call(t, dir, append(args, "--force")...)
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.err, "another film: the clock was set back")
	require.Len(t, playbacktest.Read(t, filepath.Join(dir, "a.mp4")), 600)
	require.Len(t, playbacktest.Read(t, filepath.Join(dir, "a-2.mp4")), 325)
}

// What runs is shown and exported while it records, and the same again once it is merged.
func TestARunningProgramShowsAndExportsWhatItRecords(t *testing.T) { // R4, R6
	t.Parallel()
	dir, where := t.TempDir(), address(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(`
channels:
  - {name: gate, source: "synth://?size=320x180&rate=25&gop=25", record: {segment_duration: 2s}}
`), 0o600))
	r := up(t, dir, where, "--config", "m.yml")
	line := func() (all api.Timeline) {
		got := call(t, dir, "timeline", "gate", "--api", where, "--from", "-1h", "--json")
		if got.code == 0 {
			require.NoError(t, json.Unmarshal([]byte(got.out), &all))
		}
		return all
	}
	require.Eventually(t, func() bool { return len(line().Segments) >= 4 }, waitLong, waitStep)
	segments := line().Segments
	from := segments[0].Start.Add(500 * time.Millisecond).Format(time.RFC3339Nano)
	to := segments[2].Start.Add(1500 * time.Millisecond).Format(time.RFC3339Nano)
	export := func(name string) []uint32 {
		got := call(t, dir, "export", "gate", "--api", where, "--from", from, "--to", to, "-o", name)
		require.Zero(t, got.code, got.err)
		sound(t, filepath.Join(dir, name))
		return playbacktest.Read(t, filepath.Join(dir, name))
	}
	before := export("before.mp4")
	require.InDelta(t, 125, len(before), 5) // 5 s, less what the camera's clock differs
	for i, n := range before {
		require.Equal(t, before[0]+uint32(i), n)
	}
	require.Zero(t, call(t, dir, "recording", "stop", "gate", "--api", where).code)
	require.Eventually(t, func() bool { return len(line().Segments) == 1 && !line().Segments[0].Open }, waitLong, waitStep)
	require.Contains(t, line().Segments[0].File, ".merged.mp4")
	after := export("after.mp4")
	require.InDelta(t, before[0], after[0], 1)
	require.InDelta(t, len(before), len(after), 2)
	got := call(t, dir, "timeline", "gate", "--api", where)
	require.Contains(t, got.out, "gap: stopped")
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
}
