package v4l2_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

type urlCase struct {
	url   string
	want  v4l2.Target
	wrong string // what the error says
}

func urlCases() []urlCase {
	return []urlCase{
		{"v4l2:///dev/video0", v4l2.Target{Path: "/dev/video0"}, ""},
		{"v4l2:///dev/v4l/by-id/usb-Logitech_C920-video-index0", v4l2.Target{Path: "/dev/v4l/by-id/usb-Logitech_C920-video-index0"}, ""},
		{"v4l2://bus/usb-0000:00:14.0-1", v4l2.Target{Bus: "usb-0000:00:14.0-1"}, ""},
		{"v4l2://bus/platform:vivid-000?index=1", v4l2.Target{Bus: "platform:vivid-000", Index: 1}, ""},
		{"v4l2://serial/8F2A%20B", v4l2.Target{Serial: "8F2A B"}, ""},
		{
			"v4l2:///dev/video0?size=1280x720&rate=30&format=mjpeg&buffers=4&ctrl.brightness=7&ctrl.auto_exposure=Manual%20Mode",
			v4l2.Target{
				Path: "/dev/video0", Codec: hal.MJPEG, Width: 1280, Height: 720, Rate: v4l2.Rate{Frames: 30, Seconds: 1}, Buffers: 4,
				Controls: []v4l2.Setting{{Name: "brightness", Value: "7"}, {Name: "auto_exposure", Value: "Manual Mode"}},
			},
			"",
		},
		{"v4l2:///dev/video0?format=nm12&rate=29.97", v4l2.Target{Path: "/dev/video0", Codec: hal.Raw, Pixel: hal.NM12, Rate: v4l2.Rate{Frames: 30000, Seconds: 1001}}, ""},
		{"v4l2:///dev/video0?format=hevc&rate=15/2", v4l2.Target{Path: "/dev/video0", Codec: hal.H265, Rate: v4l2.Rate{Frames: 15, Seconds: 2}}, ""},
		{"v4l2:///dev/video0?rate=7.5", v4l2.Target{Path: "/dev/video0", Rate: v4l2.Rate{Frames: 7500, Seconds: 1000}}, ""},
		{"v4l2://", v4l2.Target{}, "no camera is named: write v4l2:///dev/video0"},
		{"v4l2:/", v4l2.Target{}, "no camera is named"},
		{"v4l2:video0", v4l2.Target{}, "no camera is named"},
		{"v4l2:///etc/passwd", v4l2.Target{}, "no camera is named"},
		{"v4l2:///dev/../etc/passwd", v4l2.Target{}, "no camera is named"},
		{"v4l2://host/dev/video0", v4l2.Target{}, "no camera is named"},
		{"v4l2://bus/", v4l2.Target{}, "no camera is named"},
		{"v4l2://me:secret@bus/usb-1", v4l2.Target{}, "no user or password"},
		{"v4l2:///dev/video0#x", v4l2.Target{}, "nothing follows #"},
		{"v4l2:///dev/video0?size=720p", v4l2.Target{}, "size=720p: WIDTHxHEIGHT"},
		{"v4l2:///dev/video0?size=1x99999", v4l2.Target{}, "WIDTHxHEIGHT"},
		{"v4l2:///dev/video0?rate=fast", v4l2.Target{}, "rate=fast: frames a second"},
		{"v4l2:///dev/video0?rate=NaN", v4l2.Target{}, "rate=NaN: frames a second"},
		{"v4l2:///dev/video0?rate=1/1000", v4l2.Target{}, "rate=1/1000: frames a second"},
		{"v4l2:///dev/video0?format=opus", v4l2.Target{}, "format=opus: one of h264, h265, nv12"},
		{"v4l2:///dev/video0?buffers=1", v4l2.Target{}, "buffers=1: 2 to 32"},
		{"v4l2:///dev/video0?index=1", v4l2.Target{}, "beside bus or serial"},
		{"v4l2:///dev/video0?ctrl.a=1&ctrl.a=2", v4l2.Target{}, "ctrl.a is given twice"},
		{"v4l2:///dev/video0?ctrl.=1", v4l2.Target{}, "1 to 128 characters"},
		{"v4l2:///dev/video0?%zz", v4l2.Target{}, "percent-encoded"},
		{"v4l2:///dev/video0?widht=5", v4l2.Target{}, `unknown parameter "widht": one of format, size, rate`},
	}
}

func TestAURLSaysWhichCameraAndHow(t *testing.T) {
	for _, tc := range urlCases() {
		u, err := url.Parse(tc.url)
		require.NoError(t, err)
		got, err := v4l2.Parse(u)
		if tc.wrong != "" {
			require.ErrorContains(t, err, tc.wrong, tc.url)
			require.NotContains(t, err.Error(), "secret")
			require.Error(t, v4l2.Driver{}.Check(u))
			continue
		}
		require.NoError(t, err, tc.url)
		require.Equal(t, tc.want, got, tc.url)
	}
}

func FuzzParse(f *testing.F) {
	for _, tc := range urlCases() {
		f.Add(tc.url)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		got, err := v4l2.Parse(u)
		if err != nil {
			return
		}
		require.Less(t, len(got.Path), 4097)
		require.Equal(t, 1, len(got.Path[:min(1, len(got.Path))])+len(got.Bus[:min(1, len(got.Bus))])+len(got.Serial[:min(1, len(got.Serial))]), "one camera")
		require.LessOrEqual(t, len(got.Controls), 64)
		if got.Rate.Frames != 0 {
			require.InDelta(t, 500, got.Rate.Float(), 500)
		}
	})
}
