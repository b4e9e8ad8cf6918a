package s3_test

import (
	"crypto/sha256"
	"encoding/pem"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/upload"
	"github.com/millrace-video/millrace/stages/upload/s3"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

func config(endpoint string) s3.Config {
	return s3.Config{
		Endpoint: endpoint, Region: s3test.Region, Bucket: s3test.Bucket, Style: s3.Path,
		Credentials: s3.Credentials{AccessKey: s3test.Access, SecretKey: s3test.Secret},
	}
}

func open(t *testing.T, cfg s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// U2: a bucket of a real server keeps every promise of a store.
func TestABucketIsAStore(t *testing.T) {
	g := s3test.Start(t)
	s3test.Contract(t, open(t, config("http://"+g.Address)))
}

// A server that knows nothing of conditional puts or of our checksums.
func TestASimpleServerIsAStore(t *testing.T) {
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket(s3test.Bucket))
	server := httptest.NewServer(refusingConditions(gofakes3.New(backend).Server()))
	defer server.Close()
	s3test.Contract(t, open(t, config(server.URL)))
}

func refusingConditions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			s3test.Answer(w, r, http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestAPrefixIsBeforeEveryKey(t *testing.T) {
	g := s3test.Start(t)
	cfg := config("http://" + g.Address)
	cfg.Prefix = "site-7/"
	s := open(t, cfg)
	require.NoError(t, s.Put(t.Context(), "gate/1.jpg", "image/jpeg", upload.Bytes([]byte("jpeg"))))
	require.Equal(t, map[string]int64{"site-7/gate/1.jpg": 4}, g.Objects(t))
	require.NoError(t, s.List(t.Context(), "gate/", func(key string, _ int64) error {
		require.Equal(t, "gate/1.jpg", key)
		return nil
	}))
}

// The bucket stands in the host's name: http://cameras.s3.test/key.
func TestVirtualHostStyle(t *testing.T) {
	g := s3test.Start(t)
	var hosts []string
	cfg := config("http://" + s3test.Domain)
	cfg.Style = s3.VirtualHost
	cfg.Wrap = func(next http.RoundTripper) http.RoundTripper {
		return trip(func(r *http.Request) (*http.Response, error) {
			hosts = append(hosts, r.URL.Host)
			r = r.Clone(r.Context())
			r.Host = r.URL.Host
			r.URL.Host = g.Address // in place of a DNS server
			return next.RoundTrip(r)
		})
	}
	s := open(t, cfg)
	require.NoError(t, s.Put(t.Context(), "a/b.jpg", "image/jpeg", upload.Bytes([]byte("jpeg"))))
	require.Equal(t, map[string]int64{"a/b.jpg": 4}, g.Objects(t))
	require.Equal(t, []string{"cameras.s3.test"}, hosts)
	plain, err := s.Presign(t.Context(), "a/b.jpg", 0)
	require.NoError(t, err)
	require.Equal(t, "http://cameras.s3.test/a/b.jpg", plain)
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A presigned URL reads the object, with its content type, without credentials; the plain one does not.
func TestPresign(t *testing.T) {
	g := s3test.Start(t)
	s := open(t, config("http://"+g.Address))
	require.NoError(t, s.Put(t.Context(), "a b/ü+.jpg", "image/jpeg", upload.Bytes([]byte("jpeg"))))
	signed, err := s.Presign(t.Context(), "a b/ü+.jpg", time.Minute)
	require.NoError(t, err)
	require.NotContains(t, signed, s3test.Secret)
	resp := get(t, signed) //nolint:bodyclose // get does
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "image/jpeg", resp.Header.Get("Content-Type"))
	plain, err := s.Presign(t.Context(), "a b/ü+.jpg", 0)
	require.NoError(t, err)
	u, err := url.Parse(plain)
	require.NoError(t, err)
	require.Equal(t, "/cameras/a b/ü+.jpg", u.Path)
	require.Equal(t, http.StatusForbidden, get(t, plain).StatusCode) //nolint:bodyclose // get does
}

func get(t *testing.T, u string) *http.Response {
	t.Helper()
	resp, err := http.Get(u) //nolint:noctx,gosec // a test
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}

// U2: the object arrived and the answer did not: the next attempt makes no second object.
func TestALostAnswerMakesNoSecondObject(t *testing.T) {
	g := s3test.Start(t)
	p, _ := s3test.NewProxy(t, g.Address, false)
	s := open(t, config(p.URL))
	p.LoseAnswer(s3test.IsPut)
	err := s.Put(t.Context(), "a.jpg", "image/jpeg", upload.Bytes([]byte("jpeg")))
	require.Equal(t, upload.Unreachable, upload.KindOf(err), "%v", err)
	before, err := os.Stat(filepath.Join(g.Folder, "a.jpg"))
	require.NoError(t, err)
	p.LoseAnswer(nil)
	require.NoError(t, s.Put(t.Context(), "a.jpg", "image/jpeg", upload.Bytes([]byte("jpeg"))))
	after, err := os.Stat(filepath.Join(g.Folder, "a.jpg"))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "the object was written a second time")
}

// What arrives damaged is not stored: the server has the sum.
func TestDamageOnTheWayIsFound(t *testing.T) {
	g := s3test.Start(t)
	cfg := config("http://" + g.Address)
	cfg.Wrap = func(next http.RoundTripper) http.RoundTripper {
		return trip(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				r.Body = io.NopCloser(strings.NewReader("jpEg"))
			}
			return next.RoundTrip(r)
		})
	}
	err := open(t, cfg).Put(t.Context(), "a.jpg", "image/jpeg", upload.Bytes([]byte("jpeg")))
	require.Equal(t, upload.Damaged, upload.KindOf(err), "%v", err)
	require.Empty(t, g.Objects(t))
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// Large objects go up in parts; what one process got through the next one does not send again.
func TestPartsAreResumedByAnotherProcess(t *testing.T) {
	g := s3test.Start(t)
	p, _ := s3test.NewProxy(t, g.Address, false)
	cfg := config(p.URL)
	cfg.PartSize = 5 << 20
	large := noise(13 << 20)
	parts := map[string]int{}
	p.Fault(func(w http.ResponseWriter, r *http.Request) bool {
		n := r.URL.Query().Get("partNumber")
		if n == "" {
			return false
		}
		parts[n]++
		if n == "3" && parts[n] == 1 {
			s3test.Answer(w, r, http.StatusInternalServerError, "InternalError", "we encountered an internal error")
			return true
		}
		return false
	})
	first, err := s3.Open(cfg)
	require.NoError(t, err)
	err = first.Put(t.Context(), "large.mp4", "video/mp4", upload.Bytes(large))
	require.Equal(t, upload.Broken, upload.KindOf(err), "%v", err)
	require.NoError(t, first.Close())
	require.Empty(t, g.Objects(t))

	second := open(t, cfg)
	require.NoError(t, second.Put(t.Context(), "large.mp4", "video/mp4", upload.Bytes(large)))
	require.Equal(t, map[string]int{"1": 1, "2": 1, "3": 2}, parts)
	stored, err := os.ReadFile(filepath.Join(g.Folder, "large.mp4"))
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(large), sha256.Sum256(stored), "byte for byte")
	require.NoError(t, second.Put(t.Context(), "large.mp4", "video/mp4", upload.Bytes(large)), "once more")
	large[7]++
	err = second.Put(t.Context(), "large.mp4", "video/mp4", upload.Bytes(large))
	require.Equal(t, upload.Conflict, upload.KindOf(err), "%v", err)
}

func writeAuthority(t *testing.T, file string, server *httptest.Server) {
	t.Helper()
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(file, block, 0o600))
}
