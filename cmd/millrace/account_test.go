package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// plugged serves a camera at an address until it is pulled.
func plugged(t *testing.T, address, source string) (pull func()) {
	t.Helper()
	server := rtsp.NewServer(rtsp.Config{Listen: address})
	require.NoError(t, server.Start())
	eng := pipeline.NewEngine(pipeline.Config{})
	ch, err := eng.Add(pipeline.Define("cam", acquire.From(hal.NewRegistry(synth.Driver{}), source)).Branch("live", rtsp.Limit(), server.Mount("cam")))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	return func() {
		require.NoError(t, server.Close(t.Context()))
		require.NoError(t, eng.Exit(t.Context()))
	}
}

// timeline is what the API says of a channel's time.
type timeline struct {
	Segments []struct {
		Number uint64
		File   string
		Length float64 `json:"length_s"`
		Start  time.Time
		Open   bool
		Pinned bool
	}
	Gaps []struct {
		From, To time.Time
		Length   float64 `json:"length_s"`
		Cause    string
		Detail   string
	}
	Account struct {
		Elapsed     float64            `json:"elapsed_s"`
		Recorded    float64            `json:"recorded_s"`
		Missing     map[string]float64 `json:"missing_s"`
		Unaccounted float64            `json:"unaccounted_s"`
		Unknown     int                `json:"unknown_gaps"`
	}
}

func askTimeline(t *testing.T, api, channel string) (line timeline) {
	t.Helper()
	query := url.Values{"from": {time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, "to": {time.Now().Add(time.Minute).UTC().Format(time.RFC3339)}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+api+"/v1/channels/"+channel+"/timeline?"+query.Encode(), nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&line))
	return line
}

// ledger is a run of the program whose time is accounted for.
type ledger struct {
	t        *testing.T
	dir, api string
	r        *running
}

func (l *ledger) up() {
	l.t.Helper()
	l.r = up(l.t, l.dir, l.api, "--config", "m.yml")
}

// records waits until more is recorded than before: a second of a file that is new.
func (l *ledger) records() {
	l.t.Helper()
	before := len(askTimeline(l.t, l.api, "gate").Segments)
	require.Eventually(l.t, func() bool {
		line := askTimeline(l.t, l.api, "gate")
		return len(line.Segments) > before || len(line.Segments) > 0 && line.Segments[len(line.Segments)-1].Open && line.Segments[len(line.Segments)-1].Length > 1
	}, waitLong, waitStep, "%s", &l.r.err)
}

// shows waits until the gap that is open has a cause.
func (l *ledger) shows(cause string) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		line := askTimeline(l.t, l.api, "gate")
		return len(line.Gaps) > 0 && line.Gaps[len(line.Gaps)-1].Cause == cause
	}, waitLong, waitStep, "%s", &l.r.err)
}

func (l *ledger) say(args ...string) {
	l.t.Helper()
	done := call(l.t, l.dir, append(args, "--api", l.api)...)
	require.Zero(l.t, done.code, done.err)
}

// R6, R7: what is recorded and what is missing make up the time that has passed, over a run in
// which the program is killed, the camera is pulled, the channel paused, the recording stopped,
// the stream silent for so long that the recording goes idle, and the disk full.
func TestRecordedAndMissingMakeUpTheTime(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may mount the disk that is to be full")
	}
	l := &ledger{t: t, dir: t.TempDir(), api: address(t)}
	rec := filepath.Join(l.dir, "rec")
	require.NoError(t, os.Mkdir(rec, 0o700))
	require.NoError(t, unix.Mount("none", rec, "tmpfs", 0, "size=24M"))
	defer func() { require.NoError(t, unix.Unmount(rec, unix.MNT_DETACH)) }()
	camera := address(t)
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "m.yml"), []byte(strings.Join([]string{
		"data: rec",
		"disk: {min_free: 1M}",
		"channels:",
		"  - name: gate",
		"    source: rtsp://" + camera + "/cam",
		"    record: {segment_duration: 2s, resume: 1s, merge: off, read: {initial: 20ms, floor: 20ms, max: 500ms, empty: 4}}",
		"",
	}, "\n")), 0o600))
	const source = "synth://?size=160x112&rate=25&gop=25&bitrate=800k&audio=none"
	pull := plugged(t, camera, source)
	began := monotonic(t)
	l.up()
	l.records()

	pull() // unplugged, for so long that the recording goes idle too
	l.shows("source-lost")
	require.Eventually(t, func() bool {
		return strings.Contains(call(t, l.dir, "channel", "list", "gate", "--json", "--api", l.api).out, `"ended_by": "idle"`)
	}, waitLong, waitStep)
	pull = plugged(t, camera, source)
	l.records()

	l.say("channel", "pause", "gate")
	l.shows("paused")
	pause(2 * time.Second)
	l.say("channel", "start", "gate")
	l.records()

	l.say("recording", "stop", "gate")
	l.shows("stopped")
	pause(time.Second)
	l.say("recording", "start", "gate")
	l.records()

	require.NoError(t, l.r.cmd.Process.Kill())
	_ = l.r.cmd.Wait() //nolint:errcheck // it was killed
	pause(time.Second)
	l.up()
	l.records()

	line := l.balance(rec)
	require.InDelta(t, time.Duration(monotonic(t)-began).Seconds(), line.Account.Elapsed, 2, "from the start of the program up to now")
	for _, cause := range []string{"source-lost", "paused", "stopped", "not-running"} {
		require.Positive(t, line.Account.Missing[cause], cause)
	}

	filler := filepath.Join(rec, "filler")
	fill(t, filler)
	pause(5 * time.Second) // the oldest goes, and then there is nothing left to go
	require.NoError(t, os.Remove(filler))
	l.records()
	after := l.balance(rec)
	t.Logf("before the disk was full: %+v; after: %+v", line.Account, after.Account)
	require.Less(t, line.Segments[0].Number, after.Segments[0].Number, "the oldest has gone")
	pull()
}

// balance asserts that a time line's sum is the time that has passed, and that the files say the
// same.
func (l *ledger) balance(rec string) timeline {
	l.t.Helper()
	l.say("recording", "stop", "gate") // no file is under way
	l.shows("stopped")
	line := askTimeline(l.t, l.api, "gate")
	l.say("recording", "start", "gate")
	text, err := json.MarshalIndent(line, "", " ")
	require.NoError(l.t, err)
	a := line.Account
	sum := a.Recorded
	for _, missing := range a.Missing {
		sum += missing
	}
	const frame = 0.04
	require.InDelta(l.t, a.Elapsed, sum, 1e-6, "%s", text)
	require.Zero(l.t, a.Unaccounted, "%s", text)
	require.Zero(l.t, a.Unknown, "%s", text)
	require.InDelta(l.t, inFiles(l.t, rec, line)-overlaps(line), a.Recorded, frame*float64(len(line.Segments)), "what the files say of their length: %s", text)
	return line
}

// overlaps is by how much files reach into the next one, in s: where a machine was too busy for the
// first frames of a stream, their instants are known too late, and those of the next file better.
func overlaps(line timeline) (seconds float64) {
	for i, s := range line.Segments[:len(line.Segments)-1] {
		end := s.Start.Add(time.Duration(s.Length * float64(time.Second)))
		seconds += max(0, end.Sub(line.Segments[i+1].Start).Seconds())
	}
	return seconds
}

// inFiles is the length of all files, by their packets.
func inFiles(t *testing.T, rec string, line timeline) (seconds float64) {
	t.Helper()
	for _, s := range line.Segments {
		out := tool(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=duration_time", "-of", "csv=p=0", filepath.Join(rec, "gate", s.File))
		for field := range strings.FieldsSeq(out) {
			d, err := strconv.ParseFloat(strings.Trim(field, ","), 64)
			require.NoError(t, err, "%q", field)
			seconds += d
		}
	}
	return seconds
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, f.Close())
}
