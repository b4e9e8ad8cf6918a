//go:build hil

package hil_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

func TestTheMachineHasItsDevices(t *testing.T) {
	load(t, "vivid", "n_devs=2", "node_types=0x1,0x1", "multiplanar=1,2", "num_inputs=1,1", "input_types=0,0")
	load(t, "vicodec", "multiplanar=0")
	for _, name := range []string{"vivid-000-vid-cap", "vivid-001-vid-cap", "stateful-encoder"} {
		require.NotEmpty(t, node(t, name))
	}
	version, err := os.ReadFile("/proc/version")
	require.NoError(t, err)
	figure(t, "%s", strings.Join(strings.Fields(string(version))[:3], " "))
}

func TestTheHostServesACamera(t *testing.T) {
	src, err := hal.NewRegistry(rtsp.Driver{}).Open(t.Context(), fallback(t), hal.Options{})
	require.NoError(t, err)
	skip(t, src, hil.Rate)
	require.NoError(t, src.Close())
}

// fallback returns the URL of the host's camera.
func fallback(t *testing.T) string {
	t.Helper()
	url, err := os.ReadFile("/host/fallback")
	require.NoError(t, err)
	return string(url)
}
