package app_test

import (
	"encoding/json"
	"fmt"
	"math"
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
	"github.com/millrace-video/millrace/stages/cloud"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// clouds asks a running appliance for the status of its cloud storage.
func clouds(t *testing.T, s app.Summary) cloud.Status {
	t.Helper()
	var status cloud.Status
	require.NoError(t, json.Unmarshal([]byte(get(t, s.API+"/v1/cloud")), &status))
	return status
}

// sent waits until everything that n channels filmed, so many pictures each, is in the store.
func sent(t *testing.T, s app.Summary, pictures int) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, ch := range clouds(t, s).Channels {
			if int(ch.Frames) < pictures || ch.Waiting+ch.WaitingForLists > 0 {
				return false
			}
		}
		return true
	}, 10*time.Minute, 100*time.Millisecond, "%s", get(t, s.API+"/v1/cloud"))
}

// bucketed is the start of a configuration: a bucket behind a proxy that holds every request and
// refuses one in ten.
func bucketed(t *testing.T) (g *s3test.Gateway, text string) {
	t.Helper()
	g = s3test.Start(t)
	proxy, _ := s3test.NewProxy(t, g.Address, false)
	proxy.Delay(100 * time.Millisecond)
	var n atomic.Int64
	proxy.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		if n.Add(1)%10 != 0 {
			return false
		}
		s3test.Answer(w, r, http.StatusServiceUnavailable, "SlowDown", "Reduce your request rate.")
		return true
	})
	return g, fmt.Sprintf("store: {kind: s3, endpoint: %q, bucket: %s, path_style: true, prefix: site-7/, credentials: {access_key: %s, secret_key: %q}}\n",
		proxy.URL, s3test.Bucket, s3test.Access, s3test.Secret)
}

// Issue 5, must show 1, C2, C9: four channels go to a real S3 server behind a slow and faulty
// network: the bucket plays from its playlists, each picture once, sound within 40 ms.
func TestBucketPlays(t *testing.T) {
	seconds := 15
	if os.Getenv("MILLRACE_TORTURE") != "" {
		seconds = 180
	}
	g, text := bucketed(t)
	text += "spool: {dir: spool}\ndefaults: {record: {enabled: false}, live: {enabled: false}, events: {interval: 10s}, cloud: {full_time: true, events: true}}\nchannels:\n"
	for i := range 4 {
		text += fmt.Sprintf("  - {name: cam%d, source: 'synth://?size=320x180&gop=25&frames=%d&seed=%d&bitrate=400k'}\n", i, 25*seconds, i+1)
	}
	log := run(t, text, func(s app.Summary, cfg config.Config) {
		require.Eventually(t, func() bool { return clouds(t, s).Channels[3].Frames >= 150 }, time.Minute, 100*time.Millisecond)
		for i := range 4 {
			require.Equal(t, http.StatusOK, post(t, s.API+fmt.Sprintf("/v1/channels/cam%d/events", i), `{"type": "motion"}`))
		}
		sent(t, s, 25*seconds)
		require.Eventually(t, func() bool { return !strings.Contains(get(t, s.API+"/v1/channels/cam3/events"), `"recording": true`) }, time.Minute, 100*time.Millisecond)
		sent(t, s, 25*seconds)
		left, err := filepath.Glob(filepath.Join(cfg.Data, "spool", "*", "packages", "*"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
	require.NotContains(t, log, "not everything is in the store")
	for i := range 4 {
		events, err := filepath.Glob(filepath.Join(g.Folder, "site-7", fmt.Sprintf("cam%d", i), "events", "*-event-1.m3u8"))
		require.NoError(t, err)
		require.Len(t, events, 1, "cam%d", i)
		shown := packtest.Plays(t, events[0], 0)
		if os.Getenv("MILLRACE_TORTURE") != "" && i == 0 {
			inBrowser(t, g.Folder, events[0], shown)
		}
		require.Zero(t, shown%25, "whole packages")
		require.GreaterOrEqual(t, shown, 25*12, "from 5 s before the trigger until 8 s after, less what was not filmed")
	}
	for i := range 4 {
		lists, err := filepath.Glob(filepath.Join(g.Folder, "site-7", fmt.Sprintf("cam%d", i), "full", "*.m3u8"))
		require.NoError(t, err)
		pictures, shown := 0, 0
		for _, list := range lists {
			packets := packtest.Probe(t, list)
			at := map[int][]float64{}
			for _, p := range packets {
				scale := map[int]float64{0: 90000, 1: 48000}[p.Track]
				at[p.Track] = append(at[p.Track], float64(p.PTS)/scale)
			}
			pictures += len(at[0])
			if os.Getenv("MILLRACE_TORTURE") != "" && i == 0 {
				inBrowser(t, g.Folder, list, len(at[0]))
			}
			shown += packtest.Plays(t, list, 0)
			require.InDelta(t, at[0][0], at[1][0], 0.040)
			require.InDelta(t, at[0][len(at[0])-1]+0.040, at[1][len(at[1])-1]+0.0213, 0.040+0.0213)
			for k := 1; k < len(at[0]); k++ {
				require.InDelta(t, 0.040, at[0][k]-at[0][k-1], 0.001, "cam%d, picture %d", i, k)
			}
			require.LessOrEqual(t, math.Abs(float64(len(at[1]))/48000*1024-float64(len(at[0]))/25), 0.1)
		}
		require.Equal(t, 25*seconds, pictures, "cam%d", i)
		require.Equal(t, 25*seconds, shown, "cam%d", i)
	}
}

// inBrowser has Chromium play a playlist with hls.js: all of its pictures, without a hole.
func inBrowser(t *testing.T, folder, list string, pictures int) {
	t.Helper()
	key, err := filepath.Rel(folder, list)
	require.NoError(t, err)
	p := watch(t, folder, filepath.ToSlash(key), pictures/25)
	require.Empty(t, p.Error)
	require.True(t, p.Ended)
	require.Equal(t, pictures, p.Frames)
	require.Equal(t, 1, p.Buffers, "one range of time")
	require.InDelta(t, float64(pictures)/25, p.Duration, 0.06)
}

// C4, C5: services are switched while the appliance runs; each change is told.
func TestServicesAreSwitched(t *testing.T) {
	text := `
spool: {dir: spool}
channels:
  - {name: gate, source: 'synth://?size=320x180&gop=25', record: {enabled: false}, cloud: {full_time: false}}
`
	log := run(t, text, func(s app.Summary, cfg config.Config) {
		require.False(t, clouds(t, s).Channels[0].FullTime.On)
		require.Equal(t, http.StatusOK, post(t, s.API+"/v1/channels/gate/cloud/full-time/start?expires=2030-01-01T00:00:00Z", ""))
		st := clouds(t, s).Channels[0]
		require.True(t, st.FullTime.On)
		require.Equal(t, 2030, st.FullTime.Expires.Year())
		require.Eventually(t, func() bool { return clouds(t, s).Channels[0].Stored > 0 }, time.Minute, 50*time.Millisecond)
		require.Equal(t, http.StatusOK, post(t, s.API+"/v1/channels/gate/cloud/full-time/stop", ""))
		require.False(t, clouds(t, s).Channels[0].FullTime.On)
		require.Eventually(t, func() bool { return clouds(t, s).Channels[0].Waiting == 0 }, time.Minute, 50*time.Millisecond)
		require.DirExists(t, filepath.Join(cfg.Data, "store", "gate", "media"))
	})
	require.Equal(t, 1, strings.Count(log, "wanted=true"))
	require.Equal(t, 1, strings.Count(log, "wanted=false"))
	require.Contains(t, log, "service=full-time on=true expires=2030-01-01")
}
