package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/playback/playbacktest"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

const hlsPage = `<!doctype html><video id=v muted></video><script src=/hls.js></script><script>
const v = document.getElementById('v'), on = e => new Promise(r => v.addEventListener(e, r, {once: true}))
const tell = o => fetch('/result', {method: 'POST', body: JSON.stringify(o)})
const hls = new Hls({enableWorker: false})
hls.on(Hls.Events.ERROR, (_, e) => e.fatal && tell({error: e.details + ' ' + (e.error || '')}))
async function run() {
	const meta = on('loadeddata')
	hls.loadSource(new URLSearchParams(location.search).get('list'))
	hls.attachMedia(v)
	await meta
	const c = document.createElement('canvas'), shown = {}, start = v.currentTime
	c.width = v.videoWidth, c.height = v.videoHeight
	const draw = c.getContext('2d', {willReadFrequently: true})
	for (const t of TIMES) {
		const there = on('seeked'), picture = new Promise(r => v.requestVideoFrameCallback(r))
		v.currentTime = t
		await there
		await picture
		draw.drawImage(v, 0, 0)
		const p = draw.getImageData(0, 0, c.width, c.height).data, luma = new Uint8Array(p.length / 4)
		for (let i = 0; i < luma.length; i++) luma[i] = p[4 * i + 1]
		const r = await fetch('/picture', {method: 'POST', body: luma})
		shown[t] = await r.json()
	}
	const back = on('seeked')
	v.currentTime = v.duration - 2
	await back
	const end = on('ended')
	await v.play()
	await end
	await tell({start, shown, duration: v.duration})
}
run().catch(e => tell({error: String(e)}))
</script>`

type watched struct {
	Start    float64        `json:"start"`
	Shown    map[string]int `json:"shown"`
	Duration float64        `json:"duration"`
	Error    string         `json:"error"`
}

func TestABrowserPlaysThePlaylist(t *testing.T) { // R6: must show 6
	script := packtest.HLSJS(t)
	s := playbacktest.Record(t, "&audio=aac", nil)
	// In the merged file, over its end, before and after the gap, in the one that grows.
	times := []float64{1.02, 7.98, 11.5, 13.02, 19.9, 20.1, 27.5, 30.3}
	list, err := json.Marshal(times)
	require.NoError(t, err)
	result := make(chan watched, 1)
	mux := http.NewServeMux()
	mux.Handle("/v1/", api.Handler(api.Config{Engine: pipeline.NewEngine(pipeline.Config{}), Storage: recordings{s}}))
	mux.HandleFunc("GET /hls.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, script) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<script>const TIMES = "+string(list)+"</script>"+hlsPage)
	})
	mux.HandleFunc("POST /picture", func(w http.ResponseWriter, r *http.Request) {
		luma, _ := io.ReadAll(r.Body)
		n, ok := uint32(0), false
		if len(luma) == playbacktest.Width*playbacktest.Height {
			n, ok = synth.ReadNumber(luma, playbacktest.Width, playbacktest.Width, playbacktest.Height)
		}
		if !ok {
			_, _ = io.WriteString(w, "-1")
			return
		}
		_, _ = io.WriteString(w, strconv.Itoa(int(n)))
	})
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		var got watched
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Error = err.Error()
		}
		select {
		case result <- got:
		default: // the first counts
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	from := playbacktest.Begin().Add(5 * time.Second) // the playlist begins at 4 s
	page := server.URL + "/?" + url.Values{"list": {query(server, "play", from, from.Add(time.Hour)) + "&format=hls"}}.Encode()
	defer packtest.Browse(t, page)()
	var got watched
	select {
	case got = <-result:
	case <-time.After(2 * time.Minute): //nolint:forbidigo // a browser that says nothing
		t.Fatal("Chromium says nothing")
	}
	require.Empty(t, got.Error)
	require.InDelta(t, 1, got.Start, 0.05, "it begins where it was asked to")
	require.InDelta(t, 33, got.Duration, 0.1, "gaps are passed over")
	for _, at := range times {
		want := 4*playbacktest.Rate + int(at*playbacktest.Rate)
		require.Equal(t, want, got.Shown[strconv.FormatFloat(at, 'f', -1, 64)], "at %v s", at)
	}
}
