package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
)

// ants keeps two goroutines of its default pool for as long as a process lives.
func leaks() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
	}
}

func configuration(t *testing.T, channels ...config.Channel) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.RTSP.Listen = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	cfg.Channels = channels
	return cfg
}

// P4: what Run took it gives back, the API last.
func TestRunLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, leaks()...)
	cfg := configuration(t, config.DefaultChannel("gate", config.FromURL("synth://")), config.DefaultChannel("yard", config.FromURL("synth://?fail=open")))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var address string
	a := app.New(cfg, app.Drivers(), slog.New(slog.DiscardHandler))
	require.NoError(t, a.Run(ctx, func(s app.Summary) {
		address = s.API
		require.Equal(t, filepath.Join(cfg.Data, "gate"), s.Channels[0].Folder)
		require.True(t, strings.HasPrefix(s.Channels[0].Watch, "rtsp://127.0.0.1:"), s.Channels[0].Watch)
		resp, err := http.Get(address + "/v1/channels/gate") //nolint:noctx // a test
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
		http.DefaultClient.CloseIdleConnections()
		cancel()
	}))
	_, err := http.Get(address + "/v1/channels") //nolint:noctx,bodyclose // a test; there is none
	require.ErrorContains(t, err, "refused")
}

// P1: a channel that cannot be initialised keeps no other from running.
func TestAChannelThatDoesNotStartIsItsOwnMatter(t *testing.T) {
	broken := config.DefaultChannel("yard", config.FromURL("synth://"))
	broken.Record.Dir = "/proc/nowhere"
	cfg := configuration(t, config.DefaultChannel("gate", config.FromURL("synth://")), broken)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var states []string
	a := app.New(cfg, app.Drivers(), slog.New(slog.DiscardHandler))
	require.NoError(t, a.Run(ctx, func(s app.Summary) {
		for _, c := range s.Channels {
			states = append(states, c.State)
		}
		cancel()
	}))
	require.Contains(t, []string{"waiting", "running"}, states[0])
	require.Equal(t, "exited", states[1])

	cfg.Channels = []config.Channel{broken}
	err := app.New(cfg, app.Drivers(), slog.New(slog.DiscardHandler)).Run(t.Context(), func(app.Summary) { t.Error("nothing is up") })
	require.ErrorContains(t, err, "no channel starts: channel yard, stage disk")
}

// A3: what a camera's URL got from the environment is in no error.
func TestASecretIsInNoStatus(t *testing.T) {
	cfg, err := config.Parse("m.yml", []byte("channels: {gate: {source: 'rtsp://127.0.0.1:1/x?token=${TOKEN}'}}"), config.Env{
		Lookup: func(string) (string, bool) { return "hunter2-hunter2", true }, Check: app.CheckSource(app.Drivers()),
	})
	require.NoError(t, err)
	cfg.Data, cfg.Listen, cfg.RTSP.Enabled = t.TempDir(), "127.0.0.1:0", false
	var log strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := app.New(cfg, app.Drivers(), slog.New(slog.NewTextHandler(scrubbing{&log, cfg}, nil)))
	require.NoError(t, a.Run(ctx, func(s app.Summary) {
		defer cancel()
		require.Equal(t, "rtsp://127.0.0.1:1/x?token=xxxxx", s.Channels[0].Source)
		require.Eventually(t, func() bool {
			text := get(t, s.API+"/v1/channels/gate")
			require.NotContains(t, text, "hunter2")
			return strings.Contains(text, "refused")
		}, time.Minute, 20*time.Millisecond)
	}))
	require.Contains(t, log.String(), "source failed")
	require.NotContains(t, log.String(), "hunter2")
}

type scrubbing struct {
	w   io.Writer
	cfg config.Config
}

func (s scrubbing) Write(p []byte) (int, error) {
	_, err := io.WriteString(s.w, s.cfg.Scrub(string(p)))
	return len(p), err
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx,gosec // a test
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}
