package app_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// run runs an appliance of a configuration until the test has seen enough, and returns its log.
func run(t *testing.T, text string, see func(s app.Summary, cfg config.Config)) string {
	t.Helper()
	cfg, err := config.Parse("m.yml", []byte(text), app.ConfigEnv(app.Drivers()))
	require.NoError(t, err)
	cfg.Data, cfg.Listen, cfg.RTSP.Enabled = t.TempDir(), "127.0.0.1:0", false
	var log strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer func() {
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	a := app.New(cfg, app.Drivers(), slog.New(slog.NewTextHandler(scrubbing{&log, cfg}, nil)))
	require.NoError(t, a.Run(ctx, func(s app.Summary) {
		defer cancel()
		see(s, cfg)
	}))
	return log.String()
}

const camera = `
channels:
  - name: gate
    source: synth://?codec=raw&size=320x240&audio=none
    encode: {codec: mjpeg}
    record: {enabled: false}
    frames: {per_second: 10, group: 5}
`

func uploaded(t *testing.T, s app.Summary, n int) []string {
	t.Helper()
	var urls []string
	require.Eventually(t, func() bool {
		var answer api.Frames
		require.NoError(t, json.Unmarshal([]byte(get(t, s.API+"/v1/channels/gate/frames")), &answer))
		urls = nil
		for i, f := range answer.Frames {
			require.EqualValues(t, i+1, f.Number)
			if f.State == "uploaded" {
				urls = append(urls, f.URL)
			}
		}
		return len(urls) >= n
	}, time.Minute, 20*time.Millisecond)
	return urls
}

// U1: without a word about a store a channel's pictures go to a directory beside the recordings.
func TestFramesGoToADirectory(t *testing.T) {
	log := run(t, camera, func(s app.Summary, cfg config.Config) {
		urls := uploaded(t, s, 7)
		u, err := url.Parse(urls[6])
		require.NoError(t, err)
		require.FileExists(t, u.Path)
		require.True(t, strings.HasPrefix(u.Path, filepath.Join(cfg.Data, "store", "frames", "gate")), u.Path)
		require.FileExists(t, filepath.Join(cfg.Data, "gate", "frames.jsonl"))
		var status api.UploadStatus
		require.NoError(t, json.Unmarshal([]byte(get(t, s.API+"/v1/uploads")), &status))
		require.Equal(t, "ok", status.Store.State)
		require.GreaterOrEqual(t, status.Uploader.Uploaded, uint64(7))
		require.Len(t, status.Uplink.Classes, 4)
	})
	require.NotContains(t, log, "not everything was uploaded")
}

// U1, and issue 5, must show 9: to a bucket; wrong credentials are said once, without the key, and what comes after they
// were put right goes up without a restart.
func TestFramesGoToABucketOnceTheCredentialsAreRight(t *testing.T) {
	g := s3test.Start(t)
	file := filepath.Join(t.TempDir(), "credentials")
	credentials := func(key string) {
		text := "[default]\naws_access_key_id = " + s3test.Access + "\naws_secret_access_key = " + key + "\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	credentials("wrong-" + s3test.Secret)
	store := "store: {kind: s3, endpoint: \"http://" + g.Address + "\", bucket: " + s3test.Bucket + ", path_style: true, prefix: site-7/, credentials: {file: " + file + "}}\n"
	log := run(t, store+camera, func(s app.Summary, _ config.Config) {
		require.Eventually(t, func() bool {
			return strings.Contains(get(t, s.API+"/v1/uploads"), "the credentials are wrong (SignatureDoesNotMatch")
		}, time.Minute, 20*time.Millisecond)
		credentials(s3test.Secret)
		urls := uploaded(t, s, 5)
		require.True(t, strings.HasPrefix(urls[0], "http://"+g.Address+"/"+s3test.Bucket+"/site-7/frames/gate/"), urls[0])
	})
	require.GreaterOrEqual(t, len(g.Objects(t)), 5)
	require.Equal(t, 1, strings.Count(log, "the store cannot be used"), log)
	require.Equal(t, 1, strings.Count(log, "the store works again"), log)
	require.NotContains(t, log, s3test.Secret)
}
