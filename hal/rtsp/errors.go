package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"github.com/millrace-video/millrace/hal"
)

// errClosed says that the source was closed. It is no state of the camera.
var errClosed = fmt.Errorf("the source is %w", net.ErrClosed)

// sessionError is why a session could not be opened or ended. Its text never holds the password;
// what is to be done says decision.
type sessionError struct {
	text     string
	decision error // one of hal's
	cause    error
}

func (e *sessionError) Error() string { return e.text }

// Unwrap gives the decision and the cause to errors.Is and errors.As; but a connection that was
// closed is not io.EOF, which is the clean end of a source.
func (e *sessionError) Unwrap() []error {
	if errors.Is(e.cause, io.EOF) {
		return []error{e.decision}
	}
	return []error{e.decision, e.cause}
}

// explainer makes errors of one source fit to be shown.
type explainer struct {
	name     string // the URL, its password hidden
	password string
}

// explain says what an error means for the source.
func (x explainer) explain(err error) error {
	var done *sessionError
	if err == nil || errors.As(err, &done) {
		return err
	}
	e := &sessionError{cause: err, decision: hal.ErrNoSignal}
	var op *net.OpError
	var status liberrors.ErrClientBadStatusCode
	text := x.hide(err.Error())
	switch {
	case errors.As(err, &status):
		text, e.decision = x.status(status)
	case errors.Is(err, hal.ErrUnsupported):
		e.decision = hal.ErrUnsupported
	case errors.As(err, &op) && op.Op == "dial":
		e.decision, text = hal.ErrNoDevice, text+"; is the camera on, and are address and port right?"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &liberrors.ErrClientRequestTimedOut{}), errors.As(err, &liberrors.ErrClientTCPTimeout{}),
		errors.As(err, &liberrors.ErrClientUDPTimeout{}):
		text = "no answer in time (" + text + ")"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		text = "the connection was closed (" + text + ")"
	}
	e.text = printable(text)
	return e
}

// printable bounds a text and takes out what would garble a log.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return text
}

// maxText bounds an error's text: what a camera says may be part of it.
const maxText = 600

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
func (x explainer) hide(text string) string {
	if len(x.password) > 0 {
		text = strings.ReplaceAll(text, ":"+x.password+"@", ":xxxxx@")
	}
	if len(x.password) > 3 { // shorter ones would garble the text; they stand in no message alone
		text = strings.ReplaceAll(text, x.password, "xxxxx")
	}
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(text, "://")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		out.WriteString("://")
		end := strings.IndexAny(after, "/ \"'\n")
		if end < 0 {
			end = len(after)
		}
		host := after[:end]
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			user, _, secret := strings.Cut(host[:at], ":")
			if secret {
				user += ":xxxxx"
			}
			host = user + host[at:]
		}
		out.WriteString(host)
		text = after[end:]
	}
}
