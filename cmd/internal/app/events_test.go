package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
)

// C6, C7: a camera whose picture begins to move makes an event, whose video begins before that;
// a trigger by the API makes one too. ffprobe is the judge of the file.
func TestMotionAndTheAPIMakeEvents(t *testing.T) {
	defer goleak.VerifyNone(t, leaks()...)
	gate := config.DefaultChannel("gate", config.FromURL("synth://?codec=raw&size=320x240&still=until:75"))
	gate.Record.Enabled, gate.Events.Record, gate.Encode.GOP = false, true, 25
	gate.Events.Interval, gate.Events.Minimum, gate.Events.Pre = 4*time.Second, 4*time.Second, time.Second
	gate.Events.Motion.Enabled = true
	yard := config.DefaultChannel("yard", config.FromURL("synth://"))
	lane := config.DefaultChannel("lane", config.FromURL("synth://"))
	lane.Events.Enabled = false
	hall := config.DefaultChannel("hall", config.FromURL("synth://?size=320x240&gop=8&still=until:75")) // H.264: what is seen are its key frames
	hall.Record.Enabled, hall.Events.Motion.Enabled = false, true
	cfg := configuration(t, gate, yard, lane, hall)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var moved time.Time
	require.NoError(t, app.New(cfg, app.Drivers(), slog.New(slog.DiscardHandler)).Run(ctx, func(s app.Summary) {
		defer cancel()
		defer http.DefaultClient.CloseIdleConnections()
		require.Equal(t, http.StatusOK, post(t, s.API+"/v1/channels/yard/events", `{"type": "person"}`))
		require.Equal(t, http.StatusConflict, post(t, s.API+"/v1/channels/lane/events", `{"type": "person"}`))
		require.Eventually(t, func() bool {
			lines := eventsOf(t, s.API, "yard").Recent
			return len(lines) == 1 && lines[0].Source == "person" && lines[0].Event == 1
		}, time.Minute, 20*time.Millisecond)
		require.Eventually(t, func() bool {
			for _, l := range eventsOf(t, s.API, "gate").Recent {
				if l.Kind == api.EventMessage {
					moved = time.UnixMilli(l.Time)
					return l.Source == "motion" && l.Event == 1
				}
			}
			return false
		}, time.Minute, 50*time.Millisecond)
		require.Eventually(t, func() bool {
			lines := eventsOf(t, s.API, "hall").Recent
			return len(lines) > 0 && lines[0].Source == "motion"
		}, time.Minute, 50*time.Millisecond)
		require.Contains(t, get(t, s.API+"/v1/channels/hall"), `"sees": "h264"`)
	}))
	files, err := filepath.Glob(filepath.Join(cfg.Data, "gate", "*.mp4"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "the exit ended it")
	_, stamp, _ := strings.Cut(filepath.Base(files[0]), "-")
	began, err := time.Parse("20060102T150405Z", strings.TrimSuffix(stamp, ".mp4")) // in a layout the 4 of mp4 would be the minute
	require.NoError(t, err)
	require.WithinDuration(t, moved, began, 30*time.Second)
	require.True(t, began.Before(moved), "the video begins at %s, before the motion at %s", began, moved)
	for _, file := range files {
		text, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=flags", "-of", "json", file).Output()
		require.NoError(t, err, "ffprobe")
		var judged struct{ Packets []struct{ Flags string } }
		require.NoError(t, json.Unmarshal(text, &judged), "%s", text)
		require.True(t, strings.HasPrefix(judged.Packets[0].Flags, "K"), "it begins with a key frame")
	}
}

func eventsOf(t *testing.T, address, channel string) (e api.ChannelEvents) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(get(t, address+"/v1/channels/"+channel+"/events")), &e))
	return e
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body)) //nolint:noctx,gosec // a test
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}
