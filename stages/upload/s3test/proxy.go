package s3test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy stands before a server. Its fields are set through Set while it serves.
type Proxy struct {
	URL string

	mu     sync.Mutex
	delay  time.Duration
	fault  func(w http.ResponseWriter, r *http.Request) bool
	after  func(r *http.Request) bool
	inside int
	most   int
	served int
}

// NewProxy returns one before the address. With secure it speaks TLS, by httptest's certificate,
// which Authority returns.
func NewProxy(t testing.TB, address string, secure bool) (*Proxy, *httptest.Server) {
	t.Helper()
	p := &Proxy{}
	target := &url.URL{Scheme: "http", Host: address}
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}
	forward := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, forward) }))
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	p.URL = server.URL
	return p, server
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	p.mu.Lock()
	p.inside++
	p.served++
	p.most = max(p.most, p.inside)
	delay, fault, after := p.delay, p.fault, p.after
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.inside--
		p.mu.Unlock()
	}()
	wait(r.Context(), delay)
	if fault != nil && fault(w, r) {
		return
	}
	if after != nil && after(r) { // it is done, and nobody hears of it
		forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	forward.ServeHTTP(w, r)
}

func wait(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Delay holds every request for so long.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Fault answers instead of the server wherever it returns true; nil ends that.
func (p *Proxy) Fault(f func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// LoseAnswer lets the server do what is asked and cuts the connection instead of the answer,
// wherever f returns true; nil ends that.
func (p *Proxy) LoseAnswer(f func(r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = f
}

// Most returns how many requests were in it at once at most, and how many there were.
func (p *Proxy) Most() (atOnce, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most, p.served
}

// Answer writes an error as S3 does.
func Answer(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	_, _ = io.Copy(io.Discard, r.Body) //nolint:errcheck // who broke off needs no answer
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message) //nolint:errcheck // as above
}
