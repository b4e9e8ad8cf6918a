package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/record"
)

// shelf is storage with one segment and one gap.
type shelf struct{ err error }

func (s shelf) Timeline(channel string, from, _ time.Time) (catalog.Timeline, error) {
	at := record.Instant{Wall: from.UnixNano()}
	return catalog.Timeline{
		Channel:  channel,
		Segments: []catalog.Segment{{Segment: record.Segment{Number: 1, Recording: 1, File: "a.mp4", Start: at, Length: time.Minute}, Pinned: true}},
		Gaps:     []catalog.Gap{{Gap: record.Gap{After: 1, From: at, To: at.Add(time.Second), Cause: record.Idle}, Length: time.Second}},
	}, s.err
}

func (shelf) Account(catalog.Timeline) catalog.Account {
	return catalog.Account{Elapsed: time.Minute, Recorded: 59 * time.Second, Missing: map[record.Cause]time.Duration{record.Idle: time.Second}}
}

func (s shelf) Usage() (catalog.Usage, error) {
	return catalog.Usage{
		Disks:    []catalog.DiskUsage{{Folder: "rec", Next: []catalog.Sacrifice{{Channel: "gate", File: "a.mp4", Why: catalog.WhyFree}}}},
		Channels: []catalog.ChannelUsage{{Name: "gate"}},
	}, s.err
}

func TestStorageIsTold(t *testing.T) { // R6, R7, A3
	for _, tc := range []struct {
		path, schema string
		err          error
		code         int
	}{
		{"/v1/channels/gate/timeline?from=2026-03-01T12:00:00Z&to=2026-03-01T13:00:00%2B00:00", "Timeline", nil, http.StatusOK},
		{"/v1/channels/gate/timeline?from=1700000000&to=1700000000.5", "Timeline", nil, http.StatusOK},
		{"/v1/channels/gate/timeline?from=1700000000", "Error", nil, http.StatusBadRequest},
		{"/v1/channels/gate/timeline?from=yesterday&to=1", "Error", nil, http.StatusBadRequest},
		{"/v1/channels/gate/timeline?from=NaN&to=1", "Error", nil, http.StatusBadRequest},
		{"/v1/channels/gate/timeline?from=2&to=1", "Error", nil, http.StatusBadRequest},
		{"/v1/channels/gate/timeline?from=0&to=1700000000", "Error", nil, http.StatusBadRequest},
		{"/v1/channels/gate/timeline?from=0&to=1", "Error", catalog.ErrNoChannel, http.StatusNotFound},
		{"/v1/channels/gate/timeline?from=0&to=1", "Error", catalog.ErrUnavailable, http.StatusServiceUnavailable},
		{"/v1/disk", "Disk", nil, http.StatusOK},
		{"/v1/disk", "Error", catalog.ErrUnavailable, http.StatusServiceUnavailable},
	} {
		s := httptest.NewServer(api.Handler(api.Config{Engine: engine(t), Storage: shelf{tc.err}}))
		t.Cleanup(s.Close)
		resp, err := s.Client().Get(s.URL + tc.path) //nolint:noctx // a test
		require.NoError(t, err)
		require.Equal(t, tc.code, resp.StatusCode, tc.path)
		var answer map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		require.NoError(t, resp.Body.Close())
		matches(t, spec(t), map[string]any{"$ref": "#/components/schemas/" + tc.schema}, answer, tc.path)
	}
}
