package rtsp_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

// playing returns a camera that sends what it is given on cue once PLAY was answered.
func playing(t testing.TB, sdp string, cue <-chan []byte) *fakeCamera {
	t.Helper()
	return (&fakeCamera{sdp: sdp, replies: map[string]reply{
		"PLAY": after(func(c *fakeConn, _ string) bool {
			go func() { // requests are answered meanwhile
				for {
					select {
					case b, ok := <-cue:
						if !ok || !c.send(b) {
							_ = c.Close()
							return
						}
					case <-c.done:
						return
					}
				}
			}()
			return true
		}),
	}}).start(t)
}

func open(t testing.TB, d rtsp.Driver, address string) *rtsp.Source {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	src, err := d.Open(t.Context(), u, hal.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	s, ok := src.(*rtsp.Source)
	require.True(t, ok)
	return s
}

func TestRead(t *testing.T) {
	t.Parallel()
	idr := fill(3000, 0x65, 0x88)
	t.Run("gives up when its context is done, and goes on with the next", func(t *testing.T) {
		t.Parallel()
		cue := make(chan []byte, 10)
		s := open(t, rtsp.Driver{}, "rtsp://"+playing(t, sdpOf(sdpH264()), cue).addr+"/x")
		for range 3 {
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("enough")
			context.AfterFunc(t.Context(), func() { cancel(nil) })
			time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
			_, err := s.Read(ctx)
			require.ErrorIs(t, err, stop)
		}
		cue <- interleave(0, newCamera(t).shoot(idr)...)
		f, err := s.Read(t.Context())
		require.NoError(t, err)
		require.True(t, f.Key)
		f.Release()
	})
	t.Run("ends when the source is closed; frames on loan stay", func(t *testing.T) {
		t.Parallel()
		cue := make(chan []byte, 10)
		cam := playing(t, sdpOf(sdpH264()), cue)
		src, err := rtsp.Driver{}.Open(t.Context(), &url.URL{Scheme: "rtsp", Host: cam.addr, Path: "/x"}, hal.Options{})
		require.NoError(t, err)
		cue <- interleave(0, newCamera(t).shoot(idr)...)
		f, err := src.Read(t.Context())
		require.NoError(t, err)
		time.AfterFunc(20*time.Millisecond, func() { _ = src.Close() })
		_, err = src.Read(t.Context())
		require.ErrorContains(t, err, "closed")
		require.NoError(t, src.Close(), "a second call is harmless")
		require.Equal(t, avc(idr), f.Buf.Bytes())
		f.Release()
	})
	t.Run("says when nothing comes any more, after what had come", func(t *testing.T) {
		t.Parallel()
		cue := make(chan []byte, 10)
		s := open(t, rtsp.Driver{FirstWait: time.Second}, "rtsp://"+playing(t, sdpOf(sdpH264()), cue).addr+"/x")
		cue <- interleave(0, newCamera(t).shoot(idr)...)
		f, err := s.Read(t.Context())
		require.NoError(t, err)
		f.Release()
		_, err = s.Read(t.Context())
		require.ErrorIs(t, err, hal.ErrStalled)
	})
	t.Run("reads what stays below the mark, urgent or not", func(t *testing.T) {
		t.Parallel()
		cue := make(chan []byte, 10)
		s := open(t, rtsp.Driver{}, "rtsp://"+playing(t, sdpOf(sdpH264()), cue).addr+"/x")
		c := newCamera(t)
		for _, urgent := range []bool{false, true, false} {
			s.SetUrgent(urgent)
			for i := range 25 { // a large rate, then a single small picture
				unit := fill(20000, 0x65, 0x88)
				if i == 24 {
					unit = fill(20, 0x65, 0x88)
				}
				sent := time.Now()
				cue <- interleave(0, c.shoot(unit)...)
				f, err := s.Read(t.Context())
				require.NoError(t, err)
				f.Release()
				require.Less(t, time.Since(sent), 2*time.Second)
			}
		}
	})
	t.Run("media before the answer to PLAY is not lost", func(t *testing.T) {
		t.Parallel()
		c := newCamera(t)
		cam := (&fakeCamera{sdp: sdpOf(sdpH264()), replies: map[string]reply{
			"PLAY": func(fc *fakeConn, cseq string) bool {
				ok := fc.send(interleave(0, c.shoot(idr)...), interleave(0, c.shoot(idr)...))
				return ok && answer("200 OK", "Session: 1234")(fc, cseq) && fc.send(interleave(0, c.shoot(idr)...))
			},
		}}).start(t)
		s := open(t, rtsp.Driver{}, "rtsp://"+cam.addr+"/x")
		for i := range 3 {
			f, err := s.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, time.Duration(i)*40*time.Millisecond, f.Stamp.DTS)
			f.Release()
		}
		require.Zero(t, s.SourceStats().Lost)
	})
}

func TestParameterSetsInBand(t *testing.T) {
	t.Parallel()
	cue := make(chan []byte, 10)
	cam := playing(t, sdpOf("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n", sdpPCMU), cue)
	c := newCamera(t)
	cue <- interleave(0, c.shoot(fill(100, 0x41, 0x9a))...)
	cue <- interleave(0, c.shoot(b64(t, sps264), b64(t, pps264), fill(100, 0x65, 0x88))...)
	s := open(t, rtsp.Driver{}, "rtsp://"+cam.addr+"/x")
	require.Equal(t, b64(t, sps264), s.Stream().Tracks[0].SPS)
	require.Equal(t, 320, s.Stream().Tracks[0].Width)
	f, err := s.Read(t.Context())
	require.NoError(t, err)
	require.Same(t, s.Stream(), f.Stream)
	require.True(t, f.Key)
	f.Release()
}

func TestOwnParametersDoNotReachTheCamera(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	cam := (&fakeCamera{replies: map[string]reply{"DESCRIBE": func(c *fakeConn, cseq string) bool {
		seen <- c.reqs[len(c.reqs)-1]
		return answer("404 Not Found")(c, cseq)
	}}}).start(t)
	u := "rtsp://" + cam.addr + "/x?channel=1&transport=tcp&%74ransport=mine&q=a%20b"
	_, err := hal.NewRegistry(rtsp.Driver{}).Open(t.Context(), u, hal.Options{})
	require.ErrorIs(t, err, hal.ErrNoDevice)
	line, _, _ := strings.Cut(<-seen, "\r\n")
	require.Equal(t, "DESCRIBE rtsp://"+cam.addr+"/x?channel=1&%74ransport=mine&q=a%20b RTSP/1.0", line)
}

func TestCheck(t *testing.T) {
	for _, tc := range []struct{ url, says string }{
		{"rtsp://h/x", ""},
		{"rtsps://u:p@h:322/x?tls=insecure&transport=udp", ""},
		{"rtsp:///x", "address is missing"},
		{"rtsp://h/x?transport=pigeon", "tcp, udp or multicast"},
		{"rtsp://h/x?tls=insecure", "rtsps://"},
		{"rtsps://h/x?tls=maybe", "verify or insecure"},
		{"rtsps://h/x?tls-sha256=12", "64 hexadecimal digits"},
	} {
		u, err := url.Parse(tc.url)
		require.NoError(t, err)
		if err = (rtsp.Driver{}).Check(u); tc.says == "" {
			require.NoError(t, err, tc.url)
		} else {
			require.ErrorContains(t, err, tc.says)
		}
	}
}

// TestTrust: H4, TLS, Basic and Digest against GStreamer's server.
func TestTrust(t *testing.T) {
	t.Parallel()
	pem, der := certificate(t)
	live := map[string]mount{"/live": {Launch: "( videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=10/1 ! " +
		"jpegenc ! rtpjpegpay name=pay0 pt=26 )"}}
	digest := startServer(t, serverConfig{Mounts: live, TLS: pem, User: "viewer", Password: secret})
	basic := startServer(t, serverConfig{Mounts: live, User: "viewer", Password: secret, Auth: "basic"})
	at := func(s *gstServer, scheme, user, query string) string {
		return scheme + "://" + user + "@127.0.0.1:" + s.port + "/live" + query
	}
	good := "viewer:" + url.QueryEscape(secret)
	for _, tc := range []struct {
		name, url string
		says      string
	}{
		{"Basic", at(basic, "rtsp", good, ""), ""},
		{"Digest, the authority is named", at(digest, "rtsps", good, "?tls-ca="+url.QueryEscape(pem)), ""},
		{"Digest, the certificate is named", at(digest, "rtsps", good, fmt.Sprintf("?tls-sha256=%x", sha256.Sum256(der))), ""},
		{"Digest, any certificate", at(digest, "rtsps", good, "?tls=insecure"), ""},
		{"a certificate of nobody's", at(digest, "rtsps", good, ""), "tls-sha256=FINGERPRINT"},
		{"another certificate", at(digest, "rtsps", good, "?tls-sha256="+strings.Repeat("ab", 32)), "fingerprint is"},
		{"wrong password, Basic", at(basic, "rtsp", "viewer:wrong", ""), "wrong user or password for rtsp://viewer:xxxxx@"},
		{"wrong password, Digest", at(digest, "rtsps", "viewer:wrong", "?tls=insecure"), "wrong user or password for rtsps://viewer:xxxxx@"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			src, err := hal.NewRegistry(rtsp.Driver{}).Open(t.Context(), tc.url, hal.Options{})
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				require.NotContains(t, err.Error(), secret)
				return
			}
			require.NoError(t, err)
			f, err := src.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, []byte{0xff, 0xd8}, f.Buf.Bytes()[:2])
			f.Release()
			require.NoError(t, src.Close())
		})
	}
}

func TestKeyFrameIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, understands := range []bool{true, false} {
		cue, asked := make(chan []byte, 10), make(chan []byte, 10)
		sdp := sdpH264()
		if understands {
			sdp += "a=rtcp-fb:96 nack pli\r\n"
		}
		cam := playing(t, sdpOf(sdp), cue)
		cam.onRTCP = func(_ byte, p []byte) { asked <- p }
		s := open(t, rtsp.Driver{}, "rtsp://"+cam.addr+"/x")
		cue <- interleave(0, newCamera(t).shoot(fill(100, 0x65, 0x88))...)
		f, err := s.Read(t.Context())
		require.NoError(t, err)
		f.Release()
		s.RequestKeyFrame()
		s.RequestKeyFrame() // so soon after the first it is not sent
		if understands {
			p := <-asked
			require.Equal(t, []byte{0x81, 206}, p[:2], "a picture loss indication")
		}
		require.NoError(t, s.Close())
		require.Empty(t, asked)
	}
}

// TestNoSenderReports: media alone keeps the session alive, beyond gortsplib's 20 s.
func TestNoSenderReports(t *testing.T) {
	if os.Getenv("MILLRACE_TORTURE") == "" {
		return
	}
	t.Parallel()
	cue := make(chan []byte)
	s := open(t, rtsp.Driver{}, "rtsp://"+playing(t, sdpOf(sdpH264()), cue).addr+"/x")
	c := newCamera(t)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 300 {
			<-tick.C
			cue <- interleave(0, c.shoot(fill(100, 0x65, 0x88))...)
		}
	}()
	for range 300 {
		f, err := s.Read(t.Context())
		require.NoError(t, err)
		f.Release()
	}
}

// TestKeepAlive: gortsplib keeps the session alive while the socket is ours, and its answers,
// smaller than any mark, are handed on.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	cue, kept := make(chan []byte), make(chan struct{}, 100)
	cam := playing(t, sdpOf(sdpH264()), cue)
	cam.replies["SETUP"] = answer("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1;timeout=2")
	cam.replies["OPTIONS"] = func(c *fakeConn, cseq string) bool {
		kept <- struct{}{}
		return proper("OPTIONS", "")(c, cseq)
	}
	s := open(t, rtsp.Driver{}, "rtsp://"+cam.addr+"/x")
	ctx, cancel := context.WithCancel(t.Context())
	c := newCamera(t)
	go func() {
		defer cancel()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for heard := 0; heard < 4; {
			select {
			case <-kept:
				heard++
			case <-tick.C:
				cue <- interleave(0, c.shoot(fill(5000, 0x65, 0x88))...)
			}
		}
	}()
	for {
		f, err := s.Read(ctx)
		if ctx.Err() != nil {
			return
		}
		require.NoError(t, err)
		require.False(t, f.Gap)
		f.Release()
	}
}
