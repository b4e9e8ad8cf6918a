package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/stages/upload"
)

type uploads struct{}

func (uploads) Frames(channel string) ([]upload.FrameResult, bool) {
	return []upload.FrameResult{
		{Channel: channel, Number: 1, Time: time.Unix(1, 0), State: "uploaded", Key: "a", URL: "https://s3/a", Done: time.Unix(2, 0), Attempts: 1},
		{Channel: channel, Number: 2, Time: time.Unix(1, 0), State: "failed", Key: "b", Attempts: 31, Error: "given up"},
	}, channel == "gate"
}

func (uploads) Status() api.UploadStatus {
	return api.UploadStatus{Store: upload.Health{State: "ok"}, Uplink: upload.UplinkStats{Classes: []upload.ClassUplink{{Class: "event"}}}}
}

// U1: the result list on the API, as described.
func TestUploads(t *testing.T) {
	with := httptest.NewServer(api.Handler(api.Config{Engine: engine(t), Uploads: uploads{}}))
	t.Cleanup(with.Close)
	code, answer := ask(t, with, http.MethodGet, "/v1/channels/gate/frames")
	require.Equal(t, http.StatusOK, code)
	require.Len(t, answer["frames"], 2)
	code, answer = ask(t, with, http.MethodGet, "/v1/uploads")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "ok", object(t, answer["store"])["state"])
	code, _ = ask(t, with, http.MethodGet, "/v1/channels/none/frames")
	require.Equal(t, http.StatusNotFound, code)

	without := serve(t, engine(t))
	for _, path := range []string{"/v1/channels/gate/frames", "/v1/uploads"} {
		code, answer = ask(t, without, http.MethodGet, path)
		require.Equal(t, http.StatusNotFound, code)
		require.Contains(t, answer["hint"], "frames: {per_second: 1}")
	}
}
