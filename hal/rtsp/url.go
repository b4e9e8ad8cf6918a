package rtsp

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// target is where to connect and how.
type target struct {
	url       *base.URL // as the camera is to see it
	transport string    // "tcp", "udp", "multicast"
	tls       tlsOptions
}

type tlsOptions struct {
	insecure bool
	ca       string // path
	sha256   string // of the certificate, hexadecimal
}

// parameters are the ones that belong to this driver, not to the camera.
func parameters() []string { return []string{"transport", "tls", "tls-ca", "tls-sha256"} }

// parseTarget takes the driver's own parameters out of a source's URL. transport is used where
// the URL names none.
func parseTarget(u *url.URL, transport string) (target, error) {
	t := target{transport: transport}
	rest := *u
	rest.Fragment = ""
	var keep []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		if !slices.Contains(parameters(), name) {
			keep = append(keep, part)
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return t, fmt.Errorf("parameter %s: not percent-encoded as a URL wants it", name)
		}
		if err := t.set(name, value); err != nil {
			return t, err
		}
	}
	rest.RawQuery = strings.Join(keep, "&")
	return t, t.check(&rest)
}

func (t *target) set(name, value string) error {
	switch name {
	case "transport":
		t.transport = value
	case "tls":
		if value != "insecure" && value != "verify" {
			return fmt.Errorf("tls=%.40s: verify or insecure", value)
		}
		t.tls.insecure = value == "insecure"
	case "tls-ca":
		t.tls.ca = value
	case "tls-sha256":
		t.tls.sha256 = strings.ToLower(strings.ReplaceAll(value, ":", ""))
		if raw, err := hex.DecodeString(t.tls.sha256); err != nil || len(raw) != sha256.Size {
			return errors.New("tls-sha256: the certificate's SHA-256 fingerprint, 64 hexadecimal digits")
		}
	}
	return nil
}

func (t *target) check(u *url.URL) error {
	switch t.transport {
	case "":
		t.transport = "tcp"
	case "tcp", "udp", "multicast":
	default:
		return fmt.Errorf("transport=%.40s: tcp, udp or multicast", t.transport)
	}
	if u.Scheme != "rtsps" && t.tls != (tlsOptions{}) {
		return errors.New("tls parameters need rtsps://")
	}
	if u.Hostname() == "" {
		return errors.New("the camera's address is missing: rtsp://HOST/PATH")
	}
	parsed, err := base.ParseURL(u.String())
	if err != nil {
		return errors.New("not an RTSP URL: rtsp://USER:PASSWORD@HOST:PORT/PATH, special characters as %XX")
	}
	t.url = parsed
	return nil
}

func (t *target) protocol() gortsplib.Protocol {
	switch t.transport {
	case "udp":
		return gortsplib.ProtocolUDP
	case "multicast":
		return gortsplib.ProtocolUDPMulticast
	default:
		return gortsplib.ProtocolTCP
	}
}

// config returns how a TLS connection is checked: against the system's authorities, against one
// of the user's, by fingerprint, or not at all.
func (o tlsOptions) config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, fmt.Errorf("tls-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls-ca: %s holds no certificate in PEM form", o.ca)
		}
	}
	if o.insecure || o.sha256 != "" {
		c.InsecureSkipVerify = true
	}
	if want := o.sha256; want != "" {
		c.VerifyConnection = func(st tls.ConnectionState) error {
			if len(st.PeerCertificates) == 0 {
				return errors.New("the camera shows no certificate")
			}
			got := sha256.Sum256(st.PeerCertificates[0].Raw)
			if hex.EncodeToString(got[:]) != want {
				return fmt.Errorf("the camera's certificate is another one: its SHA-256 fingerprint is %x", got)
			}
			return nil
		}
	}
	return c, nil
}
