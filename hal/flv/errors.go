package flv

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/remote"
)

var (
	// errClosed says that the source was closed. It is no state of the camera.
	errClosed = fmt.Errorf("the source is %w", net.ErrClosed)
	// errDone says that the answer came to the end that it had announced.
	errDone = errors.New("the server ended the stream")
	// errNotFLV is where no FLV comes.
	errNotFLV = errors.New("this is no FLV")
)

// statusError is an answer that is not 200.
type statusError struct {
	code   int
	status string
	wants  string // WWW-Authenticate
}

func (e *statusError) Error() string { return fmt.Sprintf("the server refuses (%.80q)", e.status) }

// explain says what the answer means.
func (e *statusError) explain(text string) (explained string, decision error) {
	switch e.code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		if e.wants != "" {
			text += fmt.Sprintf(", it wants %.20q", e.wants)
		}
		return "wrong user or password, or none: " + text + "; Basic is the scheme that is spoken here", hal.ErrUnsupported
	case http.StatusNotFound, http.StatusGone:
		return "there is no such stream: check the URL's path, and whether the camera publishes: " + text, hal.ErrNoDevice
	}
	return text, hal.ErrNoSignal
}

// explainer makes errors of one source fit to be shown.
type explainer struct {
	name     string // the URL without what may be secret
	password string
}

// explain says what an error means for the source.
func (x explainer) explain(err error) error {
	if _, ok := errors.AsType[*remote.SessionError](err); err == nil || ok {
		return err
	}
	e := &remote.SessionError{Cause: err}
	text := remote.Hide(err.Error(), x.password)
	if status, ok := errors.AsType[*statusError](err); ok {
		text, e.Decision = status.explain(text)
	} else if errors.Is(err, hal.ErrStalled) {
		e.Decision = hal.ErrStalled
	} else {
		text, e.Decision = remote.Judge(err, text)
	}
	e.Text = remote.Printable(x.name + ": " + text)
	return e
}
