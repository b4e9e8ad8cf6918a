package rtsp_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

func TestMain(m *testing.M) {
	// Importing ants starts two goroutines for its default pool.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

const secret = "pa55word!"

// drip says something a byte at a time, without end.
func drip(what string) reply {
	return func(c *fakeConn, _ string) bool {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-c.done:
				return false
			case <-tick.C:
				if !c.send([]byte{what[i%len(what)]}) {
					return false
				}
			}
		}
	}
}

// flood says something as fast as it is taken.
func flood(first, what string) reply {
	return func(c *fakeConn, _ string) bool {
		block := []byte(strings.Repeat(what, 4096/len(what)+1))
		for ok := c.send([]byte(first)); ok; {
			ok = c.send(block)
		}
		return false
	}
}

func silence(c *fakeConn, _ string) bool {
	_, _ = io.Copy(io.Discard, c)
	return false
}

func hangUp(*fakeConn, string) bool { return false }

// after answers PLAY and then does something.
func after(then reply) reply {
	return func(c *fakeConn, cseq string) bool {
		answer("200 OK", "Session: 1234")(c, cseq)
		return then(c, cseq)
	}
}

func raw(text string, goOn bool) reply {
	return func(c *fakeConn, cseq string) bool {
		c.say("%s", strings.ReplaceAll(text, "CSEQ", cseq))
		return goOn
	}
}

// hostile are answers that are broken or meant ill.
func hostile() []struct {
	name    string
	sdp     string
	replies map[string]reply
	want    error  // what decides, nil where any may
	says    string // a part of the error
} {
	on := func(method string, r reply) map[string]reply { return map[string]reply{method: r} }
	good := sdpOf(sdpH264())
	return []struct {
		name    string
		sdp     string
		replies map[string]reply
		want    error
		says    string
	}{
		{"garbage", good, on("OPTIONS", flood("", "\x00\x01\xfe")), hal.ErrNoSignal, "not RTSP"},
		{"a header line without end", good, on("OPTIONS", flood("RTSP/1.0 200 OK\r\nX: ", "a")), hal.ErrNoSignal, "not RTSP"},
		{"header lines without end", good, on("OPTIONS", flood("RTSP/1.0 200 OK\r\n", "X: y\r\n")), hal.ErrNoSignal, "not RTSP"},
		{"a header that drips", good, on("OPTIONS", drip("RTSP/1.0 200 OK ")), hal.ErrNoSignal, ""},
		{"a huge Content-Length", good, on("DESCRIBE", answer("200 OK", "Content-Length: 4000000000", "Content-Type: application/sdp")), hal.ErrNoSignal, "body"},
		{"a Content-Length that is none", good, on("DESCRIBE", answer("200 OK", "Content-Length: -7")), hal.ErrNoSignal, "Content-Length"},
		{"a body that never comes", good, on("DESCRIBE", answer("200 OK", "Content-Length: 500", "Content-Type: application/sdp")), hal.ErrNoSignal, ""},
		{"HTTP", good, on("OPTIONS", raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false)), hal.ErrNoSignal, ""},
		{"status 500", good, on("DESCRIBE", answer("500 Internal Server Error")), hal.ErrNoSignal, "500"},
		{"status 404", good, on("DESCRIBE", answer("404 Not Found")), hal.ErrNoDevice, "path"},
		{"a status that is no number", good, on("DESCRIBE", answer("OK OK")), hal.ErrNoSignal, ""},
		{"no description", good, on("DESCRIBE", answer("200 OK")), hal.ErrNoSignal, ""},
		{"a web page for a description", good, on("DESCRIBE", describe("text/html", "<html>")), hal.ErrNoSignal, "text/html"},
		{"a description of noise", "\x00\xff=\r\n\r\nm=m=m=", nil, hal.ErrNoSignal, "SDP"},
		{"hostile values in the description", sdpOf("m=video 99999999999 RTP/AVP 999 -1\r\na=rtpmap:999 H264/0\r\n"), nil, hal.ErrNoSignal, ""},
		{"a clock of zero", sdpOf("m=audio 0 RTP/AVP 101\r\na=rtpmap:101 L16/0/0\r\n"), nil, nil, ""},
		{"a thousand tracks", sdpOf(slicesOf(1000, "m=application 0 RTP/AVP 107\r\na=rtpmap:107 x/90000\r\n")...), nil, hal.ErrUnsupported, ""},
		{"no track", sdpOf(), nil, nil, ""},
		{"codecs nobody knows", sdpOf("m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"), nil, hal.ErrUnsupported, "VP8"},
		{"401 for ever, Digest", good, on("DESCRIBE", answer("401 Unauthorized", `WWW-Authenticate: Digest realm="r", nonce="n"`)), hal.ErrUnsupported, "wrong user or password"},
		{"401 for ever, Basic", good, on("DESCRIBE", answer("401 Unauthorized", `WWW-Authenticate: Basic realm="r"`)), hal.ErrUnsupported, "wrong user or password"},
		{"401 that asks for nothing", good, on("DESCRIBE", answer("401 Unauthorized")), nil, ""},
		{"redirects in a circle", good, on("DESCRIBE", func(c *fakeConn, cseq string) bool {
			return answer("302 Found", "Location: rtsp://"+c.cam.addr+"/again")(c, cseq)
		}), nil, "redirects in a circle"},
		{"a redirect to another host", good, on("DESCRIBE", answer("301 Moved", "Location: rtsp://localhost:1/there")), nil, "redirects to"},
		{"a redirect to nonsense", good, on("DESCRIBE", answer("301 Moved", "Location: rtsp://user:"+secret+"@[::%%/")), nil, ""},
		{"closed at once", good, on("OPTIONS", hangUp), hal.ErrNoSignal, "closed"},
		{"closed within a header", good, on("DESCRIBE", raw("RTSP/1.0 200 OK\r\nCSeq: CSEQ\r\nContent-Ty", false)), hal.ErrNoSignal, "closed"},
		{"no answer", good, on("OPTIONS", silence), hal.ErrNoSignal, "no answer in time"},
		{"the wrong CSeq", good, on("DESCRIBE", raw("RTSP/1.0 200 OK\r\nCSeq: 99\r\n\r\n", true)), hal.ErrNoSignal, "no answer in time"},
		{"media before SETUP", good, on("OPTIONS", raw("$\x00\x00\x04abcd", true)), hal.ErrNoSignal, ""},
		{"a transport that was not asked for", good, on("SETUP", answer("200 OK", "Transport: RTP/AVP;unicast;client_port=5000-5001", "Session: 1")), hal.ErrNoSignal, "UDP"},
		{"no transport", good, on("SETUP", answer("200 OK", "Session: 1")), hal.ErrNoSignal, "transport"},
		{"a channel that is none", good, on("SETUP", answer("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=300-301", "Session: 1")), hal.ErrNoSignal, "channel"},
		{"one channel for two tracks", sdpOf(sdpH264(), sdpAAC), on("SETUP", answer("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1")), hal.ErrNoSignal, ""},
		{"status 461", good, on("SETUP", answer("461 Unsupported Transport")), hal.ErrUnsupported, "transport=tcp"},
		{"a session that makes no sense", good, on("SETUP", answer("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1;timeout=99999999999999999999")), nil, ""},
		{"PLAY refused", good, on("PLAY", answer("455 Method Not Valid In This State")), hal.ErrNoSignal, "455"},
		{"closed after PLAY", good, on("PLAY", after(hangUp)), hal.ErrNoSignal, "closed"},
		{"garbage after PLAY", good, on("PLAY", after(flood("", "\x00\x02\xfd"))), hal.ErrNoSignal, "not RTSP"},
		{"a line without end after PLAY", good, on("PLAY", after(flood("RTSP/1.0 200 ", "x"))), hal.ErrNoSignal, "not RTSP"},
		{"RTSP answers without end", good, on("PLAY", after(flood("", "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"))), nil, ""},
		{"RTP that is none", good, on("PLAY", after(flood("", string(interleave(0, []byte("not RTP at all")))))), hal.ErrStalled, ""},
		{"requests of a server", good, on("PLAY", after(raw("TEARDOWN rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n", true))), hal.ErrNoSignal, ""},
		{"silence after PLAY", good, on("PLAY", after(silence)), hal.ErrStalled, "no packet"},
		{"parameter sets that never come", sdpOf(sdpH265), on("PLAY", after(silence)), hal.ErrNoSignal, "parameter sets"},
	}
}

func slicesOf(n int, s string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// TestHostileAnswers: A3, issue: broken and hostile answers. A clear error each, no panic, no hang,
// no password in the error or the log, and (by TestMain) no goroutine left.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range hostile() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cam := (&fakeCamera{sdp: tc.sdp, replies: tc.replies}).start(t)
			var log bytes.Buffer
			opts := hal.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			u := &url.URL{Scheme: "rtsp", User: url.UserPassword("viewer", secret), Host: cam.addr, Path: "/stream"}
			reg := hal.NewRegistry(rtsp.Driver{Timeout: time.Second, FirstWait: 700 * time.Millisecond})
			src, err := reg.Open(ctx, u.String(), opts)
			if err == nil {
				var f hal.Frame
				f, err = src.Read(ctx)
				f.Release()
				require.NoError(t, src.Close())
			}
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF, "a camera that breaks off has not ended")
			require.NoError(t, ctx.Err(), "it hung")
			t.Log(err)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
			require.Contains(t, err.Error(), tc.says)
			require.Contains(t, err.Error(), cam.addr, "it says where")
			for _, s := range []string{err.Error(), log.String()} {
				require.NotContains(t, s, secret)
				require.NotContains(t, s, url.QueryEscape(secret))
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	cam := (&fakeCamera{}).start(t)
	for _, address := range []string{"127.0.0.1:1", "name.invalid"} {
		_, err := hal.NewRegistry(rtsp.Driver{}).Open(t.Context(), "rtsp://u:"+secret+"@"+address+"/x", hal.Options{})
		require.ErrorIs(t, err, hal.ErrNoDevice)
		require.NotContains(t, err.Error(), secret)
	}
	require.Zero(t, cam.conns.Load())
}
