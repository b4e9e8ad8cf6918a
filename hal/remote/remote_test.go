package remote_test

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/remote"
)

func TestHide(t *testing.T) {
	for _, tc := range [][3]string{
		{"dial rtsp://u:p@h/x failed", "", "dial rtsp://u:xxxxx@h/x failed"},
		{"at rtsp://u@h/x, then http://a:b@c", "", "at rtsp://u@h/x, then http://a:xxxxx@c"},
		{`parse "rtsp://u:a b@h"`, "a b", `parse "rtsp://u:xxxxx@h"`},
		{"the word is geheim", "geheim", "the word is xxxxx"},
	} {
		require.Equal(t, tc[2], remote.Hide(tc[0], tc[1]))
	}
}

func TestTakeLeavesTheRestAsItWasWritten(t *testing.T) {
	u, err := url.Parse("https://u:p@h/x.flv?a=%41&tls=insecure&b&tls-ca=%2Fca.pem#part")
	require.NoError(t, err)
	var got []string
	rest, err := remote.Take(u, remote.TrustParameters(), func(name, value string) error {
		got = append(got, name+"="+value)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"tls=insecure", "tls-ca=/ca.pem"}, got)
	require.Equal(t, "https://u:p@h/x.flv?a=%41&b", rest.String())
	u.RawQuery = "tls=%zz"
	_, err = remote.Take(u, remote.TrustParameters(), func(string, string) error { return nil })
	require.ErrorContains(t, err, "parameter tls: not percent-encoded")
}

func TestWrongTrustSaysWhatWouldBeRight(t *testing.T) { // A3
	var trust remote.Trust
	require.ErrorContains(t, trust.Set("tls", "no"), "verify or insecure")
	require.ErrorContains(t, trust.Set("tls-sha256", "12"), "64 hexadecimal digits")
	require.NoError(t, trust.Set("tls-sha256", strings.Repeat("AB:", 31)+"AB"))
	require.NoError(t, trust.Set("tls-ca", "/nowhere/ca.pem"))
	_, err := trust.Config("camera")
	require.ErrorContains(t, err, "/nowhere/ca.pem")
}

func TestAConnectionThatWasClosedIsNoCleanEnd(t *testing.T) {
	err := error(&remote.SessionError{Text: "closed", Decision: hal.ErrNoSignal, Cause: io.EOF})
	require.NotErrorIs(t, err, io.EOF)
	require.ErrorIs(t, err, hal.ErrNoSignal)
	cause := errors.New("reset")
	err = &remote.SessionError{Text: "reset", Decision: hal.ErrNoSignal, Cause: cause}
	require.ErrorIs(t, err, cause)
}

func TestWhatACameraSaysGarblesNoLog(t *testing.T) {
	require.Equal(t, "a?b?c", remote.Printable("a\x1bb\xffc"))
	require.Less(t, len(remote.Printable(strings.Repeat("x", 1<<20))), 1000)
}
