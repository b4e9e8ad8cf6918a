//go:build hil

package hil_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/hal"
)

// The program's exit codes that are no failure: doctor's second says that something is odd, as it
// may be of an emulated camera.
const (
	exitFine = 0
	exitOdd  = 3
)

// millrace runs the program itself, built as it is delivered but linked statically.
func millrace(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	const program = "/tmp/millrace" // 9p is too slow to run it from
	if _, err := os.Stat(program); err != nil {
		b, err := os.ReadFile("/host/millrace")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(program, b, 0o755)) //nolint:gosec // it is a program
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		require.NoError(t, err)
	}
	t.Logf("millrace %q:\n%s%s", args, stdout.String(), stderr.String())
	return stdout.String(), cmd.ProcessState.ExitCode()
}

// millraceJSON runs the program and reads the JSON that it prints.
func millraceJSON(t *testing.T, into any, args ...string) (code int) {
	t.Helper()
	out, code := millrace(t, append(args, "--json")...)
	require.NoError(t, json.Unmarshal([]byte(out), into), out)
	return code
}

// inventory is what `millrace devices --json` prints.
type inventory struct {
	Devices  []hal.Device
	Encoders []struct {
		Codec, Name string
		Hardware    bool
		Rank        int
	}
}

func (inv inventory) named(t *testing.T, name string) hal.Device {
	t.Helper()
	for _, d := range inv.Devices {
		if d.Name == name {
			return d
		}
	}
	require.Failf(t, "a camera is missing", "%s of %+v", name, inv.Devices)
	return hal.Device{}
}

// H1, H2, H3: `millrace devices` lists the cameras of both APIs, the USB camera and the encoder, as
// a table and as JSON.
func TestDevicesListsWhatTheKernelHas(t *testing.T) {
	single, multi := cameras(t)
	loadCodec(t, false)
	plugged(t, usbH264(hil.Width, hil.Height, hil.Rate), "hil-list")
	usb := node(t, usbName)
	table, code := millrace(t, "devices")
	require.Equal(t, exitFine, code)
	for _, row := range []string{
		`vivid +v4l2 +platform:vivid-000 +` + single + ` +v4l2://bus/platform:vivid-000\n`,
		`vivid +v4l2 +platform:vivid-001 +` + multi + ` +v4l2://bus/platform:vivid-001\n`,
		`HIL Camera: HIL Camera +v4l2 +usb-vhci_hcd\.0-1 +` + usb + ` +v4l2://bus/usb-vhci_hcd\.0-1\n`,
		`FORMAT +FRAMES A SECOND +SIZES\n`,
		`yuyv +[0-9. ]+ .*320x180`,
		`nm12 +[0-9. ]+ .*320x180`,
		`h264 +25 +320x240\n`,
		`CONTROL +KIND +DEFAULT +VALUE +RANGE\n`,
		`brightness +int +128 +\d+ +0 to 255\n`,
		`bitmask +bits +.*0x80402010\n`,
		`v4l2:vicodec@platform:vicodec +fwht +\d{3,} +yes +`,
	} {
		require.Regexp(t, row, table)
	}
	var inv inventory
	require.Equal(t, exitFine, millraceJSON(t, &inv, "devices"))
	d := inv.named(t, usbName)
	require.Equal(t, hal.Device{Name: usbName, Driver: "v4l2", Bus: d.Bus, Node: usb, URL: "v4l2://bus/" + d.Bus, Serial: "hil-list"},
		hal.Device{Name: d.Name, Driver: d.Driver, Bus: d.Bus, Node: d.Node, URL: d.URL, Serial: d.Serial})
	require.Equal(t, []hal.Format{{Name: "h264", Width: hil.Width, Height: hil.Height, Rates: []float64{hil.Rate}}}, d.Formats)
	v := inv.named(t, "vivid")
	require.Contains(t, names(v.Formats), "yuyv")
	require.NotEmpty(t, v.Formats[0].Rates)
	require.NotEmpty(t, v.Controls)
	require.Len(t, inv.Encoders, 2, "FWHT's, and Go's of JPEG")
	figure(t, "%d cameras, %d formats and %d controls of the first", len(inv.Devices), len(v.Formats), len(v.Controls))
}

// names returns each format's name.
func names(all []hal.Format) (names []string) {
	for _, f := range all {
		names = append(names, f.Name)
	}
	return names
}

// examined is what `millrace doctor --json` prints.
type examined struct {
	Cameras []struct {
		URL, Choose, Advice string
		Formats             []struct {
			Format          string
			Pictures        int
			Rate            float64
			Announced       float64
			First           float64
			Error           string
			Width, Height   int
			Malformed, Lost int
		}
		Odd []string
	}
}

// H2: `millrace doctor` measures each format that a camera's URL leaves open, and says in one line
// what to choose: of a raw camera and of one that encodes.
func TestDoctorMeasuresCameras(t *testing.T) {
	dev, _ := cameras(t)
	plugged(t, usbH264(hil.Width, hil.Height, hil.Rate), "hil-doctor")
	var found examined
	code := millraceJSON(t, &found, "doctor", "-d", "600ms", "v4l2://"+dev+"?size=320x180&rate=25", "v4l2://serial/hil-doctor")
	require.Contains(t, []int{exitFine, exitOdd}, code)
	require.Len(t, found.Cameras, 2)
	for i, formats := range [][]string{{"nv12", "i420", "yuyv", "uyvy", "nv21"}, {"h264"}} {
		c := found.Cameras[i]
		var measured []string
		for _, m := range c.Formats {
			measured = append(measured, m.Format)
			require.Empty(t, m.Error, m.Format)
			require.Positive(t, m.Pictures, m.Format)
			require.InDelta(t, 25, m.Announced, 0.1, m.Format)
			require.Positive(t, m.Rate, m.Format)
			require.Positive(t, m.First, m.Format)
		}
		require.Subset(t, measured, formats)
		require.NotEmpty(t, c.Choose)
		require.Contains(t, c.Advice, c.Choose)
		require.NotContains(t, c.Advice, "\n")
		figure(t, "%s", c.Advice)
	}
	table, code := millrace(t, "doctor", "-d", "600ms", "v4l2://serial/hil-doctor")
	require.Contains(t, []int{exitFine, exitOdd}, code)
	require.Regexp(t, `FORMAT +SIZE +ANNOUNCED +RATE +INTERVAL p50/p99`, table)
	require.Regexp(t, `h264 +320x240 +25 +[0-9.]+ +[0-9.]+/[0-9.]+ ms`, table)
	_, code = millrace(t, "doctor", "-d", "600ms", "v4l2:///dev/video99")
	require.Equal(t, 1, code, "a camera that is not there")
}

// H2: `millrace trace` records a camera with its faults, and the trace is the camera again when that
// is gone: a customer's trace becomes a test.
func TestTraceIsPlayedWithoutItsCamera(t *testing.T) {
	file := filepath.Join(t.TempDir(), "camera.trace")
	require.True(t, t.Run("recorded", func(t *testing.T) {
		dev, _ := cameras(t)
		set(t, dev, "Percentage of Dropped Buffers", 30)
		_, code := millrace(t, "trace", "v4l2://"+dev+"?size=320x180&rate=25&format=yuyv", "-o", file, "-d", "2s")
		require.Equal(t, exitFine, code)
	}))
	require.True(t, t.Run("played", func(t *testing.T) {
		var found examined
		millraceJSON(t, &found, "doctor", "-d", "1s", "v4l2+trace://"+file)
		require.Len(t, found.Cameras, 1)
		require.Len(t, found.Cameras[0].Formats, 1)
		m := found.Cameras[0].Formats[0]
		require.Equal(t, "yuyv", m.Format)
		require.Equal(t, []int{320, 180}, []int{m.Width, m.Height})
		require.Positive(t, m.Pictures)
		require.Positive(t, m.Lost, "what the camera lost is lost in its trace")
		figure(t, "%d pictures, %d lost", m.Pictures, m.Lost)
	}))
}
