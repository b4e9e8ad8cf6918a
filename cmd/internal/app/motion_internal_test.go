package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
)

// A channel in which motion is to be looked for, and nothing decodes what its camera may send, is
// told of before it runs; cameras that send raw pictures or JPEGs need no decoder.
func TestMotionThatNothingDecodes(t *testing.T) {
	check := func(enabled bool, decoder error, sources ...string) error {
		ch := config.DefaultChannel("gate")
		for _, s := range sources {
			ch.Sources = append(ch.Sources, config.FromURL(s))
		}
		ch.Events.Motion.Enabled = enabled
		return checkMotion(config.Config{Channels: []config.Channel{ch}}, hal.ErrNoDevice, decoder)
	}
	for _, coded := range []string{"rtsp://me:secret@10.0.0.9/main", "http://10.0.0.9/cam.flv", "file:///a.mp4", "synth://", "v4l2:///dev/video0?format=H264"} {
		err := check(true, hal.ErrNoDevice, "v4l2:///dev/video0", coded)
		require.ErrorContains(t, err, "channel gate: events.motion: nothing on this machine decodes the key frames of "+hal.Redact(coded)+": install Debian's libopenh264-7")
		require.NotContains(t, err.Error(), "secret")
		require.NoError(t, check(true, nil, coded), "one decoder is enough")
		require.NoError(t, check(false, hal.ErrNoDevice, coded))
	}
	for _, plain := range []string{"v4l2:///dev/video0", "v4l2:///dev/video0?format=mjpeg", "synth://?codec=raw", "v4l2+trace:///a.trace"} {
		require.NoError(t, check(true, hal.ErrNoDevice, plain), plain)
	}
	require.NoError(t, openH264(t.Context(), soft.Driver{}))
	require.ErrorIs(t, openH264(t.Context(), soft.Driver{OpenH264: []string{"libnothere.so"}}), hal.ErrNoDevice)
}
