package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// PostConfig is where snapshots are posted to, and how.
type PostConfig struct {
	URL    string // http:// or https://, with user and password where it wants them (Basic)
	Base64 bool   // JSON with the picture in Base64, a third larger; default: its bytes as they are (S2)

	Retries int           // after the first attempt; default 5; −1: none
	Backoff hal.Backoff   // between attempts; default 500 ms to 10 s, half of it chance
	Timeout time.Duration // of one attempt; default 15 s

	HTTP *http.Client // default: one of its own
}

// Post is a Receiver that posts each snapshot to a URL. Raw, the body is the picture, its
// Content-Type says of what kind it is, and Millrace-Channel, Millrace-Time (RFC 3339),
// Millrace-Width and Millrace-Height say the rest. With Base64 the body is a Posted as JSON.
type Post struct {
	cfg  PostConfig
	url  string
	user *url.Userinfo
}

// Posted is a snapshot as JSON.
type Posted struct {
	Channel     string    `json:"channel"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"content_type"`
	Width       int       `json:"width,omitempty"`
	Height      int       `json:"height,omitempty"`
	Image       []byte    `json:"image"` // Base64
}

// NewPost returns a receiver that posts.
func NewPost(cfg PostConfig) (*Post, error) {
	if err := CheckURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("receiver of snapshots: %w", err)
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("receiver of snapshots: %w", withoutURL(err))
	}
	if cfg.Retries == 0 {
		cfg.Retries = 5
	}
	cfg.Backoff = cfg.Backoff.Or(hal.Backoff{First: 500 * time.Millisecond, Max: 10 * time.Second, Jitter: 0.5})
	if cfg.Timeout <= 0 {
		cfg.Timeout = 15 * time.Second
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second}}
	}
	client := *cfg.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it would become a GET
	cfg.HTTP = &client
	p := &Post{cfg: cfg, user: u.User}
	u.User = nil
	p.url = u.String()
	return p, nil
}

// errFinal marks an answer that another attempt does not change.
var errFinal = errors.New("refused for good")

// Send implements Receiver.
func (p *Post) Send(ctx context.Context, s Snapshot) error {
	body, header, err := p.encode(s)
	if err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		err := p.attempt(ctx, body, header)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errFinal):
			return fmt.Errorf("the receiver of snapshots: %w", err)
		case tries >= p.cfg.Retries:
			return fmt.Errorf("the receiver of snapshots, after %d attempts: %w", tries+1, err)
		}
		if err := hal.Wait(ctx, p.cfg.Backoff.Before(tries)); err != nil {
			return err
		}
	}
}

func (p *Post) encode(s Snapshot) ([]byte, http.Header, error) {
	h := http.Header{"User-Agent": {"millrace"}}
	if p.cfg.Base64 {
		h.Set("Content-Type", "application/json")
		body, err := json.Marshal(Posted{s.Channel, s.Time.UTC(), s.ContentType, s.Width, s.Height, s.Data})
		return body, h, err
	}
	h.Set("Content-Type", s.ContentType)
	h.Set("Millrace-Channel", s.Channel)
	h.Set("Millrace-Time", s.Time.UTC().Format(time.RFC3339Nano))
	h.Set("Millrace-Width", strconv.Itoa(s.Width))
	h.Set("Millrace-Height", strconv.Itoa(s.Height))
	return s.Data, h, nil
}

func (p *Post) attempt(ctx context.Context, body []byte, header http.Header) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.Timeout, fmt.Errorf("no answer within %s", p.cfg.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errFinal, withoutURL(err))
	}
	req.Header = header.Clone()
	if p.user != nil {
		password, _ := p.user.Password()
		req.SetBasicAuth(p.user.Username(), password)
	}
	resp, err := p.cfg.HTTP.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return withoutURL(err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if err = errors.Join(err, resp.Body.Close()); resp.StatusCode/100 == 2 {
		return nil // it has it, whatever became of its answer
	}
	return errors.Join(verdict(resp), err)
}

// verdict says what an answer that is no success means.
func verdict(resp *http.Response) error {
	switch c := resp.StatusCode; {
	case c == http.StatusRequestTimeout, c == http.StatusTooManyRequests, c == http.StatusTooEarly, c >= 500:
		return errors.New(resp.Status)
	case c == http.StatusUnauthorized, c == http.StatusForbidden:
		return fmt.Errorf("%w: %s: set user and password in its URL", errFinal, resp.Status)
	case c/100 == 3:
		return fmt.Errorf("%w: %s: set the URL it points to", errFinal, resp.Status)
	}
	return fmt.Errorf("%w: %s", errFinal, resp.Status)
}
