package flv_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/flv"
	"github.com/millrace-video/millrace/hal/flv/flvtest"
	"github.com/millrace-video/millrace/hal/haltest"
)

// TestConformance: H6, what hal.Source promises, of a live stream in chunks and of a download.
func TestConformance(t *testing.T) {
	short, long := clip(t, picture+tone+x264+aac), clip(t, picture+x265)
	file := film(t, short, flvtest.Legacy)
	mux := http.NewServeMux()
	mux.HandleFunc("/live.flv", broadcast(short, flvtest.Legacy))
	mux.HandleFunc("/live265.flv", broadcast(long, flvtest.Enhanced))
	mux.HandleFunc("/file.flv", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	})
	mux.HandleFunc("/silent.flv", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/guarded.flv", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	at := "http://u:secret@" + server.Listener.Addr().String()
	for _, tc := range []haltest.Config{
		{URL: at + "/live.flv", Live: true, Codec: hal.H264},
		{URL: at + "/live265.flv", Live: true, Codec: hal.H265},
		{URL: at + "/file.flv", Codec: hal.H264, Frames: short.Count(short.Stream.Video()), Pause: 50 * time.Millisecond},
	} {
		t.Run(tc.URL[len(at)+1:], func(t *testing.T) {
			tc.Driver, tc.Reads = flv.Driver{Timeout: 5 * time.Second}, 30
			tc.NoAllocs = true // TestNothingIsAllocated measures longer than this takes
			tc.WrongURLs = []string{
				"http://u:secret@h/live/x.m3u8", "http://u:secret@h/", "https://u:secret@h/x.flv?tls=no",
				"http://u:secret@h/x.flv?tls=insecure", "http:///x.flv", "http+flv:///x",
			}
			tc.Faults = []haltest.Fault{
				{URL: "http://u:secret@127.0.0.1:1/x.flv", Want: hal.ErrNoDevice},
				{URL: at + "/nothing.flv", Want: hal.ErrNoDevice},
				{URL: at + "/guarded.flv", Want: hal.ErrUnsupported},
			}
			haltest.Source(t, tc)
		})
	}
	t.Run("a server that answers and sends nothing", func(t *testing.T) {
		_, err := hal.NewRegistry(flv.Driver{Timeout: 100 * time.Millisecond}).Open(t.Context(), at+"/silent.flv", hal.Options{})
		require.ErrorIs(t, err, hal.ErrStalled)
		require.ErrorContains(t, err, "no picture or sound comes within 100ms")
		_, err = hal.NewRegistry(flv.Driver{Silence: 100 * time.Millisecond}).Open(t.Context(), at+"/silent.flv", hal.Options{})
		require.ErrorIs(t, err, hal.ErrStalled)
		require.ErrorContains(t, err, "nothing came for 100ms")
	})
}
