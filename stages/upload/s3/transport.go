package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// errStalled is the cause of a request that was given up.
var errStalled = errors.New("nothing was taken for too long")

// authorityError says that the file of authorities cannot be used.
type authorityError struct{ err error }

func (e *authorityError) Error() string { return e.err.Error() }
func (e *authorityError) Unwrap() error { return e.err }

// newTransport keeps as many connections as there may be uploads at once: a cold one costs a
// round trip or two.
func newTransport(c Config) *http.Transport {
	dialer := &net.Dialer{Timeout: c.Timeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: dialer.DialContext,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialTLS(ctx, dialer, c.CA, network, address)
		},
		MaxIdleConns:          c.Idle,
		MaxIdleConnsPerHost:   c.Idle,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: c.Timeout,
		WriteBufferSize:       64 << 10,
		DisableCompression:    true,
	}
}

// dialTLS reads the authorities for every connection, so that a file put right needs no restart.
func dialTLS(ctx context.Context, dialer *net.Dialer, ca, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	roots, err := authorities(ca)
	if err != nil {
		return nil, err
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})
	ctx, cancel := context.WithTimeout(ctx, dialer.Timeout)
	defer cancel()
	if err = secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// authorities are the system's and those of a file; nil: the system's alone.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // that is how crypto/tls is told
	}
	pem, err := os.ReadFile(file) //nolint:gosec // the operator named it
	if err != nil {
		return nil, &authorityError{fmt.Errorf("the file of authorities cannot be read: %w", err)}
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, &authorityError{fmt.Errorf("the file %s has no certificate in it (PEM)", file)}
	}
	return roots, nil
}

// watchdog gives a request up whose bytes nobody takes. What waits for the uplink does not count.
type watchdog struct {
	next  http.RoundTripper
	limit time.Duration
}

// RoundTrip implements http.RoundTripper.
func (w watchdog) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return w.next.RoundTrip(req)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(w.limit, func() { cancel(errStalled) })
	timer.Stop()
	req = req.WithContext(ctx)
	req.Body = &watched{ReadCloser: req.Body, timer: timer, limit: w.limit}
	resp, err := w.next.RoundTrip(req)
	timer.Stop()
	if err != nil {
		stalled := errors.Is(context.Cause(ctx), errStalled)
		cancel(nil)
		if stalled {
			return nil, errStalled
		}
		return nil, err
	}
	resp.Body = &answer{ReadCloser: resp.Body, end: func() { cancel(nil) }}
	return resp, nil
}

// watched is a body between whose reads only so much time may pass.
type watched struct {
	io.ReadCloser
	limit time.Duration

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Stop()
	n, err := w.ReadCloser.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && !w.ended { // its end is followed by the answer, which has a limit of its own
		w.timer.Reset(w.limit)
	}
	return n, err
}

func (w *watched) Close() error {
	w.mu.Lock()
	w.ended = true
	w.timer.Stop()
	w.mu.Unlock()
	return w.ReadCloser.Close()
}

// answer lets the request's context go with its body.
type answer struct {
	io.ReadCloser
	end func()
}

func (a *answer) Close() error {
	defer a.end()
	return a.ReadCloser.Close()
}

// gate is a body that can be taken away from a transport that may still read it after it
// answered.
type gate struct {
	mu   sync.Mutex
	body *io.SectionReader // nil: shut
}

func (g *gate) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.body == nil {
		return 0, io.ErrClosedPipe
	}
	return g.body.Read(p)
}

// Seek implements io.Seeker: the client goes back to the beginning before it sends.
func (g *gate) Seek(offset int64, whence int) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.body == nil {
		return 0, io.ErrClosedPipe
	}
	return g.body.Seek(offset, whence)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.body = nil
}
