package bench_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	rtspcam "github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/record"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// camera serves a synthetic camera by RTSP until the returned function is called.
func camera(t *testing.T, listen string) (address string, off func()) {
	t.Helper()
	server := rtsp.NewServer(rtsp.Config{Listen: listen})
	require.NoError(t, server.Start())
	eng := pipeline.NewEngine(pipeline.Config{})
	ch, err := eng.Add(pipeline.Define("cam", acquire.From(hal.NewRegistry(synth.Driver{}), "synth://?size=160x112&gop=5")).
		Branch("live", rtsp.Limit(), server.Mount("cam")))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	return server.Addr().String(), func() {
		require.NoError(t, server.Close(t.Context()))
		require.NoError(t, eng.Exit(t.Context()))
	}
}

// H4, P8: a camera that goes and comes back is waited for and picked up again, in a file of its
// own, however it took its leave.
func TestACameraThatRestartsIsPickedUpAgain(t *testing.T) {
	address, off := camera(t, "127.0.0.1:0")
	eng := pipeline.NewEngine(pipeline.Config{})
	ch, err := eng.Add(pipeline.Define("door", acquire.From(hal.NewRegistry(rtspcam.Driver{}), "rtsp://"+address+"/cam")).
		Branch("disk", record.Ring{}, record.To(t.TempDir(), record.Config{})))
	require.NoError(t, err)
	require.NoError(t, ch.Start())
	reaches := func(s pipeline.State) {
		t.Helper()
		require.Eventually(t, func() bool { return ch.State() == s }, time.Minute, 10*time.Millisecond, "%s", s)
	}
	for range 2 {
		reaches(pipeline.Running)
		off()
		reaches(pipeline.Waiting)
		require.NotEmpty(t, ch.Status().Sources[0].Cause)
		_, off = camera(t, address)
	}
	reaches(pipeline.Running)
	require.NoError(t, eng.Exit(t.Context()))
	off()
	require.EqualValues(t, 3, ch.Status().Run)
}
