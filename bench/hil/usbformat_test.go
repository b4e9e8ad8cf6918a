//go:build hil

package hil_test

import (
	"bytes"
	"net/url"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// plugged is a USB camera that stays plugged in for the length of the test.
func plugged(t *testing.T, p picture, serial string) *usbCamera {
	t.Helper()
	load(t, "vhci-hcd")
	load(t, "uvcvideo")
	cam := usbCameraOf(t, p, serial)
	cam.plug(t)
	t.Cleanup(func() { cam.pull(t) })
	node(t, usbName)
	return cam
}

// H2: raw pictures of a USB camera come one after the other, where the kernel put them.
func TestARawUSBCamera(t *testing.T) {
	plugged(t, usbYUY2(hil.Width, hil.Height, hil.Rate), "hil-raw")
	nothingLeft(t)
	src := open(t, "v4l2://serial/hil-raw?format=yuyv")
	grey := make([]byte, hil.Width*hil.Height)
	var last uint32
	for i := range 25 {
		look(t, src, func(f hal.Frame) {
			requireUncopied(t, f, node(t, usbName))
			pixels := f.Buf.Bytes()
			for at := range grey {
				grey[at] = pixels[2*at]
			}
			n, ok := synth.ReadNumber(grey, hil.Width, hil.Width, hil.Height)
			require.True(t, ok, "picture %d shows no number", i)
			if i > 0 && !f.Gap {
				require.Equal(t, last+1, n)
			}
			last = n
		})
	}
	figure(t, "%d lost, 0 copies", stats(t, src).Lost+stats(t, src).Dropped)
}

// H2: what an H.264 camera sends comes out as it was coded, with its parameter sets in the stream.
func TestAnH264USBCamera(t *testing.T) {
	plugged(t, usbH264(hil.Width, hil.Height, hil.Rate), "hil-h264")
	nothingLeft(t)
	src := open(t, "v4l2://serial/hil-h264?format=h264")
	original := original(t)
	next := read(t, original)
	require.Equal(t, next.Info().SPS, src.Stream().Tracks[0].SPS)
	require.Equal(t, next.Info().PPS, src.Stream().Tracks[0].PPS)
	for i := range 30 {
		look(t, src, func(f hal.Frame) {
			for passed := 0; !bytes.Equal(next.Buf.Bytes(), f.Buf.Bytes()); passed++ {
				require.True(t, i == 0 || f.Gap, "frame %d is not the next one that was sent", i)
				require.Less(t, passed, 100, "frame %d is none that was sent", i)
				next.Release()
				next = read(t, original)
			}
			require.Equal(t, next.Key, f.Key)
		})
		next.Release()
		next = read(t, original)
	}
	next.Release()
}

// original yields the same frames as the USB camera's picture, as they are.
func original(t *testing.T) hal.Source {
	t.Helper()
	u, err := url.Parse(usbH264(hil.Width, hil.Height, hil.Rate).synth())
	require.NoError(t, err)
	src, err := synth.Driver{}.Open(t.Context(), u, hal.Options{}.WithDefaults())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	return src
}

// H2: what hal.Source promises, of encoded pictures. The camera itself allocates in this process.
func TestConformanceOfAnH264Camera(t *testing.T) {
	plugged(t, usbH264(hil.Width, hil.Height, hil.Rate), "hil-h264")
	haltest.Source(t, haltest.Config{
		Driver: v4l2.New(), URL: "v4l2://serial/hil-h264?format=h264", Live: true, Codec: hal.H264, Reads: 25, NoAllocs: true, Patience: patience,
	})
}

// H2: a camera is listed with its place on the bus, and what it can do; by that place, and by the
// node that it had, it opens again when it has come back as another node.
func TestACameraIsKnownByItsPlace(t *testing.T) {
	load(t, "vhci-hcd")
	load(t, "uvcvideo")
	nothingLeft(t)
	cam := usbCameraOf(t, usbH264(hil.Width, hil.Height, hil.Rate), "hil-place")
	cam.plug(t)
	first := node(t, usbName)
	driver := v4l2.New()
	all, err := driver.Devices(t.Context())
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(d hal.Device) bool { return d.Serial == "hil-place" })
	require.GreaterOrEqual(t, i, 0, "%+v", all)
	require.NotEmpty(t, all[i].Bus)
	require.Contains(t, all[i].Formats, hal.Format{Codec: hal.H264, Name: "h264", Width: hil.Width, Height: hil.Height, Rates: []float64{hil.Rate}})
	figure(t, "%s at %s", all[i].URL, all[i].Bus)
	urls := []string{all[i].URL, "v4l2://bus/" + all[i].Bus, "v4l2://" + first}
	for _, u := range urls {
		shows(t, driver, u)
	}
	held, err := os.Open(first)
	require.NoError(t, err)
	cam.pull(t)
	cam.plug(t)
	until(t, "another node", func() bool { return node(t, usbName) != first })
	for _, u := range urls {
		shows(t, driver, u)
	}
	cam.pull(t)
	require.NoError(t, held.Close())
}

// shows reads a few frames of a camera.
func shows(t *testing.T, driver v4l2.Driver, url string) {
	t.Helper()
	src, err := hal.NewRegistry(driver).Open(t.Context(), url, hal.Options{})
	require.NoError(t, err)
	skip(t, src, 3)
	require.NoError(t, src.Close())
}
