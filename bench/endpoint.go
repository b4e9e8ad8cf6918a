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
// answers a delay after the request came. It keeps sums, not bytes, and checks no signature. What it
// has to reckon it does in the middle of the delay, when nobody is sending: a real store takes no
// core away from who uploads.
type endpoint struct {
	URL    string
	delay  time.Duration
	refuse func(key string, n int) int // HTTP status in place of an answer; 0: all is well. n counts the PUTs
	server *http.Server

	mu      sync.Mutex
	puts    int
	objects map[string]int // how often each was stored
	rooms   [][]byte       // for bodies, used again
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
	half, wait := time.NewTimer(e.delay/2), time.NewTimer(e.delay)
	defer half.Stop()
	defer wait.Stop()
	if r.ContentLength > bodyLimit {
		answer(w, http.StatusBadRequest, "EntityTooLarge")
		return
	}
	room := e.take(int(max(0, r.ContentLength)))
	defer e.giveBack(room)
	_, err := io.ReadFull(r.Body, room)
	if !sleep(r.Context(), half) {
		return
	}
	sum := md5.Sum(room) //nolint:gosec // what S3's Content-MD5 is
	if !sleep(r.Context(), wait) {
		return
	}
	switch {
	case err != nil:
		return
	case r.Method == http.MethodHead: // the bucket
		w.WriteHeader(http.StatusOK)
	case r.Method != http.MethodPut:
		answer(w, http.StatusNotImplemented, "NotImplemented")
	case base64.StdEncoding.EncodeToString(sum[:]) != r.Header.Get("Content-Md5"):
		answer(w, http.StatusBadRequest, "BadDigest")
	default:
		e.put(w, r.URL.Path)
	}
}

// take returns room for a body. What has been used is used again, so that nothing is cleared or
// collected while somebody looks at a clock.
func (e *endpoint) take(n int) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := len(e.rooms) - 1; last >= 0 && cap(e.rooms[last]) >= n {
		room := e.rooms[last]
		e.rooms = e.rooms[:last]
		return room[:n]
	}
	return make([]byte, n)
}

func (e *endpoint) giveBack(room []byte) {
	if cap(room) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rooms = append(e.rooms, room)
}

// sleep returns false where the client left first.
func sleep(ctx context.Context, until *time.Timer) bool {
	select {
	case <-until.C:
		return true
	case <-ctx.Done():
		return false
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
