package record

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// drain brings a large file to its disk behind whoever writes it, from its start on, step by
// step. Between two steps a merge can be cancelled. Whatever else is synced on that disk waits for
// what is on its way there: for two steps where the merge is short, for more of a long one on a
// slow disk (docs/mp4.md has the figures).
type drain struct {
	ahead int64                              // bytes that may wait in memory while the file is written
	order func(at, n int64, flags int) error // sync_file_range(2)
	sync  func() error
	at    int64 // up to where the disk was told to write
}

const (
	drainStep  = 4 << 20
	drainBegin = unix.SYNC_FILE_RANGE_WRITE
	drainAwait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	// aheadShare is which part of the memory may wait: half of what Linux lets wait before it
	// writes by itself, all at once (vm.dirty_background_ratio).
	aheadShare = 20
)

// drainOf returns what drains f. In small memory it keeps up with who writes, in large it leaves
// the disk alone until finish.
func drainOf(f *os.File) *drain {
	d := &drain{
		order: func(at, n int64, flags int) error { return unix.SyncFileRange(int(f.Fd()), at, n, flags) },
		sync:  func() error { return unix.Fdatasync(int(f.Fd())) },
	}
	var is unix.Sysinfo_t
	if unix.Sysinfo(&is) == nil {
		d.ahead = int64(uint64(is.Totalram) * uint64(is.Unit) / aheadShare) //nolint:unconvert // 32 bits where the machine has 32
	}
	return d
}

// wrote says that the file is written up to end.
func (d *drain) wrote(ctx context.Context, end int64) error { return d.to(ctx, end-d.ahead) }

// finish makes the file durable, all of it.
func (d *drain) finish(ctx context.Context, size int64) error {
	if err := d.to(ctx, size); err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", d.sync())
}

// to has the whole steps before end written. What is said here of an error the sync at the end
// does not say again.
func (d *drain) to(ctx context.Context, end int64) error {
	for ; d.at+drainStep <= end; d.at += drainStep {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := d.order(d.at, drainStep, drainBegin)
		if err == nil && d.at > 0 {
			err = d.order(d.at-drainStep, drainStep, drainAwait)
		}
		if err != nil && !errors.Is(err, unix.ENOSYS) { // then all is left to the sync
			return os.NewSyscallError("sync_file_range", err)
		}
	}
	return nil
}
