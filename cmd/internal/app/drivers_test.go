package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/app"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/hal/synth"
)

// shelf is a driver with these devices.
type shelf struct {
	synth.Driver
	devices []hal.Device
}

func (shelf) Name() string         { return "shelf" }
func (shelf) Schemes() []string    { return []string{"shelf"} }
func (shelf) Check(*url.URL) error { return nil }
func (s shelf) Devices(context.Context) ([]hal.Device, error) {
	return s.devices, errors.New("one is dark")
}

// A2: run without a configuration takes the synthetic camera and every other one.
func TestDiscoverNamesEveryCameraByWhatItCallsItself(t *testing.T) { // H1, H2
	camera := func(name, bus, node string) hal.Device {
		return hal.Device{URL: "shelf://" + node, Driver: "shelf", Name: name, Bus: bus, Node: node}
	}
	for _, tc := range []struct {
		devices []hal.Device
		want    string
	}{
		{nil, ""},
		{[]hal.Device{camera("HD Pro Webcam C920", "usb-1", "/dev/video4")}, "hd-pro-webcam-c920"},
		{[]hal.Device{camera("Cam", "usb-1", "/dev/video0"), camera("Cam", "usb-2.1", "/dev/video2")}, "cam-usb-1 cam-usb-2-1"},
		{[]hal.Device{camera("Cam", "usb-1", "/dev/video0"), camera("Cam", "usb-1", "/dev/video1")}, "cam-usb-1 cam-usb-1-2"},
		{[]hal.Device{camera("Cam", "", "/dev/video0"), camera("cam.", "", "/dev/video1")}, "cam cam-2"},
		{[]hal.Device{camera("\x1b[31m摄像头", "usb-1", "/dev/video0")}, "31m"},
		{[]hal.Device{camera("摄像头", "usb-1", "/dev/video0")}, "shelf"},
		{[]hal.Device{camera(strings.Repeat("long ", 90), "usb-1", "/dev/video0")}, "long-long-long-long-long-long-long-long-long-lon"},
	} {
		found, err := app.Discover(t.Context(), hal.NewRegistry(shelf{devices: tc.devices}, synth.Driver{}))
		require.ErrorContains(t, err, "driver shelf: one is dark", "what one driver cannot list hides no camera")
		var names []string
		for _, ch := range found {
			names = append(names, ch.Name)
		}
		require.Equal(t, strings.TrimSpace(tc.want+" synth"), strings.Join(names, " "))
	}
}

// H2, A3: what the program was built without is told to whoever asks for it.
func TestTheKernelsCamerasAreInOrSaidToBeMissing(t *testing.T) {
	err := app.CheckSource(app.Drivers())("v4l2:///dev/video0?format=yuyv", "")
	if len(app.Missing()) == 0 {
		require.NoError(t, err)
	} else {
		require.ErrorContains(t, err, "V4L2 is not built in")
		require.Contains(t, app.Missing()[0], "V4L2 is not built in")
	}
	require.ErrorContains(t, app.CheckSource(app.Drivers())("v4l2:///dev/video0?size=big", ""), "WIDTHxHEIGHT")
	require.ErrorContains(t, app.CheckSource(app.Drivers())("v4l2:///dev/video0", "udp"), "transport goes with rtsp")
}

func TestFLVIsTakenOverHTTPAndNothingElse(t *testing.T) { // H1, H6, A3
	check := app.CheckSource(app.Drivers())
	require.NoError(t, check("https://viewer:hunter2@10.0.0.9/live/cam.flv?token=x&tls=insecure", ""))
	require.ErrorContains(t, check("http://viewer:hunter2@10.0.0.9/live/cam.m3u8", ""),
		`source "http://viewer:xxxxx@10.0.0.9/live/cam.m3u8": its path does not end in .flv, and over HTTP only FLV is taken`)
	require.ErrorContains(t, check("http://10.0.0.9/live/cam.flv", "udp"), "transport goes with rtsp:// and rtsps:// sources, not with http")
}

func TestATraceIsPlayedAsACamera(t *testing.T) { // H2
	file, err := filepath.Abs("testdata/yuyv.trace")
	require.NoError(t, err)
	src, err := app.Drivers().Open(t.Context(), "v4l2+trace://"+file+"?loop=1&format=yuyv", hal.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, src.Close()) }()
	require.Equal(t, "raw yuyv 64x32", src.Stream().Tracks[0].String())
	for range 30 { // more than the trace has
		f, err := src.Read(t.Context())
		require.NoError(t, err)
		f.Release()
	}
	for url, want := range map[string]string{
		"v4l2+trace://" + file + "?loop=yes":   "loop=0 or loop=1",
		"v4l2+trace://" + file + "?size=wide":  "WIDTHxHEIGHT",
		"v4l2+trace://host/x":                  "no file is named",
		"v4l2+trace:x":                         "no file is named",
		"v4l2+trace://":                        "no file is named",
		"v4l2+trace:///nowhere/x":              "no such file",
		"v4l2+trace://" + file + "?nonsense=1": `unknown parameter "nonsense"`,
	} {
		_, err := app.Drivers().Open(t.Context(), url, hal.Options{})
		require.ErrorContains(t, err, want, url)
	}
	_, err = app.Drivers().Open(t.Context(), "v4l2+trace:///etc/passwd", hal.Options{})
	require.ErrorContains(t, err, "not a trace of a camera")
	require.ErrorIs(t, err, hal.ErrUnsupported)
}

// H3: the configuration has the last word on which encoder is taken.
func TestTheConfigurationOverridesAnEncodersRank(t *testing.T) {
	byRank, err := app.Drivers().Encoders(t.Context(), hal.MJPEG)
	require.NoError(t, err)
	if len(byRank) < 2 {
		t.Fatal("a second JPEG encoder is missing: apt-get install libturbojpeg0 (make test does)")
	}
	for _, tc := range []struct{ prefer, want string }{
		{"[]", byRank[0].Name},
		{byRank[len(byRank)-1].Name, byRank[len(byRank)-1].Name},
		{"[nobody, " + byRank[len(byRank)-1].Name + "]", byRank[len(byRank)-1].Name},
	} {
		cfg, err := config.Parse("m.yml", []byte(`
rtsp: {enabled: false}
channels:
  - {name: gate, source: "synth://?codec=raw&rate=50", encode: {codec: mjpeg, prefer: `+tc.prefer+`}}`), app.ConfigEnv(app.Drivers()))
		require.NoError(t, err)
		cfg.Data, cfg.Listen = t.TempDir(), "127.0.0.1:0"
		ctx, cancel := context.WithCancel(t.Context())
		a := app.New(cfg, app.Drivers(), slog.New(slog.DiscardHandler))
		require.NoError(t, a.Run(ctx, func(s app.Summary) {
			defer cancel()
			require.Eventually(t, func() bool { return encoderInUse(t, s.API) != "" }, time.Minute, 20*time.Millisecond)
			require.Equal(t, tc.want, encoderInUse(t, s.API), tc.prefer)
		}))
		cancel()
	}
}

func encoderInUse(t *testing.T, api string) string {
	t.Helper()
	var status struct {
		Stages []struct {
			Stats struct{ Encoder string } `json:"stats"`
		} `json:"stages"`
	}
	require.NoError(t, json.Unmarshal([]byte(get(t, api+"/v1/channels/gate")), &status))
	for _, s := range status.Stages {
		if s.Stats.Encoder != "" {
			return s.Stats.Encoder
		}
	}
	return ""
}

// H2: a channel learns of a camera that is plugged in; it is not left to look every so often.
func TestAWaitingChannelIsToldThatItsCameraHasCome(t *testing.T) {
	awaited := make(chan struct{}, 1)
	reg := hal.NewRegistry(plugged{awaited: awaited}, soft.Driver{})
	cfg := configuration(t, config.DefaultChannel("gate", config.FromURL("plugged://")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a := app.New(cfg, reg, slog.New(slog.DiscardHandler))
	require.NoError(t, a.Run(ctx, func(app.Summary) {
		defer cancel()
		select {
		case <-awaited:
		case <-ctx.Done():
			t.Error("nobody waited for the camera")
		}
	}))
}

// plugged is a camera that is not there.
type plugged struct {
	synth.Driver
	awaited chan struct{}
}

func (plugged) Name() string         { return "plugged" }
func (plugged) Schemes() []string    { return []string{"plugged"} }
func (plugged) Check(*url.URL) error { return nil }
func (plugged) Open(context.Context, *url.URL, hal.Options) (hal.Source, error) {
	return nil, hal.ErrNoDevice
}

func (p plugged) Await(ctx context.Context, _ *url.URL) error {
	select {
	case p.awaited <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return context.Cause(ctx)
}
