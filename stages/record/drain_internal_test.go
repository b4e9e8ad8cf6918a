package record

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// slowDisk notes what a drain has it do, and how much of it is on its way at once.
type slowDisk struct {
	begun, awaited, most int64
	synced               int
	after                func() error // what comes of an order
}

func (s *slowDisk) order(at, n int64, flags int) error {
	if flags == drainBegin {
		s.begun = at + n
		s.most = max(s.most, s.begun-s.awaited)
	} else {
		s.awaited = at + n
	}
	if s.after != nil {
		return s.after()
	}
	return nil
}

func (s *slowDisk) drain(ahead int64) *drain {
	return &drain{ahead: ahead, order: s.order, sync: func() error { s.synced++; return nil }}
}

const film = 25*drainStep + 1000 // bytes of a film

func TestWhatIsMergedReachesTheDiskInSmallSteps(t *testing.T) { // R4: other recorders wait for two of them at most
	var disk slowDisk
	d := disk.drain(0)
	require.NoError(t, d.finish(t.Context(), film))
	require.EqualValues(t, 2*drainStep, disk.most)
	require.EqualValues(t, 25*drainStep, disk.begun)
	require.Equal(t, 1, disk.synced, "the rest, and the file's own length")
}

func TestACopyGetsOnlySoFarAheadOfTheDisk(t *testing.T) { // R4
	var disk slowDisk
	d := disk.drain(10 * drainStep)
	for end := int64(0); end <= film; end += 1 << 20 {
		require.NoError(t, d.wrote(t.Context(), end))
		require.Less(t, end-disk.begun, int64(11*drainStep))
		if end < 11*drainStep {
			require.Zero(t, disk.begun, "in memory the disk is left alone")
		}
	}
	require.Zero(t, disk.synced)
}

func TestAMergeThatTheDiskRefusesIsNoMerge(t *testing.T) { // R4: the kernel says an error once, and not again at the sync
	orders := 0
	disk := slowDisk{after: func() error {
		if orders++; orders == 7 {
			return unix.EIO
		}
		return nil
	}}
	require.ErrorIs(t, disk.drain(0).finish(t.Context(), film), unix.EIO)
	require.Zero(t, disk.synced)

	disk = slowDisk{after: func() error { return unix.ENOSYS }}
	require.NoError(t, disk.drain(0).finish(t.Context(), film), "a kernel without these orders has the sync")
	require.Equal(t, 1, disk.synced)
}

func TestAMergeIsCutOffWhileItIsMadeDurable(t *testing.T) { // R4: the program's end does not wait for a slow disk
	ctx, cancel := context.WithCancel(t.Context())
	disk := slowDisk{}
	disk.after = func() error {
		if disk.begun == 5*drainStep {
			cancel()
		}
		return nil
	}
	require.ErrorIs(t, disk.drain(0).finish(ctx, film), context.Canceled)
	require.EqualValues(t, 5*drainStep, disk.begun)
	require.Zero(t, disk.synced)
}

func TestTheKernelTakesTheOrders(t *testing.T) { // R4
	f, err := os.Create(filepath.Join(t.TempDir(), "film"))
	require.NoError(t, err)
	_, err = f.Write(make([]byte, 3*drainStep))
	require.NoError(t, err)
	d := drainOf(f)
	require.Positive(t, d.ahead)
	require.NoError(t, d.finish(t.Context(), 3*drainStep))
	require.NoError(t, f.Close())
	require.Error(t, drainOf(f).finish(t.Context(), 3*drainStep), "it is closed")
}
