package record_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// played is what Chromium says of a film.
type played struct {
	Duration float64         `json:"duration"` // s
	Ended    bool            `json:"ended"`    // it was played to its end
	Frames   int             `json:"frames"`   // decoded until then
	Error    string          `json:"error"`
	numbers  map[float64]int // what the pictures show at the times asked for; −1: no number
}

const watch = `<!doctype html><video id=v muted preload=auto></video><script>
const v = document.getElementById('v'), on = e => new Promise(r => v.addEventListener(e, r, {once: true}))
const tell = o => fetch('/result', {method: 'POST', body: JSON.stringify(o)})
v.addEventListener('error', () => tell({error: v.error.message || 'error ' + v.error.code}))
async function run() {
	const meta = on('loadeddata')
	v.src = '/film.mp4'
	await meta
	const c = document.createElement('canvas')
	c.width = v.videoWidth, c.height = v.videoHeight
	const draw = c.getContext('2d', {willReadFrequently: true})
	for (const t of TIMES) {
		const there = on('seeked'), shown = new Promise(r => v.requestVideoFrameCallback(r))
		v.currentTime = t
		await there
		await shown
		draw.drawImage(v, 0, 0)
		const p = draw.getImageData(0, 0, c.width, c.height).data, luma = new Uint8Array(p.length / 4)
		for (let i = 0; i < luma.length; i++) luma[i] = p[4 * i + 1]
		await fetch('/picture?t=' + t + '&w=' + c.width + '&h=' + c.height, {method: 'POST', body: luma})
	}
	const back = on('seeked')
	v.currentTime = Math.max(0, v.duration - 20)
	await back
	const end = on('ended')
	v.playbackRate = 4
	await v.play()
	await end
	await tell({duration: v.duration, ended: v.ended, frames: v.getVideoPlaybackQuality().totalVideoFrames})
}
run().catch(e => tell({error: String(e)}))
</script>`

// watched has Chromium load a film, look at it at some times (s), and play its last 20 seconds.
func watched(t *testing.T, path string, times ...float64) played {
	t.Helper()
	list, err := json.Marshal(times)
	require.NoError(t, err)
	result := make(chan played, 1)
	p := played{numbers: map[float64]int{}}
	var once sync.Once
	mux := http.NewServeMux()
	mux.HandleFunc("GET /film.mp4", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<script>const TIMES = "+string(list)+"</script>"+watch)
	})
	mux.HandleFunc("POST /picture", func(_ http.ResponseWriter, r *http.Request) {
		at, _ := strconv.ParseFloat(r.FormValue("t"), 64)
		width, _ := strconv.Atoi(r.FormValue("w"))
		height, _ := strconv.Atoi(r.FormValue("h"))
		luma, _ := io.ReadAll(r.Body)
		p.numbers[at] = -1
		if n, ok := synth.ReadNumber(luma, width, width, height); ok && len(luma) == width*height {
			p.numbers[at] = int(n)
		}
	})
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			err := json.NewDecoder(r.Body).Decode(&p)
			if err != nil {
				p.Error = err.Error()
			}
			result <- p
		})
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer packtest.Browse(t, server.URL+"/")()
	select {
	case p = <-result:
	case <-time.After(2 * time.Minute): //nolint:forbidigo // a browser that says nothing
		t.Fatal("Chromium says nothing")
	}
	return p
}
