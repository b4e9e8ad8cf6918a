package api_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/stages/cloud"
)

// desk is cloud storage that notes what it is told.
type desk struct{ told []cloud.Notice }

func (d *desk) Clouds() cloud.Status {
	at := time.Unix(1_800_000_000, 0)
	return cloud.Status{State: "running", Spool: true, SpoolBytes: 5, Running: 1, Cause: "no link", Since: &at, Channels: []cloud.ChannelStatus{{
		Channel: "gate", FullTime: cloud.ServiceStatus{On: true, Expires: &at}, Oldest: &at, Why: "no link",
		Lost: []cloud.Lost{{Channel: "gate", Number: 1, From: at, To: at, Cause: "the spool was full"}},
	}}}
}

func (d *desk) Serve(channel string, n cloud.Notice) error {
	n.Channel = channel
	d.told = append(d.told, n)
	if n.Service == cloud.Event {
		return errors.New("channel gate has no cloud storage")
	}
	return nil
}

func (d *desk) Lost(channel string, from, _ time.Time) ([]cloud.Lost, error) {
	return []cloud.Lost{{Channel: channel, Number: 1, From: from, To: from.Add(4 * time.Second), Cause: "the spool was full"}}, nil
}

// C4, C5: what waits and why is told, and services are switched.
func TestCloud(t *testing.T) {
	d := &desk{}
	s := httptest.NewServer(api.Handler(api.Config{Engine: engine(t), Clouds: d}))
	defer s.Close()
	for _, tc := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, "/v1/cloud", http.StatusOK},
		{http.MethodPost, "/v1/channels/gate/cloud/full-time/start?expires=2030-01-02T03:04:05Z", http.StatusOK},
		{http.MethodPost, "/v1/channels/gate/cloud/full-time/stop", http.StatusOK},
		{http.MethodPost, "/v1/channels/gate/cloud/full-time/start?expires=tomorrow", http.StatusBadRequest},
		{http.MethodPost, "/v1/channels/gate/cloud/event/start", http.StatusConflict},
		{http.MethodPost, "/v1/channels/gate/cloud/pictures/start", http.StatusNotFound},
		{http.MethodPost, "/v1/channels/nobody/cloud/event/start", http.StatusNotFound},
	} {
		code, answer := ask(t, s, tc.method, tc.path)
		require.Equal(t, tc.code, code, "%s: %v", tc.path, answer)
	}
	require.Equal(t, []cloud.Notice{
		{Channel: "gate", Service: cloud.FullTime, On: true, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)},
		{Channel: "gate", Service: cloud.FullTime},
		{Channel: "gate", Service: cloud.Event, On: true},
	}, d.told)
	kept := httptest.NewServer(api.Handler(api.Config{Engine: engine(t), Clouds: d, Storage: shelf{}}))
	defer kept.Close()
	code, answer := ask(t, kept, http.MethodGet, "/v1/channels/gate/timeline?from=2030-01-02T03:04:05Z&to=2030-01-02T03:05:05Z")
	require.Equal(t, http.StatusOK, code)
	require.Len(t, answer["not_stored"], 1, "C3: what was given up is in the time line")
	none := serve(t, engine(t))
	code, _ = ask(t, none, http.MethodGet, "/v1/cloud")
	require.Equal(t, http.StatusNotFound, code)
}
