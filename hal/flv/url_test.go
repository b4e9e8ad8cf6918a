package flv_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/flv"
	"github.com/millrace-video/millrace/hal/flv/flvtest"
)

func TestCheck(t *testing.T) { // H1, A3
	for raw, want := range map[string]string{
		"http://h/live/cam.flv":                       "",
		"http://u:secret@h:8080/live/cam.FLV?token=x": "",
		"https://[::1]/cam.flv?tls=insecure&a=b":      "",
		"http+flv://h/flv?port=1935&stream=main":      "",
		"https+flv://h/flv?tls-ca=/ca.pem":            "",
		"http://u:secret@h/live/cam.m3u8":             "its path does not end in .flv, and over HTTP only FLV is taken; where FLV has another name on this server write http+flv://",
		"https://h/?x=.flv":                           "write https+flv://",
		"http:///cam.flv":                             "the server's address is missing: http://HOST/PATH.flv",
		"http://h/cam.flv?tls-ca=x":                   "tls parameters need https://",
		"https://h/cam.flv?tls=yes":                   "verify or insecure",
		"https+flv://h/cam?tls-sha256=secret":         "64 hexadecimal digits",
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		err = flv.Driver{}.Check(u)
		if want == "" {
			require.NoError(t, err, raw)
			continue
		}
		require.ErrorContains(t, err, want, raw)
		require.NotContains(t, err.Error(), "secret")
	}
}

// TestSigningIn: user and password go by Basic; the server sees neither our parameters nor a fragment.
func TestSigningIn(t *testing.T) { // H6
	body := film(t, clip(t, tiny), flvtest.Legacy)
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "view er" || password != secret || r.URL.RawQuery != "token=a%20b" {
			w.Header().Set("WWW-Authenticate", `Digest realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(body)
	})
	host := at[len("http://"):]
	s := open(t, flv.Driver{}, "http://view%20er:pa55word%21@"+host+"/x.flv?token=a%20b&tls=verify#x", hal.Options{})
	require.Equal(t, hal.H264, s.Stream().Tracks[0].Codec)
	_, err := hal.NewRegistry(flv.Driver{}).Open(t.Context(), "http://wrong:"+secret+"@"+host+"/x.flv", hal.Options{})
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorContains(t, err, "wrong user or password")
	require.ErrorContains(t, err, "Digest")
	require.NotContains(t, err.Error(), secret)
}

func TestRedirections(t *testing.T) { // H6
	body := film(t, clip(t, tiny), flvtest.Legacy)
	var elsewhere string
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch r.URL.Path {
		case "/here.flv":
			http.Redirect(w, r, "/same", http.StatusFound)
		case "/same":
			if password != secret {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, r, elsewhere+"/edge?key=1", http.StatusTemporaryRedirect)
		case "/circle.flv":
			http.Redirect(w, r, "/circle.flv", http.StatusFound)
		case "/file.flv":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		case "/nowhere.flv":
			w.WriteHeader(http.StatusFound)
		}
	})
	elsewhere = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, signed := r.BasicAuth(); signed {
			t.Error("the password went to another server")
		}
		_, _ = w.Write(body)
	})
	at := "http://u:" + secret + "@" + first[len("http://"):]
	s := open(t, flv.Driver{}, at+"/here.flv", hal.Options{})
	require.Len(t, s.Stream().Tracks, 2)
	for path, want := range map[string]string{
		"/circle.flv":  "redirects more than 5 times",
		"/file.flv":    `redirects to "file:///etc/passwd", which is no HTTP URL`,
		"/nowhere.flv": "without saying where",
	} {
		_, err := hal.NewRegistry(flv.Driver{}).Open(t.Context(), at+path, hal.Options{})
		brokenOff(t, err)
		require.ErrorContains(t, err, want)
	}
}

func TestTrust(t *testing.T) { // H6
	body := film(t, clip(t, tiny), flvtest.Legacy)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down.flv" {
			http.Redirect(w, r, "http://"+r.Host+"/x.flv", http.StatusFound)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	der := server.Certificate().Raw
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	sum := sha256.Sum256(der)
	at := "https://u:" + secret + "@" + server.Listener.Addr().String()
	for _, how := range []string{"tls=insecure", "tls-ca=" + file, "tls-sha256=" + hex.EncodeToString(sum[:])} {
		s := open(t, flv.Driver{}, at+"/x.flv?"+how, hal.Options{})
		frames, _, err := all(t, s)
		require.NotEmpty(t, frames)
		brokenOff(t, err)
	}
	for _, tc := range [][2]string{
		{"/x.flv", "tls-ca=FILE or tls-sha256=FINGERPRINT"},
		{"/x.flv?tls-sha256=" + hex.EncodeToString(make([]byte, 32)), "the camera's certificate is another one"},
		{"/x.flv?tls-ca=/nowhere/ca.pem", "/nowhere/ca.pem"},
		{"/down.flv?tls=insecure", "redirects from https to http://"},
	} {
		_, err := hal.NewRegistry(flv.Driver{}).Open(t.Context(), at+tc[0], hal.Options{})
		require.ErrorContains(t, err, tc[1])
		require.NotContains(t, err.Error(), secret)
	}
}
