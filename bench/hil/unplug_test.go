//go:build hil

package hil_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// H2: a camera whose node goes ends in ErrNoDevice; what is held of it stays valid; what comes
// back opens.
func TestACameraWhoseNodeGoes(t *testing.T) {
	dev, _ := cameras(t)
	nothingLeft(t)
	url := camera(dev, "&format=yuyv")
	src := open(t, url)
	const driver = "/sys/bus/platform/drivers/vivid/"
	look(t, src, func(held hal.Frame) {
		require.NoError(t, os.WriteFile(driver+"unbind", []byte("vivid.0"), 0))
		require.ErrorIs(t, drained(t, src), hal.ErrNoDevice)
		until(t, dev+" gone", func() bool { _, err := os.Stat(dev); return err != nil })
		_, err := tryOpen(t, url)
		require.ErrorIs(t, err, hal.ErrNoDevice)
		requireBars(t, held)
	})
	require.NoError(t, src.Close())
	require.NoError(t, os.WriteFile(driver+"bind", []byte("vivid.0"), 0))
	skip(t, open(t, camera(node(t, "vivid-000-vid-cap"), "&format=yuyv")), 5)
}

// H2, H5: a USB camera is unplugged while it is recorded, and comes back under other numbers, 20
// times. With the channel's own settings it is on the fallback within 3 s and on the camera within
// 5 s of its return each time; the recording has one break each, every loss says why, and nothing
// is left over.
func TestAUSBCameraUnpluggedWhileRecorded(t *testing.T) {
	const cycles = 20
	load(t, "vhci-hcd")
	load(t, "uvcvideo")
	nothingLeft(t)
	cam := usbCameraOf(t, usbH264(hil.Width, hil.Height, hil.Rate), "hil-1")
	url := "v4l2://serial/hil-1?format=h264"
	f := newFilm(t, hal.NewRegistry(v4l2.New(), rtsp.Driver{}), url, fallback(t))
	f.switches(t, f.start, fallback(t), 5)
	var seen, back, away []time.Duration
	var held *os.File // so that its number is not given again
	for range cycles {
		var now string
		back = append(back, f.switches(t, func(t *testing.T) {
			t.Helper()
			begin := time.Now()
			cam.plug(t)
			now = node(t, usbName)
			seen = append(seen, time.Since(begin)) // an emulated kernel takes its time
		}, url, 5))
		dev, err := os.Open(now)
		require.NoError(t, err)
		if held != nil {
			require.NotEqual(t, held.Name(), dev.Name())
			require.NoError(t, held.Close())
		}
		held = dev
		f.lost += lost(f.Channel)
		away = append(away, f.switches(t, cam.pull, fallback(t), 5))
	}
	require.NoError(t, held.Close())
	f.finish(t, 2*cycles)
	figure(t, "%d times; fallback after %.2f s at most, camera %.2f s after its node, which took %.2f s", cycles,
		slices.Max(away).Seconds(), slices.Max(back).Seconds(), slices.Max(seen).Seconds())
	f.requireLosses(t, hal.ErrNoDevice, cycles)
	require.LessOrEqual(t, slices.Max(away), 3*time.Second)
	require.LessOrEqual(t, slices.Max(back), 5*time.Second)
}
