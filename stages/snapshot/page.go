package snapshot

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Digest of RFC 2617, which cameras speak
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// page asks the camera for a picture.
func (s *Service) page(ctx context.Context, address string) (Snapshot, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Snapshot{}, errors.New("not a URL")
	}
	user := u.User
	u.User = nil
	resp, err := s.get(ctx, u, "")
	if err != nil {
		return Snapshot{}, err
	}
	if resp.StatusCode == http.StatusUnauthorized && user != nil {
		sign := authorise(resp.Header.Values("WWW-Authenticate"), user, u.RequestURI())
		if err = resp.Body.Close(); err != nil {
			return Snapshot{}, err
		}
		if resp, err = s.get(ctx, u, sign); err != nil {
			return Snapshot{}, err
		}
	}
	got, err := read(resp)
	got.Time = s.cfg.Clock.Now()
	return got, errors.Join(err, resp.Body.Close())
}

func (s *Service) get(ctx context.Context, u *url.URL, sign string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	if sign != "" {
		req.Header.Set("Authorization", sign)
	}
	resp, err := s.cfg.HTTP.Do(req)
	return resp, withoutURL(err)
}

// read takes a JPEG from an answer.
func read(resp *http.Response) (Snapshot, error) {
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return Snapshot{}, fmt.Errorf("%s: set user and password in the URL", resp.Status)
	case resp.StatusCode != http.StatusOK:
		return Snapshot{}, errors.New(resp.Status)
	}
	file, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	switch {
	case err != nil:
		return Snapshot{}, withoutURL(err)
	case len(file) > maxPage:
		return Snapshot{}, fmt.Errorf("answers more than %d bytes", maxPage)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return Snapshot{}, fmt.Errorf("answers no JPEG (%.40s): %w", resp.Header.Get("Content-Type"), err)
	}
	return Snapshot{Data: file, ContentType: jpegType, Width: c.Width, Height: c.Height, Way: Page}, nil
}

// withoutURL takes the URL, and so a token in it, out of net/http's error.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// authorise answers a challenge: Digest where it is offered (MD5, of RFC 2617), else Basic.
func authorise(challenges []string, user *url.Userinfo, uri string) string {
	password, _ := user.Password()
	for _, c := range challenges {
		kind, rest, _ := strings.Cut(c, " ")
		if strings.EqualFold(kind, "Digest") {
			if sign, ok := digest(parameters(rest), user.Username(), password, uri); ok {
				return sign
			}
		}
	}
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(user.Username(), password)
	return req.Header.Get("Authorization")
}

func digest(p map[string]string, user, password, uri string) (string, bool) {
	if a := p["algorithm"]; a != "" && !strings.EqualFold(a, "MD5") || p["nonce"] == "" {
		return "", false
	}
	const count = "00000001"
	nonce := rand.Text()
	hash := func(parts ...string) string {
		sum := md5.Sum([]byte(strings.Join(parts, ":"))) //nolint:gosec // as above
		return hex.EncodeToString(sum[:])
	}
	who, what := hash(user, p["realm"], password), hash(http.MethodGet, uri)
	answer := hash(who, p["nonce"], what)
	extra := ""
	if p["qop"] != "" {
		answer = hash(who, p["nonce"], count, nonce, "auth", what)
		extra = fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s"`, count, nonce)
	}
	if p["opaque"] != "" {
		extra += fmt.Sprintf(`, opaque="%s"`, p["opaque"])
	}
	return fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"`, user, p["realm"], p["nonce"], uri, answer) + extra, true
}

// parameters reads name=value pairs, the values in quotes or not.
func parameters(text string) map[string]string {
	p := map[string]string{}
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			break
		}
		var value string
		if quoted, found := strings.CutPrefix(rest, `"`); found {
			value, rest, _ = strings.Cut(quoted, `"`)
			_, text, _ = strings.Cut(rest, ",")
		} else {
			value, text, _ = strings.Cut(rest, ",")
		}
		p[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return p
}
