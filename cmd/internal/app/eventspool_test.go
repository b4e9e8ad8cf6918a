package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// C1: a program that leaves in the middle of an event brings its message, its picture and its
// video, up to then, to the store, although the package under way is not full.
func TestLeavingInTheMiddleOfAnEvent(t *testing.T) {
	var data string
	log := run(t, fmt.Sprintf(eventful, "true", "{width: 160}"), func(s app.Summary, cfg config.Config) {
		data = cfg.Data
		trigger(t, s, "person")
		require.Eventually(t, func() bool { return len(eventsOf(t, s.API, "gate").Recent) > 0 }, time.Minute, time.Millisecond)
	})
	require.NotContains(t, log, "events are not done")
	require.NotContains(t, log, "not everything is in the store")
	for _, ext := range []string{".json", ".jpg", ".m3u8"} {
		all, err := filepath.Glob(filepath.Join(data, "store", "gate", "events", "*"+ext))
		require.NoError(t, err)
		require.Len(t, all, 1, ext)
	}
	media, err := filepath.Glob(filepath.Join(data, "store", "gate", "media", "*", "*.m4s"))
	require.NoError(t, err)
	require.NotEmpty(t, media)
}

// Issue 5, must show 9: credentials that are wrong cost no message, with a spool or without: it
// waits, the program's status says why, and it goes up when they are put right, without a restart.
func TestAMessageWaitsForCredentials(t *testing.T) {
	for _, spool := range []string{"", "spool: {dir: spool}\n"} {
		g := s3test.Start(t)
		proxy, _ := s3test.NewProxy(t, g.Address, false)
		var right atomic.Bool
		var refused atomic.Int64
		proxy.Fault(func(w http.ResponseWriter, r *http.Request) bool {
			if right.Load() {
				return false
			}
			refused.Add(1)
			s3test.Answer(w, r, http.StatusForbidden, "InvalidAccessKeyId", "The access key is not known.")
			return true
		})
		store := fmt.Sprintf("store: {kind: s3, endpoint: %q, bucket: %s, path_style: true, credentials: {access_key: %s, secret_key: %q}}\n",
			proxy.URL, s3test.Bucket, s3test.Access, s3test.Secret)
		run(t, spool+store+fmt.Sprintf(eventful, "true", "{enabled: false}"), func(s app.Summary, cfg config.Config) {
			trigger(t, s, "person")
			require.Eventually(t, func() bool { return refused.Load() > 3 }, time.Minute, time.Millisecond)
			waiting := get(t, s.API+"/v1/cloud")
			require.Contains(t, waiting, `"letters_waiting": 1`)
			require.Contains(t, waiting, "the credentials are wrong")
			require.True(t, eventsOf(t, s.API, "gate").Status.Creating, "its message is going up (C4)")
			if spool != "" {
				left, err := os.ReadDir(filepath.Join(cfg.Data, "spool", "gate", "letters"))
				require.NoError(t, err)
				require.Len(t, left, 1)
			}
			right.Store(true)
			require.Eventually(t, func() bool { return !eventsOf(t, s.API, "gate").Status.Creating }, time.Minute, time.Millisecond)
		})
		messages := 0
		for key := range g.Objects(t) {
			if strings.HasSuffix(key, "-person.json") {
				messages++
			}
		}
		require.Equal(t, 1, messages)
	}
}

// C8: where the link is down the picture has its one result when its time is over, or at the
// exit, and its file is gone; with a spool the next run brings it up all the same.
func TestAPictureThatTheSpoolKeeps(t *testing.T) {
	g := s3test.Start(t)
	proxy, _ := s3test.NewProxy(t, g.Address, false)
	var down atomic.Bool
	down.Store(true)
	proxy.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if down.Load() {
			s3test.Answer(w, r, http.StatusInternalServerError, "InternalError", "We encountered an internal error.")
		}
		return down.Load()
	})
	spool := t.TempDir()
	text := fmt.Sprintf("spool: {dir: %s}\nstore: {kind: s3, endpoint: %q, bucket: %s, path_style: true, credentials: {access_key: %s, secret_key: %q}}\n",
		spool, proxy.URL, s3test.Bucket, s3test.Access, s3test.Secret) + fmt.Sprintf(eventful, "false", "{enabled: true}")
	var data string
	letters := func() int {
		all, err := filepath.Glob(filepath.Join(spool, "gate", "letters", "0*"))
		require.NoError(t, err)
		return len(all)
	}
	log := run(t, text, func(s app.Summary, cfg config.Config) {
		data = cfg.Data
		trigger(t, s, "person")
		require.Eventually(t, func() bool { return letters() == 2 }, time.Minute, time.Millisecond)
	})
	require.NotContains(t, log, "message is lost")
	require.Equal(t, 2, letters())
	left, err := os.ReadDir(filepath.Join(data, "gate", "pictures"))
	require.NoError(t, err)
	require.Empty(t, left)
	journal, err := os.ReadFile(filepath.Join(data, "gate", "events.jsonl"))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(journal), `"result":"timed out"`), "%s", journal)
	require.Contains(t, string(journal), "it waits in the spool")
	down.Store(false)
	run(t, text, func(app.Summary, config.Config) {
		require.Eventually(t, func() bool { return letters() == 0 }, time.Minute, time.Millisecond)
	})
	require.Len(t, g.Objects(t), 2)
}
