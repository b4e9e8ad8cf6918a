package rtsp_test

import (
	"testing"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/hal/rtsp"
)

// TestConformance: what hal.Source promises, on live streams of GStreamer's server.
func TestConformance(t *testing.T) {
	server := startServer(t, serverConfig{Mounts: map[string]mount{
		"/h264": {Launch: "( videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=50/1 ! " +
			"x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 threads=1 ! h264parse ! rtph264pay name=pay0 pt=96 " +
			"audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8 )"},
	}})
	cam := (&fakeCamera{sdp: sdpOf(sdpH264()), replies: map[string]reply{"PLAY": after(silence)}}).start(t)
	gone := (&fakeCamera{replies: map[string]reply{"DESCRIBE": answer("404 Not Found")}}).start(t)
	driver := rtsp.Driver{FirstWait: time.Second}
	for name, tc := range map[string]struct {
		driver    hal.SourceDriver
		transport string
	}{"tcp": {driver, "tcp"}, "tcp, watched beside many": {crowded{driver}, "tcp"}, "udp": {driver, "udp"}} {
		t.Run(name, func(t *testing.T) {
			haltest.Source(t, haltest.Config{
				Driver: tc.driver, URL: server.url("/h264") + "?transport=" + tc.transport,
				Live: true, Codec: hal.H264, Reads: 30,
				// Until each chunk of the arena was used once its frames make their slots: minutes at
				// this rate. TestNothingIsAllocated measures beyond that.
				NoAllocs:  true,
				WrongURLs: []string{"rtsp://u:secret@h/x?transport=air", "rtsps://u:secret@h/x?tls=no"},
				Faults: []haltest.Fault{
					{URL: "rtsp://u:secret@127.0.0.1:1/x", Want: hal.ErrNoDevice},
					{URL: "rtsp://u:secret@" + gone.addr + "/x", Want: hal.ErrNoDevice},
					{URL: "rtsp://u:secret@" + cam.addr + "/x", Want: hal.ErrStalled},
				},
			})
		})
	}
}
