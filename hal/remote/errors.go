package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-video/millrace/hal"
)

// SessionError is why a session could not be opened or ended. Its text never holds the password;
// what is to be done says Decision.
type SessionError struct {
	Text     string
	Decision error // one of hal's
	Cause    error
}

func (e *SessionError) Error() string { return e.Text }

// Unwrap gives the decision and the cause to errors.Is and errors.As; but a connection that was
// closed is not io.EOF, which is the clean end of a source.
func (e *SessionError) Unwrap() []error {
	if e.Cause == nil || errors.Is(e.Cause, io.EOF) {
		return []error{e.Decision}
	}
	return []error{e.Decision, e.Cause}
}

// Judge says what an error of a connection means to a user, and what to do: one of hal's errors.
// text is the error's, without passwords.
func Judge(err error, text string) (explained string, decision error) {
	var op *net.OpError
	switch {
	case errors.Is(err, hal.ErrUnsupported):
		return text, hal.ErrUnsupported
	case errors.As(err, &op) && op.Op == "dial":
		return text + "; is the camera on, and are address and port right?", hal.ErrNoDevice
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time (" + text + ")", hal.ErrNoSignal
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed (" + text + ")", hal.ErrNoSignal
	}
	return text, hal.ErrNoSignal
}

// Printable bounds a text and takes out what would garble a log.
func Printable(text string) string {
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

// Hide takes passwords out of a text: this one, which may be empty, and any in a URL.
func Hide(text, password string) string {
	if len(password) > 0 {
		text = strings.ReplaceAll(text, ":"+password+"@", ":xxxxx@")
	}
	if len(password) > 3 { // shorter ones would garble the text; they stand in no message alone
		text = strings.ReplaceAll(text, password, "xxxxx")
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
