package flv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/millrace-video/millrace/hal"
)

const (
	// maxRedirects bounds the connections of one opening.
	maxRedirects = 5
	// maxAnswer bounds the header of an answer.
	maxAnswer = 32 << 10
)

// opening is a stream on its way.
type opening struct {
	explainer

	driver Driver
	target target
	opts   hal.Options

	doing   string // what does not come, for an error
	verdict error  // and what that means
	fault   string // the last one with a tag, if any
}

func (o *opening) open(ctx context.Context) (*Source, error) {
	o.doing, o.verdict = "the server does not answer", context.DeadlineExceeded
	at := o.target.url
	for range maxRedirects + 1 {
		in, next, err := o.request(ctx, at)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return o.stream(ctx, in)
		}
		at = next
	}
	return nil, fmt.Errorf("the server redirects more than %d times, in the end to %s", maxRedirects, show(at))
}

// stream reads up to where the tracks are known.
func (o *opening) stream(ctx context.Context, in *body) (*Source, error) {
	o.doing, o.verdict = "the server answers, but no picture or sound comes", hal.ErrStalled
	s := newSource(o, in)
	if err := s.await(ctx); err != nil {
		if fault := s.stats.fault.Load(); fault != nil {
			o.fault = " (" + *fault + ")"
		}
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// request asks for a URL: the answer's body comes, or where else to ask.
func (o *opening) request(ctx context.Context, at *url.URL) (*body, *url.URL, error) {
	conn, err := o.driver.Dial(ctx, "tcp", address(at))
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) //nolint:errcheck // whoever uses it notices
	defer stop()
	in := newBody(conn, o.opts.Clock, o.driver.Silence)
	next, err := o.exchange(ctx, in, at)
	if err != nil || next != nil {
		return nil, next, errors.Join(err, in.close())
	}
	if !stop() {
		return nil, nil, errors.Join(ctx.Err(), in.close())
	}
	return in, nil, nil
}

func (o *opening) exchange(ctx context.Context, in *body, at *url.URL) (*url.URL, error) {
	if at.Scheme == secure {
		wrapped, err := o.target.trust.Client(ctx, &bufferedConn{Conn: in.conn, r: bufio.NewReaderSize(in.conn, blockSize)}, at.Hostname())
		if err != nil {
			return nil, err
		}
		in.conn = wrapped
	}
	req, err := ask(ctx, at)
	if err != nil {
		return nil, err
	}
	if err = req.Write(in.conn); err != nil {
		return nil, fmt.Errorf("send the request: %w", err)
	}
	head, err := in.head(ctx)
	if err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), req)
	if err != nil {
		return nil, fmt.Errorf("the server does not speak HTTP: %w", err)
	}
	defer func() { _ = res.Body.Close() }() //nolint:errcheck // the body is read from the connection itself
	switch res.StatusCode {
	case http.StatusOK:
		return nil, o.accept(in, res)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return follow(at, res.Header.Get("Location"))
	}
	return nil, &statusError{res.StatusCode, res.Status, res.Header.Get("WWW-Authenticate")}
}

// ask returns the request for a URL.
func ask(ctx context.Context, at *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{
		"User-Agent": {"millrace"}, "Accept": {"video/x-flv, */*"}, "Accept-Encoding": {"identity"},
	}
	if at.User != nil {
		password, _ := at.User.Password()
		req.SetBasicAuth(at.User.Username(), password)
	}
	return req, nil
}

// accept sets up the body as the header says.
func (o *opening) accept(in *body, res *http.Response) error {
	if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return fmt.Errorf("the server compresses its answer (%.40q), which was not asked for", coding)
	}
	in.kind = res.Header.Get("Content-Type")
	in.framing = framingOf(res.TransferEncoding, res.ContentLength)
	return nil
}

// bufferedConn reads a connection in large blocks: TLS records are small.
type bufferedConn struct {
	net.Conn

	r *bufio.Reader
}

// Read implements net.Conn.
func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }
