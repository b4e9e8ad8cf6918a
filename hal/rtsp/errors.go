package rtsp

import (
	"errors"
	"fmt"
	"net"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/remote"
)

// errClosed says that the source was closed. It is no state of the camera.
var errClosed = fmt.Errorf("the source is %w", net.ErrClosed)

// explainer makes errors of one source fit to be shown.
type explainer struct {
	name     string // the URL, its password hidden
	password string
}

// explain says what an error means for the source.
func (x explainer) explain(err error) error {
	var done *remote.SessionError
	if err == nil || errors.As(err, &done) {
		return err
	}
	e := &remote.SessionError{Cause: err}
	var status liberrors.ErrClientBadStatusCode
	text := x.hide(err.Error())
	switch {
	case errors.As(err, &status):
		text, e.Decision = x.status(status)
	case errors.As(err, &liberrors.ErrClientRequestTimedOut{}), errors.As(err, &liberrors.ErrClientTCPTimeout{}),
		errors.As(err, &liberrors.ErrClientUDPTimeout{}):
		text, e.Decision = "no answer in time ("+text+")", hal.ErrNoSignal
	default:
		text, e.Decision = remote.Judge(err, text)
	}
	e.Text = remote.Printable(text)
	return e
}

// because adds to an error of a connection that gortsplib closed what it closed it for.
func because(err error, client *gortsplib.Client) error {
	if !errors.Is(err, net.ErrClosed) {
		return err
	}
	cause := client.Wait()
	if cause == nil || errors.Is(cause, net.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w (%w)", cause, err)
}

// status says what an RTSP status code means.
func (x explainer) status(s liberrors.ErrClientBadStatusCode) (explained string, decision error) {
	reply := fmt.Sprintf("%d %s", s.Code, x.hide(fmt.Sprintf("%.80q", s.Message)))
	switch s.Code {
	case base.StatusUnauthorized, base.StatusForbidden:
		return "wrong user or password for " + x.name + " (" + reply + ")", hal.ErrUnsupported
	case base.StatusNotFound, base.StatusGone:
		return "the camera knows no such stream: check the URL's path (" + reply + ")", hal.ErrNoDevice
	case base.StatusUnsupportedTransport:
		return "the camera does not take this transport: try transport=tcp (" + reply + ")", hal.ErrUnsupported
	default:
		return "the camera refuses (" + reply + ")", hal.ErrNoSignal
	}
}

// hide takes passwords out of a text: this source's, and any in a URL.
func (x explainer) hide(text string) string { return remote.Hide(text, x.password) }
