//go:build hil

package hil_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// vivid's signal at a video input, by its control "DV Timings Signal Mode".
const (
	signalLost     = 1
	signalSelected = 4
)

// H2: where the signal of a video input changes its size, a new stream begins; where it goes, that
// is ErrNoSignal; and the input opens again when it is back.
func TestTheSignalOfAVideoInputChanges(t *testing.T) {
	load(t, "vivid", "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=3")
	dev := node(t, "vivid-000-vid-cap")
	nothingLeft(t)
	src := open(t, "v4l2://"+dev+"?format=yuyv")
	before := src.Stream()
	skip(t, src, 3)
	const vga = 0 // the first of the list: 640x480
	set(t, dev, "DV Timings", vga)
	set(t, dev, "DV Timings Signal Mode", signalSelected)
	now := before
	for now == before {
		look(t, src, func(f hal.Frame) {
			now = f.Stream
			require.True(t, now == before || f.Gap, "what comes first of a new signal follows a gap")
		})
	}
	require.Equal(t, 640, now.Tracks[0].Width)
	require.Equal(t, 480, now.Tracks[0].Height)
	figure(t, "%v, then %v", before.Tracks[0], now.Tracks[0])
	skip(t, src, 3)
	set(t, dev, "DV Timings Signal Mode", signalLost)
	require.ErrorIs(t, drained(t, src), hal.ErrNoSignal)
	require.NoError(t, src.Close())
	_, err := tryOpen(t, "v4l2://"+dev+"?format=yuyv")
	require.ErrorIs(t, err, hal.ErrNoSignal)
	set(t, dev, "DV Timings Signal Mode", signalSelected)
	skip(t, open(t, "v4l2://"+dev+"?format=yuyv"), 3)
}
