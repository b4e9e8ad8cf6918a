package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace-video/millrace/stages/pack/packtest"
)

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
	library := packtest.HLSJS(t)
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
	defer packtest.Browse(t, server.URL+"/")()
	select {
	case p = <-result:
	case <-time.After(2*time.Minute + time.Duration(seconds)*time.Second): //nolint:forbidigo // a browser that says nothing
		t.Fatal("Chromium says nothing")
	}
	return p
}
