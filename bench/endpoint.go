package bench

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/millrace-video/millrace/pool"
)

// endpoint is a stand-in for an S3 server, in this process: it takes a PUT, checks its MD5, and
// answers a delay after the request came. It keeps sums, not bytes, and checks no signature.
type endpoint struct {
	URL    string
	delay  time.Duration
	refuse func(key string, n int) int // HTTP status in place of an answer; 0: all is well. n counts the PUTs
	server *http.Server

	mu      sync.Mutex
	puts    int
	objects map[string]int // how often each was stored
}

// bodyLimit is more than any object here has.
const bodyLimit = 64 << 20

// newEndpoint serves on a worker until close.
func newEndpoint(ctx context.Context, workers *pool.Workers, delay time.Duration, refuse func(key string, n int) int) (*endpoint, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &endpoint{URL: "http://" + l.Addr().String(), delay: delay, refuse: refuse, objects: map[string]int{}}
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second}
	if err = workers.Go(func() error { return e.server.Serve(l) }, nil); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return e, nil
}

func (e *endpoint) close() error { return e.server.Close() }

// ServeHTTP implements http.Handler.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait := time.NewTimer(e.delay)
	defer wait.Stop()
	sum := md5.New() //nolint:gosec // what S3's Content-MD5 is
	_, err := io.Copy(sum, io.LimitReader(r.Body, bodyLimit))
	select {
	case <-wait.C:
	case <-r.Context().Done():
		return
	}
	switch {
	case err != nil:
		return
	case r.Method == http.MethodHead: // the bucket
		w.WriteHeader(http.StatusOK)
	case r.Method != http.MethodPut:
		answer(w, http.StatusNotImplemented, "NotImplemented")
	case base64.StdEncoding.EncodeToString(sum.Sum(nil)) != r.Header.Get("Content-Md5"):
		answer(w, http.StatusBadRequest, "BadDigest")
	default:
		e.put(w, r.URL.Path)
	}
}

func (e *endpoint) put(w http.ResponseWriter, key string) {
	e.mu.Lock()
	e.puts++
	n := e.puts
	e.mu.Unlock()
	if e.refuse != nil {
		if status := e.refuse(key, n); status != 0 {
			answer(w, status, map[int]string{http.StatusServiceUnavailable: "ServiceUnavailable", http.StatusBadRequest: "InvalidRequest"}[status])
			return
		}
	}
	e.mu.Lock()
	e.objects[key]++
	e.mu.Unlock()
	w.WriteHeader(http.StatusOK)
}

func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// stored returns how many objects there are, and whether one was stored twice.
func (e *endpoint) stored() (n int, twice bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, times := range e.objects {
		twice = twice || times > 1
	}
	return len(e.objects), twice
}
