package upload

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Transport returns a transport whose requests leave under the governor, in the class that
// WithClass gave their context. Whatever leaves the machine goes through one.
func (u *Uplink) Transport(next http.RoundTripper) http.RoundTripper { return governed{u, next} }

type governed struct {
	uplink *Uplink
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g governed) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return g.next.RoundTrip(req)
	}
	ctx := req.Context()
	class := classOf(ctx)
	if err := g.take(ctx, class, 0); err != nil {
		return nil, err
	}
	req = req.Clone(ctx)
	req.Body = &rationed{ReadCloser: req.Body, take: func(n int) error { return g.take(ctx, class, n) }}
	return g.next.RoundTrip(req)
}

func (g governed) take(ctx context.Context, c Class, n int) error {
	began := g.uplink.clock.Mono()
	err := g.uplink.take(ctx, c, n)
	if w, ok := ctx.Value(waitKey{}).(*atomic.Int64); ok {
		w.Add(g.uplink.clock.Mono() - began)
	}
	return err
}

// waitKey is where an attempt's context has the time that it waited here and not for the store.
type waitKey struct{}

func withWait(ctx context.Context, w *atomic.Int64) context.Context {
	return context.WithValue(ctx, waitKey{}, w)
}

// rationed is a body that is read as the governor allows.
type rationed struct {
	io.ReadCloser
	take func(n int) error
}

func (r *rationed) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p[:min(len(p), grain)])
	if n > 0 {
		if refused := r.take(n); refused != nil {
			return 0, refused
		}
	}
	return n, err
}

// governedTime is what of an attempt's time was the governor's.
func governedTime(w *atomic.Int64) time.Duration { return time.Duration(w.Load()) }
