package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/hal/soft"
)

// U1, A3: who wants pictures of cameras that nothing here decodes is told what to install.
func TestWhatCannotBeDecodedIsSaidBeforehand(t *testing.T) {
	require.NoError(t, app.Undecoded(t.Context(), app.Decoders()))
	err := app.Undecoded(t.Context(), soft.Driver{FFmpeg: "/nowhere/ffmpeg"})
	require.ErrorContains(t, err, "pictures of h265 cameras: no such device: ffmpeg: install Debian's ffmpeg")
	require.NotContains(t, err.Error(), "h264", "openh264 does that")
	err = app.Undecoded(t.Context(), soft.Driver{OpenH264: []string{"libnothere.so"}, FFmpeg: "/nowhere/ffmpeg"})
	require.ErrorContains(t, err, "pictures of h264 cameras: no such device: openh264: install Debian's libopenh264-7")
}
