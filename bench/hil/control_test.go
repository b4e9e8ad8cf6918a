//go:build hil

package hil_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// set sets a control of a device by its name. A button takes 0. It uses another library than
// the driver under test.
func set(t *testing.T, dev, control string, value int32) {
	t.Helper()
	fd, err := v4l2.OpenDevice(dev, unix.O_RDWR|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, v4l2.CloseDevice(fd)) }()
	all, err := v4l2.QueryAllControls(fd)
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(c v4l2.Control) bool { return strings.EqualFold(c.Name, control) })
	require.GreaterOrEqual(t, i, 0, "%s has no control %q: %v", dev, control, all)
	require.NoError(t, v4l2.SetControlValue(fd, all[i].ID, value))
}

// press presses a button of a device.
func press(t *testing.T, dev, button string) {
	t.Helper()
	set(t, dev, button, 0)
}
