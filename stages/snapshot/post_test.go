package snapshot_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/snapshot"
)

func shot() snapshot.Snapshot {
	return snapshot.Snapshot{
		Channel: "gate", Data: []byte{0xff, 0xd8, 1, 2, 3}, ContentType: "image/jpeg", Width: 640, Height: 360,
		Time: time.Date(2026, 11, 21, 14, 10, 7, 123e6, time.UTC),
	}
}

// answering is a receiver's server that answers with these codes, one after the other, and then 200.
func answering(t *testing.T, got *[]*http.Request, bodies *[]string, codes ...int) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got, *bodies = append(*got, r), append(*bodies, string(body))
		if n := len(*got); n <= len(codes) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(codes[n-1])
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func post(t *testing.T, cfg snapshot.PostConfig) *snapshot.Post {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	cfg.HTTP, cfg.Backoff = client, hal.Backoff{First: time.Millisecond, Max: 2 * time.Millisecond}
	p, err := snapshot.NewPost(cfg)
	require.NoError(t, err)
	return p
}

func TestARawPostIsThePicturesBytes(t *testing.T) { // S2
	var got []*http.Request
	var bodies []string
	url := strings.Replace(answering(t, &got, &bodies), "http://", "http://bob:t%40p@", 1)
	require.NoError(t, post(t, snapshot.PostConfig{URL: url + "/in?site=7"}).Send(t.Context(), shot()))
	require.Equal(t, string(shot().Data), bodies[0])
	r := got[0]
	require.Equal(t, []string{"POST", "/in?site=7", "image/jpeg", "gate", "2026-11-21T14:10:07.123Z", "640", "360"}, []string{
		r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Header.Get("Millrace-Channel"), r.Header.Get("Millrace-Time"),
		r.Header.Get("Millrace-Width"), r.Header.Get("Millrace-Height"),
	})
	user, password, _ := r.BasicAuth()
	require.Equal(t, "bob t@p", user+" "+password)
}

func TestBase64OnlyWhereTheReceiverWantsIt(t *testing.T) { // S2
	var got []*http.Request
	var bodies []string
	large := shot()
	large.Data = make([]byte, 90_000)
	require.NoError(t, post(t, snapshot.PostConfig{URL: answering(t, &got, &bodies), Base64: true}).Send(t.Context(), large))
	require.Equal(t, "application/json", got[0].Header.Get("Content-Type"))
	var p struct {
		Channel, Time string
		ContentType   string `json:"content_type"`
		Width, Height int
		Image         []byte
	}
	require.NoError(t, json.Unmarshal([]byte(bodies[0]), &p))
	require.Equal(t, []any{"gate", "2026-11-21T14:10:07.123Z", "image/jpeg", 640, 360, large.Data}, []any{p.Channel, p.Time, p.ContentType, p.Width, p.Height, p.Image})
	require.InDelta(t, 4.0/3, float64(len(bodies[0]))/90_000, 0.01, "a third larger")
}

func TestAPostIsTriedAgainWithinBounds(t *testing.T) { // S2, U2
	for _, tc := range []struct {
		name  string
		codes []int
		tries int
		err   string
	}{
		{"it gets through", []int{500, 503, 429, 408}, 5, ""},
		{"never", []int{500, 500, 500, 500, 500, 500, 500}, 6, "the receiver of snapshots, after 6 attempts: 500 Internal Server Error"},
		{"what is for good is not tried again", []int{404}, 1, "the receiver of snapshots: refused for good: 404 Not Found"},
		{"wrong password", []int{500, 401}, 2, "401 Unauthorized: set user and password in its URL"},
		{"moved", []int{301}, 1, "301 Moved Permanently: set the URL it points to"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []*http.Request
			var bodies []string
			err := post(t, snapshot.PostConfig{URL: answering(t, &got, &bodies, tc.codes...)}).Send(t.Context(), shot())
			require.Len(t, got, tc.tries)
			for _, b := range bodies {
				require.Equal(t, string(shot().Data), b)
			}
			if tc.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.err)
		})
	}
	err := post(t, snapshot.PostConfig{URL: "http://bob:hunter2@127.0.0.1:1/?token=hunter2", Retries: -1}).Send(t.Context(), shot())
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "hunter2")
	for _, bad := range []string{"ftp://x", "http://", "http://a:%zz@b", "store"} {
		_, err := snapshot.NewPost(snapshot.PostConfig{URL: bad})
		require.Error(t, err, bad)
	}
}

// The camera's own page: where nothing decodes its stream; with no password, Basic or Digest.
func TestTheCamerasOwnPage(t *testing.T) {
	var picture strings.Builder
	require.NoError(t, jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 48)), nil))
	hash := func(s string) string {
		sum := md5.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	serve := func(w http.ResponseWriter) { _, _ = io.WriteString(w, picture.String()) }
	asked := 0
	camera := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		sign := r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/open":
			serve(w)
		case "/basic":
			if user, pass, ok := r.BasicAuth(); ok && user == "bob" && pass == "top" {
				serve(w)
				return
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="cam"`)
			w.WriteHeader(http.StatusUnauthorized)
		case "/digest":
			var cnonce, response string
			for f := range strings.SplitSeq(strings.TrimPrefix(sign, "Digest "), ", ") {
				if v, ok := strings.CutPrefix(f, `cnonce="`); ok {
					cnonce = strings.Trim(v, `"`)
				}
				if v, ok := strings.CutPrefix(f, `response="`); ok {
					response = strings.Trim(v, `"`)
				}
			}
			if response == hash(hash("bob:a cam:top")+":n0nce:00000001:"+cnonce+":auth:"+hash("GET:/digest?ch=1")) {
				serve(w)
				return
			}
			w.Header().Add("WWW-Authenticate", `Basic realm="a cam"`)
			w.Header().Add("WWW-Authenticate", `Digest realm="a cam", qop="auth", nonce="n0nce", algorithm=MD5`)
			w.WriteHeader(http.StatusUnauthorized)
		case "/text":
			_, _ = io.WriteString(w, "<html>log in</html>")
		case "/endless":
			for range 10 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}
	}))
	t.Cleanup(camera.Close)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	s := service(t, func(c *snapshot.Config) { c.Decoders, c.HTTP = nil, client })
	hevc := clip(t, "320x240", "-c:v", "libx264")
	ask := func(name, path, user string) snapshot.Snapshot {
		url := strings.Replace(camera.URL, "http://", "http://"+user, 1) + path
		e := attach(t, s, name, snapshot.CameraConfig{URL: url})
		e.hold(at(hevc.Frame(t, e.arena, 0), 0))
		got, err := s.Snapshot(t.Context(), name, 0)
		require.NoError(t, err)
		return got
	}
	for i, tc := range []struct{ path, user string }{{"/open", ""}, {"/basic", "bob:top@"}, {"/digest?ch=1", "bob:top@"}} {
		got := ask(fmt.Sprint("good", i), tc.path, tc.user)
		require.Equal(t, snapshot.Page, got.Way, got.Cause)
		require.Equal(t, picture.String(), string(got.Data))
		require.Equal(t, []int{64, 48}, []int{got.Width, got.Height})
	}
	before := asked
	_, err := s.Snapshot(t.Context(), "good0", 0)
	require.NoError(t, err)
	require.Equal(t, before, asked, "it is asked once a key frame")
	for i, tc := range []struct{ path, user, want string }{
		{"/basic", "bob:wrong@", "401 Unauthorized: set user and password in the URL"},
		{"/text", "", "answers no JPEG (text/html"},
		{"/endless", "", "answers more than 8388608 bytes"},
		{"/nowhere", "", "answers no JPEG"},
	} {
		got := ask(fmt.Sprint("bad", i), tc.path, tc.user)
		require.Equal(t, snapshot.KeyFrame, got.Way, "the key frame itself is left")
		require.Contains(t, got.Cause, tc.want)
		require.NotContains(t, got.Cause, "wrong")
	}
}
