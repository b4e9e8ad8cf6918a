//go:build hil

package hil_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// H2: a buffer that the driver marks as broken is not handed on; what follows says that
// something is missing.
func TestABrokenBufferIsLeftOut(t *testing.T) {
	dev, _ := cameras(t)
	nothingLeft(t)
	src := open(t, camera(dev, "&format=yuyv"))
	skip(t, src, 5)
	require.Zero(t, stats(t, src).Malformed)
	press(t, dev, "Inject V4L2_BUF_FLAG_ERROR")
	require.Positive(t, skip(t, src, 20), "frames after a gap")
	seen := stats(t, src)
	require.EqualValues(t, 1, seen.Malformed)
	require.NotEmpty(t, seen.Fault)
	figure(t, "%s", seen.Fault)
}

// H2: pictures that the hardware drops are counted by their sequence numbers.
func TestLostBuffersAreCounted(t *testing.T) {
	dev, _ := cameras(t)
	nothingLeft(t)
	src := open(t, camera(dev, "&format=yuyv"))
	skip(t, src, 5)
	set(t, dev, "Percentage of Dropped Buffers", 50)
	gaps := skip(t, src, 25)
	set(t, dev, "Percentage of Dropped Buffers", 0)
	const few = 3 // of 12 to be expected
	require.Greater(t, gaps, few)
	lost := stats(t, src).Lost
	require.GreaterOrEqual(t, lost, uint64(gaps))
	figure(t, "%d lost, %d gaps", lost, gaps)
}

// P8: a fatal error is got over: the stream begins anew, which shows as a gap and says why.
func TestAFatalErrorIsRecoveredFrom(t *testing.T) {
	dev, _ := cameras(t)
	nothingLeft(t)
	src := open(t, camera(dev, "&format=yuyv"))
	skip(t, src, 5)
	press(t, dev, "Inject Fatal Streaming Error")
	require.Positive(t, skip(t, src, 15), "frames after a gap")
	seen := stats(t, src)
	require.EqualValues(t, 1, seen.Recovered)
	require.NotEmpty(t, seen.Fault)
	figure(t, "%s", seen.Fault)
}

// A call that the driver refuses once harms nobody: the driver tries again, or what is opened
// anew works.
func TestARefusedCallIsTriedAgain(t *testing.T) {
	for _, call := range []string{"REQBUFS", "QBUF", "STREAMON"} {
		t.Run(call, func(t *testing.T) {
			dev, _ := cameras(t)
			nothingLeft(t)
			press(t, dev, "Inject VIDIOC_"+call+" Error")
			src, err := tryOpen(t, camera(dev, "&format=yuyv"))
			if err != nil {
				figure(t, "%v", err)
				src = open(t, camera(dev, "&format=yuyv"))
			} else {
				t.Cleanup(func() { require.NoError(t, src.Close()) })
			}
			skip(t, src, 5)
		})
	}
}

// H2: a camera that is gone while its node stays ends in ErrNoDevice, and works again.
func TestACameraThatIsGoneWhileItsNodeStays(t *testing.T) {
	dev, _ := cameras(t)
	nothingLeft(t)
	src := open(t, camera(dev, "&format=yuyv"))
	skip(t, src, 5)
	look(t, src, func(held hal.Frame) {
		press(t, dev, "Disconnect")
		require.ErrorIs(t, drained(t, src), hal.ErrNoDevice)
		_, err := tryOpen(t, camera(dev, "&format=yuyv"))
		require.ErrorIs(t, err, hal.ErrNoDevice)
		requireBars(t, held)
	})
	require.NoError(t, src.Close())
	skip(t, open(t, camera(dev, "&format=yuyv")), 5)
}

// drained reads what a source still has, and returns the error that follows.
func drained(t *testing.T, src hal.Source) error {
	t.Helper()
	for {
		f, err := tryRead(t, src)
		if err != nil {
			return err
		}
		f.Release()
	}
}
