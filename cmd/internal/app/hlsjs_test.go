package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hlsVersion is the player that the bucket is tried with in a browser.
const hlsVersion = "1.7.4"

// hlsJS returns the player's file. Where it is missing it is fetched into the cache, once.
func hlsJS(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	folder := filepath.Join(cache, "millrace", "hls.js-"+hlsVersion)
	file := filepath.Join(folder, "package", "dist", "hls.min.js")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Fatal("npm is missing: apt-get install npm")
	}
	require.NoError(t, os.MkdirAll(folder, 0o750))
	pack := exec.CommandContext(t.Context(), "npm", "pack", "--silent", "hls.js@"+hlsVersion)
	pack.Dir = folder
	said, err := pack.CombinedOutput()
	require.NoError(t, err, "%s", said)
	said, err = exec.CommandContext(t.Context(), "tar", "-xzf", filepath.Join(folder, "hls.js-"+hlsVersion+".tgz"), "-C", folder).CombinedOutput()
	require.NoError(t, err, "%s", said)
	return file
}

// played is what Chromium says of a playlist.
type played struct {
	Duration float64 `json:"duration"`
	Ended    bool    `json:"ended"`
	Frames   int     `json:"frames"` // decoded
	Buffers  int     `json:"buffers"`
	Error    string  `json:"error"`
}

const player = `<!doctype html><video id=v muted></video><script src=/hls.js></script><script>
const v = document.getElementById('v'), tell = o => fetch('/result', {method: 'POST', body: JSON.stringify(o)})
const h = new Hls({maxBufferLength: 600, maxMaxBufferLength: 600})
let most = 0
h.on(Hls.Events.ERROR, (_, d) => { if (d.fatal) tell({error: d.details + ' ' + d.reason}) })
v.addEventListener('ended', () => tell({duration: v.duration, ended: v.ended, frames: v.getVideoPlaybackQuality().totalVideoFrames, buffers: most}))
v.addEventListener('timeupdate', () => { most = Math.max(most, v.buffered.length) })
v.addEventListener('canplay', () => { v.playbackRate = 2; v.play() }, {once: true})
h.loadSource('LIST')
h.attachMedia(v)
</script>`

// watch has Chromium play a playlist of a bucket's folder to its end.
func watch(t *testing.T, folder, list string, seconds int) (p played) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: apt-get install chromium")
	}
	library := hlsJS(t)
	result := make(chan played, 16)
	mux := http.NewServeMux()
	mux.Handle("GET /bucket/", http.StripPrefix("/bucket/", http.FileServer(http.Dir(folder))))
	mux.HandleFunc("GET /hls.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, library) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(strings.Replace(player, "LIST", "/bucket/"+list, 1)))
	})
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		var said played
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
			said.Error = err.Error()
		}
		result <- said
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", server.URL+"/")
	require.NoError(t, browser.Start())
	defer func() {
		_ = browser.Process.Kill()
		_ = browser.Wait()
	}()
	select {
	case p = <-result:
	case <-time.After(2*time.Minute + time.Duration(seconds)*time.Second): //nolint:forbidigo // a browser that says nothing
		t.Fatal("Chromium says nothing")
	}
	return p
}
