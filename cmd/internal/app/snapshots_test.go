package app_test

import (
	"bytes"
	"encoding/json"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
)

// ask returns an answer's status, header and body.
func ask(t *testing.T, url string) (int, http.Header, []byte) {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx,gosec // a test
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, body
}

func refused(t *testing.T, url string, status int) string {
	t.Helper()
	got, _, body := ask(t, url)
	require.Equal(t, status, got, string(body))
	var e api.Error
	require.NoError(t, json.Unmarshal(body, &e))
	require.NotEmpty(t, e.Hint)
	return e.Error
}

// A channel that runs has a picture, as it comes or narrower; one that does not says why.
func TestAPictureOfAChannel(t *testing.T) {
	run(t, `
channels:
  - {name: gate, source: "synth://?size=320x240&audio=none", record: {enabled: false}}
  - {name: yard, source: "rtsp://bob:hunter2@127.0.0.1:1/main", record: {enabled: false}}
  - {name: shy, source: "synth://?size=320x240", record: {enabled: false}, snapshot: {enabled: false}}
`, func(s app.Summary, _ config.Config) {
		picture := s.API + "/v1/channels/gate/snapshot.jpg"
		require.Eventually(t, func() bool {
			status, _, _ := ask(t, picture)
			return status == http.StatusOK
		}, time.Minute, 10*time.Millisecond)
		for query, width := range map[string]int{"": 320, "?width=160": 160, "?width=4000": 320} {
			status, head, body := ask(t, picture+query)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, []string{"image/jpeg", "decoded", "no-store"}, []string{head.Get("Content-Type"), head.Get("Millrace-Way"), head.Get("Cache-Control")})
			at, err := time.Parse(time.RFC3339Nano, head.Get("Millrace-Time"))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), at, time.Minute)
			img, err := jpeg.DecodeConfig(bytes.NewReader(body))
			require.NoError(t, err)
			require.Equal(t, width, img.Width)
		}
		for _, bad := range []string{"0", "15", "16385", "wide", "-3"} {
			require.Contains(t, refused(t, picture+"?width="+bad, http.StatusBadRequest), "16 to 16384")
		}
		require.Contains(t, refused(t, s.API+"/v1/channels/nobody/snapshot.jpg", http.StatusNotFound), "nobody")
		require.Eventually(t, func() bool {
			why := refused(t, s.API+"/v1/channels/yard/snapshot.jpg", http.StatusConflict)
			require.NotContains(t, why, "hunter2")
			return bytes.Contains([]byte(why), []byte("channel yard is waiting")) && bytes.Contains([]byte(why), []byte("refused"))
		}, time.Minute, 10*time.Millisecond)
		require.Eventually(t, func() bool {
			return refused(t, s.API+"/v1/channels/shy/snapshot.jpg", http.StatusConflict) == `channel "shy": no snapshots of this channel`
		}, time.Minute, 10*time.Millisecond)
		resp, err := http.Post(s.API+"/v1/channels/gate/pause", "", nil) //nolint:noctx // a test
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "channel gate is paused", refused(t, picture, http.StatusConflict))
		require.Contains(t, get(t, s.API+"/v1/snapshots"), `"decoded"`)
	})
}

// S1: the first channel that comes online has its turn at once; the receiver is the store, or a URL.
func TestSnapshotsGoToTheirReceiver(t *testing.T) {
	const gate = "\nchannels:\n  - {name: gate, source: \"synth://?size=320x240&audio=none\", record: {enabled: false}}\n"
	sent := func(s app.Summary) bool {
		var st api.SnapshotStatus
		require.NoError(t, json.Unmarshal([]byte(get(t, s.API+"/v1/snapshots")), &st))
		require.NotNil(t, st.Schedule)
		return st.Schedule.Sent == 1
	}
	run(t, "snapshots: {interval: 60s, width: 160}"+gate, func(s app.Summary, cfg config.Config) {
		require.Eventually(t, func() bool { return sent(s) }, time.Minute, 10*time.Millisecond)
		files, err := filepath.Glob(filepath.Join(cfg.Data, "store", "snapshots", "gate", "*", "*.jpg"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		file, err := os.ReadFile(files[0])
		require.NoError(t, err)
		img, err := jpeg.DecodeConfig(bytes.NewReader(file))
		require.NoError(t, err)
		require.Equal(t, 160, img.Width)
	})
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var p struct{ Channel string }
		_ = json.NewDecoder(r.Body).Decode(&p)
		_, password, _ := r.BasicAuth()
		got <- p.Channel + " " + password
	}))
	defer receiver.Close()
	t.Setenv("RECEIVER_PASSWORD", "hunter2-hunter2")
	log := run(t, "snapshots: {receiver: '"+"http://bob:${RECEIVER_PASSWORD}@"+receiver.Listener.Addr().String()+"/in', base64: true}"+gate, func(s app.Summary, _ config.Config) {
		require.Equal(t, "gate hunter2-hunter2", <-got)
		require.Eventually(t, func() bool { return sent(s) }, time.Minute, 10*time.Millisecond)
		require.NotContains(t, get(t, s.API+"/v1/snapshots"), "hunter2")
		require.Contains(t, get(t, s.API+"/v1/snapshots"), `"http://bob:xxxxx@`)
	})
	require.NotContains(t, log, "hunter2")
}
