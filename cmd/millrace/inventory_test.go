package main_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	main "github.com/millrace-video/millrace/cmd/millrace"
	"github.com/millrace-video/millrace/hal"
)

func TestTheTableShowsBusNodeAndControls(t *testing.T) { // H2
	value := func(v int64) *int64 { return &v }
	var out bytes.Buffer
	require.NoError(t, main.PrintInventory(&out, hal.Device{
		URL: "v4l2://bus/usb-1", Driver: "v4l2", Name: "Cam\x1b[2J", Bus: "usb-1", Node: "/dev/video4",
		Formats: []hal.Format{
			{Name: "yuyv", Width: 640, Height: 480, Rates: []float64{30, 29.97, 7.5}},
			{Name: "mjpeg", Width: 1920, Height: 1080, Rates: []float64{30}},
			{Name: "yuyv", Width: 320, Height: 240, Rates: []float64{30, 29.97, 7.5}},
		},
		Controls: []hal.Control{
			{Name: "brightness", Kind: "int", Min: -64, Max: 64, Step: 2, Default: 0, Value: value(-3)},
			{Name: "power", Kind: "menu", Min: 1, Max: 3, Default: 3, Menu: []string{"50 Hz", "", "60 Hz"}, Value: value(1)},
			{Name: "auto", Kind: "bool", Max: 1, Default: 1},
			{Name: "reset", Kind: "button"},
		},
	}))
	for _, line := range []string{
		`Cam\?\[2J +v4l2 +usb-1 +/dev/video4 +v4l2://bus/usb-1`,
		`yuyv +30 29\.97 7\.5 +640x480 320x240\n`,
		`mjpeg +30 +1920x1080\n`,
		`brightness +int +0 +-3 +-64 to 64 by 2\n`,
		`power +menu +60 Hz +50 Hz +50 Hz, 60 Hz\n`,
		`auto +bool +1 +- +0 or 1\n`,
		`reset +button +- +- +-\n`,
		`none: raw cameras cannot be recorded`,
	} {
		require.Regexp(t, line, out.String())
	}
}
