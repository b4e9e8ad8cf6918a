package rtsp

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/millrace-video/millrace/hal/remote"
)

// target is where to connect and how.
type target struct {
	url       *base.URL // as the camera is to see it
	transport string    // "tcp", "udp", "multicast"
	trust     remote.Trust
}

// parameters are the ones that belong to this driver, not to the camera.
func parameters() []string { return append(remote.TrustParameters(), "transport") }

// parseTarget takes the driver's own parameters out of a source's URL. transport is used where
// the URL names none.
func parseTarget(u *url.URL, transport string) (target, error) {
	t := target{transport: transport}
	rest, err := remote.Take(u, parameters(), func(name, value string) error {
		if name != "transport" {
			return t.trust.Set(name, value)
		}
		t.transport = value
		return nil
	})
	if err != nil {
		return t, err
	}
	return t, t.check(rest)
}

func (t *target) check(u *url.URL) error {
	switch t.transport {
	case "":
		t.transport = "tcp"
	case "tcp", "udp", "multicast":
	default:
		return fmt.Errorf("transport=%.40s: tcp, udp or multicast", t.transport)
	}
	if u.Scheme != "rtsps" && t.trust != (remote.Trust{}) {
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
