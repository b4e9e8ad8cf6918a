package s3_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/upload"
	"github.com/millrace-video/millrace/stages/upload/s3"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// world is a server behind a proxy, and a store whose set-up can be wrong and be put right.
type world struct {
	gateway *s3test.Gateway
	proxy   *s3test.Proxy
	tls     *httptest.Server
	file    string // of credentials
	ca      string
	cfg     s3.Config
}

func credentialsFile(t *testing.T, file, access, secret string) {
	t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", access, secret)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{gateway: s3test.Start(t), file: filepath.Join(dir, "credentials"), ca: filepath.Join(dir, "ca.pem")}
	w.proxy, w.tls = s3test.NewProxy(t, w.gateway.Address, true)
	credentialsFile(t, w.file, s3test.Access, s3test.Secret)
	writeAuthority(t, w.ca, w.tls)
	w.cfg = config(w.proxy.URL)
	w.cfg.CA, w.cfg.Credentials = w.ca, s3.Credentials{File: w.file}
	return w
}

func answering(status int, code string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		s3test.Answer(w, r, status, code, "as the server says with "+s3test.Secret)
		return true
	}
}

// Issue 5, must show 9: each has an error that says which, and works again without a restart once
// it is put right. (upload.Watch says it once.)
func TestWhatIsWrongIsSaidAndPutRight(t *testing.T) {
	for _, tc := range []struct {
		name       string
		kind       upload.Kind
		says       string
		break1, ok func(t *testing.T, w *world)
	}{
		{
			"wrong secret", upload.Credentials, "the credentials are wrong (SignatureDoesNotMatch",
			func(t *testing.T, w *world) { credentialsFile(t, w.file, s3test.Access, "wrong-"+s3test.Secret) },
			func(t *testing.T, w *world) { credentialsFile(t, w.file, s3test.Access, s3test.Secret) },
		},
		{
			"unknown user", upload.Credentials, "the credentials are wrong (XAdminUserNotFound",
			func(t *testing.T, w *world) { credentialsFile(t, w.file, "nobody", s3test.Secret) },
			func(t *testing.T, w *world) { credentialsFile(t, w.file, s3test.Access, s3test.Secret) },
		},
		{
			"no file of credentials", upload.Credentials, "the file of the credentials cannot be read",
			func(t *testing.T, w *world) { require.NoError(t, os.Remove(w.file)) },
			func(t *testing.T, w *world) { credentialsFile(t, w.file, s3test.Access, s3test.Secret) },
		},
		{
			"no credentials in the file", upload.Credentials, `has no credentials for the profile "default"`,
			func(t *testing.T, w *world) { require.NoError(t, os.WriteFile(w.file, []byte(s3test.Secret), 0o600)) },
			func(t *testing.T, w *world) { credentialsFile(t, w.file, s3test.Access, s3test.Secret) },
		},
		{
			"expired credentials", upload.Expired, "the credentials have expired (ExpiredToken",
			func(_ *testing.T, w *world) { w.proxy.Fault(answering(http.StatusBadRequest, "ExpiredToken")) },
			func(_ *testing.T, w *world) { w.proxy.Fault(nil) },
		},
		{
			"no bucket", upload.NoBucket, "there is no such bucket (NoSuchBucket",
			func(t *testing.T, w *world) { require.NoError(t, os.Rename(w.gateway.Folder, w.gateway.Folder+"2")) },
			func(t *testing.T, w *world) { require.NoError(t, os.Rename(w.gateway.Folder+"2", w.gateway.Folder)) },
		},
		{
			"authority unknown", upload.Untrusted, "certificate is not trusted",
			func(t *testing.T, w *world) { writeAuthority(t, w.ca, other(t)) },
			func(t *testing.T, w *world) { writeAuthority(t, w.ca, w.tls) },
		},
		{
			"no file of authorities", upload.Untrusted, "the file of authorities cannot be read",
			func(t *testing.T, w *world) { require.NoError(t, os.Remove(w.ca)) },
			func(t *testing.T, w *world) { writeAuthority(t, w.ca, w.tls) },
		},
		{
			"clock off by an hour", upload.Clock, "this machine's clock and the store's differ too much (RequestTimeTooSkewed",
			func(_ *testing.T, w *world) { w.proxy.Fault(hourAgo) },
			func(_ *testing.T, w *world) { w.proxy.Fault(nil) },
		},
		{
			"not allowed", upload.Forbidden, "the credentials do not allow this (AccessDenied",
			func(_ *testing.T, w *world) { w.proxy.Fault(answering(http.StatusForbidden, "AccessDenied")) },
			func(_ *testing.T, w *world) { w.proxy.Fault(nil) },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			tc.break1(t, w)
			s := open(t, w.cfg)
			err := s.Put(t.Context(), "a.jpg", "image/jpeg", upload.Bytes([]byte("jpeg")))
			require.Equal(t, tc.kind, upload.KindOf(err), "%v", err)
			require.ErrorContains(t, err, tc.says)
			require.ErrorIs(t, err, upload.ErrBlocked)
			require.NotContains(t, err.Error(), s3test.Secret)
			tc.ok(t, w)
			require.NoError(t, s.Put(t.Context(), "a.jpg", "image/jpeg", upload.Bytes([]byte("jpeg"))))
			require.Equal(t, map[string]int64{"a.jpg": 4}, w.gateway.Objects(t))
			tc.break1(t, w) // and again while it runs
			s = reconnected(s, tc.kind)
			if s != nil {
				err = s.Put(t.Context(), "b.jpg", "image/jpeg", upload.Bytes([]byte("jpeg")))
				require.Equal(t, tc.kind, upload.KindOf(err), "%v", err)
				tc.ok(t, w)
				require.NoError(t, s.Put(t.Context(), "b.jpg", "image/jpeg", upload.Bytes([]byte("jpeg"))))
			}
		})
	}
}

// reconnected leaves no connection that was made while the certificate was trusted.
func reconnected(s *s3.Store, k upload.Kind) *s3.Store {
	if k == upload.Untrusted {
		_ = s.Close()
	}
	return s
}

func other(t *testing.T) *httptest.Server {
	t.Helper()
	_, server := s3test.NewProxy(t, "127.0.0.1:1", true)
	server.Certificate().Raw[len(server.Certificate().Raw)-1]++ // httptest's is one for all: spoil the signature
	return server
}

// hourAgo lets the real server see a request of a machine whose clock is an hour behind.
func hourAgo(_ http.ResponseWriter, r *http.Request) bool {
	const layout = "20060102T150405Z"
	at, err := time.Parse(layout, r.Header.Get("X-Amz-Date"))
	if err == nil {
		r.Header.Set("X-Amz-Date", at.Add(-time.Hour).Format(layout))
	}
	return false
}

// What passes by itself is told from what does not.
func TestWhatIsWorthAnotherTry(t *testing.T) {
	g := s3test.Start(t)
	p, _ := s3test.NewProxy(t, g.Address, false)
	cfg := config(p.URL)
	cfg.Timeout = time.Second
	s := open(t, cfg)
	put := func() error {
		return s.Put(t.Context(), "a.jpg", "image/jpeg", upload.Bytes([]byte("jpeg")))
	}
	for _, tc := range []struct {
		status int
		code   string
		want   upload.Kind
	}{
		{http.StatusServiceUnavailable, "SlowDown", upload.Throttled},
		{http.StatusTooManyRequests, "TooManyRequests", upload.Throttled},
		{http.StatusInternalServerError, "InternalError", upload.Broken},
		{http.StatusBadGateway, "", upload.Broken},
		{http.StatusConflict, "ConditionalRequestConflict", upload.Broken},
		{http.StatusRequestEntityTooLarge, "EntityTooLarge", upload.Invalid},
		{http.StatusInsufficientStorage, "", upload.DiskFull},
	} {
		p.Fault(answering(tc.status, tc.code))
		err := put()
		require.Equal(t, tc.want, upload.KindOf(err), "%v", err)
		require.NotContains(t, err.Error(), s3test.Secret)
	}
	p.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody notices that the client has gone
		<-r.Context().Done()
		return true
	})
	require.Equal(t, upload.TimedOut, upload.KindOf(put()))
	p.Fault(nil)
	require.NoError(t, put())

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	gone := open(t, config("http://"+l.Addr().String()))
	err = gone.Put(t.Context(), "a", "", upload.Bytes(nil))
	require.Equal(t, upload.Unreachable, upload.KindOf(err), "%v", err)
	require.NotErrorIs(t, err, upload.ErrBlocked)
	require.NotErrorIs(t, err, upload.ErrRefused)
}

// Credentials come from the environment, or from the machine's role.
func TestCredentialsFromElsewhere(t *testing.T) {
	g := s3test.Start(t)
	cfg := config("http://" + g.Address)
	cfg.Credentials = s3.Credentials{From: s3.Environment}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_ACCESS_KEY", "")
	err := open(t, cfg).Put(t.Context(), "a", "", upload.Bytes([]byte("a")))
	require.ErrorContains(t, err, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.Secret)
	require.NoError(t, open(t, cfg).Put(t.Context(), "a", "", upload.Bytes([]byte("a"))))

	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/latest/api/token":
			_, _ = fmt.Fprint(w, "token")
		case "/latest/meta-data/iam/security-credentials/":
			_, _ = fmt.Fprint(w, "edge-box")
		case "/latest/meta-data/iam/security-credentials/edge-box":
			_, _ = fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Expiration":%q}`,
				s3test.Access, s3test.Secret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		default:
			http.NotFound(w, r)
		}
	}))
	defer metadata.Close()
	cfg.Credentials = s3.Credentials{From: s3.Role, RoleEndpoint: metadata.URL}
	require.NoError(t, open(t, cfg).Put(t.Context(), "b", "", upload.Bytes([]byte("b"))))
	require.Len(t, g.Objects(t), 2)
}

// A3: what is wrong with a configuration is said without its secrets.
func TestWrongConfigurations(t *testing.T) {
	for want, change := range map[string]func(*s3.Config){
		"no bucket is named":              func(c *s3.Config) { c.Bucket = "" },
		"is no name of a bucket":          func(c *s3.Config) { c.Bucket = "a/b" },
		"the endpoint is no URL":          func(c *s3.Config) { c.Endpoint = "ftp://u:hunter2@h" },
		"the endpoint has a user":         func(c *s3.Config) { c.Endpoint = "https://u:hunter2@h" },
		"more than scheme, host and port": func(c *s3.Config) { c.Endpoint = "https://h/bucket" },
		"the prefix":                      func(c *s3.Config) { c.Prefix = "/a" },
		"parts of 1 bytes":                func(c *s3.Config) { c.PartSize = 1 },
		"both an access key":              func(c *s3.Config) { c.Credentials.SecretKey = "" },
		"which file":                      func(c *s3.Config) { c.Credentials = s3.Credentials{From: s3.File} },
		"credentials from \"tape\"":       func(c *s3.Config) { c.Credentials.From = "tape" },
	} {
		cfg := config("https://127.0.0.1:1")
		change(&cfg)
		_, err := s3.Open(cfg)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), s3test.Secret)
	}
}
