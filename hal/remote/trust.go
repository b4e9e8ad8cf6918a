package remote

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// Trust says how a TLS connection is checked: against the system's authorities, against one of
// the user's, by fingerprint, or not at all. The zero value is the first.
type Trust struct {
	insecure bool
	ca       string // path
	sha256   string // of the certificate, hexadecimal
}

// TrustParameters are the parameters of a URL that Set takes.
func TrustParameters() []string { return []string{"tls", "tls-ca", "tls-sha256"} }

// Set takes one of TrustParameters. The error says what would be right.
func (t *Trust) Set(name, value string) error {
	switch name {
	case "tls":
		if value != "insecure" && value != "verify" {
			return fmt.Errorf("tls=%.40s: verify or insecure", value)
		}
		t.insecure = value == "insecure"
	case "tls-ca":
		t.ca = value
	case "tls-sha256":
		t.sha256 = strings.ToLower(strings.ReplaceAll(value, ":", ""))
		if raw, err := hex.DecodeString(t.sha256); err != nil || len(raw) != sha256.Size {
			return errors.New("tls-sha256: the certificate's SHA-256 fingerprint, 64 hexadecimal digits")
		}
	}
	return nil
}

// Config returns how a connection to host is checked.
func (t *Trust) Config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("tls-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls-ca: %s holds no certificate in PEM form", t.ca)
		}
	}
	if t.insecure || t.sha256 != "" {
		c.InsecureSkipVerify = true
	}
	if want := t.sha256; want != "" {
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

// Client makes a connection to host a TLS one. It takes the connection: where the handshake fails,
// or ctx ends it, that is closed, and the error says what to do.
func (t *Trust) Client(ctx context.Context, c net.Conn, host string) (*tls.Conn, error) {
	conf, err := t.Config(host)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	secure := tls.Client(c, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS: %w%s", err, hint(err)), c.Close())
	}
	return secure, nil
}

// hint says what to do about a certificate that is not trusted.
func hint(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "; trust it by tls-ca=FILE or tls-sha256=FINGERPRINT, or not check it by tls=insecure"
	}
	return ""
}
