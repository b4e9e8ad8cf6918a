package flv

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/millrace-video/millrace/hal/remote"
)

// target is where to connect and how.
type target struct {
	url   *url.URL // http or https, as the server is to see it
	trust remote.Trust
}

const (
	plain, secure     = "http", "https"
	anyPath, nameEnds = "+flv", ".flv"
)

func parseTarget(u *url.URL) (target, error) {
	var t target
	rest, err := remote.Take(u, remote.TrustParameters(), t.trust.Set)
	if err != nil {
		return t, err
	}
	scheme, named := strings.CutSuffix(rest.Scheme, anyPath)
	if !named && !strings.HasSuffix(strings.ToLower(rest.Path), nameEnds) {
		return t, fmt.Errorf("its path does not end in %s, and over HTTP only FLV is taken; "+
			"where FLV has another name on this server write %s%s://", nameEnds, scheme, anyPath)
	}
	rest.Scheme = scheme
	if scheme != secure && t.trust != (remote.Trust{}) {
		return t, errors.New("tls parameters need https://")
	}
	if rest.Hostname() == "" {
		return t, fmt.Errorf("the server's address is missing: %s://HOST/PATH%s", scheme, nameEnds)
	}
	t.url = rest
	return t, nil
}

// address returns where a URL's server listens.
func address(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == secure:
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// follow returns where a redirection leads. A password goes to no other server.
func follow(from *url.URL, location string) (*url.URL, error) {
	if location == "" {
		return nil, errors.New("the server redirects without saying where")
	}
	to, err := from.Parse(location)
	switch {
	case err != nil || to.Hostname() == "" || to.Scheme != plain && to.Scheme != secure:
		return nil, fmt.Errorf("the server redirects to %.200q, which is no HTTP URL", location)
	case from.Scheme == secure && to.Scheme == plain:
		return nil, fmt.Errorf("the server redirects from https to %s: if you trust that network, put that address into the URL", show(to))
	}
	to.User = nil
	if address(to) == address(from) {
		to.User = from.User
	}
	to.Fragment = ""
	return to, nil
}

// show is a URL without what may be secret in it.
func show(u *url.URL) string {
	short := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return short.String()
}
