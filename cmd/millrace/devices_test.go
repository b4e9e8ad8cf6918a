package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDevicesListsCamerasAndEncoders(t *testing.T) { // H1, H3
	t.Parallel()
	got := call(t, t.TempDir(), "devices")
	require.Zero(t, got.code, got.err)
	require.Regexp(t, `Synthetic camera +synth +- +- +synth://`, got.out)
	require.Regexp(t, `h264 +60 50 30 25 15 +640x360 1280x720 1920x1080`, got.out)
	require.Regexp(t, `turbojpeg +mjpeg +\d+ +no +`, got.out)
	require.NotContains(t, got.out, "not built in", "the tests are built with cgo")
	got = call(t, t.TempDir(), "devices", "--json")
	var inventory struct {
		Devices  []struct{ URL string } `json:"devices"`
		Encoders []struct {
			Name, Codec string
		} `json:"encoders"`
		Notes []string `json:"notes"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &inventory))
	require.NotEmpty(t, inventory.Devices)
	require.Equal(t, "synth://", inventory.Devices[len(inventory.Devices)-1].URL)
	require.NotEmpty(t, inventory.Encoders)
	require.NotNil(t, inventory.Notes)
}

func TestABuildWithoutCgoSaysThatV4L2IsNotBuiltIn(t *testing.T) { // H2, A3
	t.Parallel()
	dir := t.TempDir()
	without := filepath.Join(dir, "millrace")
	// -trimpath as in make cross, whose packages it then finds built.
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", without, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	call := func(args ...string) (string, error) {
		text, err := exec.CommandContext(t.Context(), without, args...).CombinedOutput()
		return string(text), err
	}
	text2, err := call("devices")
	require.NoError(t, err, text2)
	require.Contains(t, text2, "V4L2 is not built in")
	require.Contains(t, text2, "synth://")
	text2, err = call("devices", "--json")
	require.NoError(t, err, text2)
	require.Contains(t, text2, "V4L2 is not built in")
	config := filepath.Join(dir, "m.yml")
	require.NoError(t, os.WriteFile(config, []byte("channels:\n  - name: gate\n    source: v4l2:///dev/video0\n"), 0o600))
	text2, err = call("check", "--config", config)
	require.ErrorContains(t, err, "exit status 2")
	require.Contains(t, text2, "m.yml:3:13: ")
	require.Contains(t, text2, "V4L2 is not built in: use a build of millrace for Linux that was made with CGO_ENABLED=1")
}
