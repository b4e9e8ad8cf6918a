package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config is where a bucket is and how to get in.
type Config struct {
	Endpoint string // https://HOST[:PORT], or http://; default https://s3.amazonaws.com
	Region   string // default us-east-1
	Bucket   string
	Prefix   string // before every key, with its / where it is to be a folder; default none
	Style    Style  // how the bucket stands in a URL; default: as the endpoint's host suggests
	CA       string // file of authorities (PEM) beside the system's; read again for each new connection

	Credentials Credentials

	PartSize int64         // of objects larger than one part; default 16 MiB, at least 5 MiB
	Idle     int           // connections that are kept warm; default 64
	Timeout  time.Duration // for a connection, an answer, and any pause of what is sent; default 30 s

	// Wrap goes around every request, for instance upload.Uplink's Transport; nil: nothing does.
	Wrap   func(http.RoundTripper) http.RoundTripper
	Logger *slog.Logger // default: silent
}

// Style is how a bucket stands in a URL.
type Style string

// The styles.
const (
	Auto        Style = ""
	Path        Style = "path"         // https://HOST/BUCKET/KEY
	VirtualHost Style = "virtual-host" // https://BUCKET.HOST/KEY
)

const (
	minPart     = 5 << 20
	maxPart     = 5 << 30
	defaultPart = 16 << 20
)

func (c Config) withDefaults() Config {
	if c.Endpoint == "" {
		c.Endpoint = "https://s3.amazonaws.com"
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.PartSize == 0 {
		c.PartSize = defaultPart
	}
	if c.Idle == 0 {
		c.Idle = 64
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate says what is wrong with a configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	if _, err := c.endpoint(); err != nil {
		return err
	}
	switch {
	case c.Bucket == "":
		return errors.New("no bucket is named")
	case strings.ContainsAny(c.Bucket, "/ ?#\\"):
		return fmt.Errorf("%.70q is no name of a bucket", c.Bucket)
	case strings.HasPrefix(c.Prefix, "/") || strings.Contains(c.Prefix, "//") || strings.Contains(c.Prefix, ".."):
		return fmt.Errorf("the prefix %.70q: names between single slashes, as in site-7/", c.Prefix)
	case c.PartSize < minPart || c.PartSize > maxPart:
		return fmt.Errorf("parts of %d bytes: from %d to %d", c.PartSize, minPart, int64(maxPart))
	case c.Idle < 1 || c.Timeout < time.Second:
		return errors.New("at least one connection and one second")
	case c.Style != Auto && c.Style != Path && c.Style != VirtualHost:
		return fmt.Errorf("style %.20q: %s or %s", c.Style, Path, VirtualHost)
	}
	return c.Credentials.validate()
}

// endpoint parses the endpoint. Its error does not repeat it: a password may be in it.
func (c Config) endpoint() (*url.URL, error) {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the endpoint is no URL: https://HOST[:PORT], or http:// where nobody listens")
	case u.User != nil:
		return nil, errors.New("the endpoint has a user in it: credentials say who signs in")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the endpoint has more than scheme, host and port: the bucket has a setting of its own")
	}
	return u, nil
}
