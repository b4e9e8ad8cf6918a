package record

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
)

// Disks is what the recorders of one program share of its disks: how many of them write to one
// at a time, so that a disk that hangs holds a few threads and not one for each camera, and the
// one timer that makes durable what a silent camera left behind.
type Disks struct {
	clock *hal.Clock
	log   *slog.Logger

	mu     sync.Mutex
	disks  map[uint64]*disk
	dirty  map[*handle]struct{}
	until  int64 // when Run looks again by itself
	wakeup chan struct{}
}

// disk is one file system.
type disk struct {
	slots chan struct{}
}

// writers is how many write to one disk at a time.
const writers = 4

// NewDisks returns what recorders may share. Nothing runs before Run.
func NewDisks(clock *hal.Clock, log *slog.Logger) *Disks {
	return &Disks{clock: clock, log: log, disks: map[uint64]*disk{}, dirty: map[*handle]struct{}{}, wakeup: make(chan struct{}, 1)}
}

// on returns the disk that a directory lies on. A nil *Disks has none.
func (d *Disks) on(device uint64) *disk {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.disks[device] == nil {
		d.disks[device] = &disk{slots: make(chan struct{}, writers)}
	}
	return d.disks[device]
}

// using does what waits for the disk, when it is this caller's turn.
func (d *disk) using(do func() error) error {
	if d == nil {
		return do()
	}
	d.slots <- struct{}{}
	defer func() { <-d.slots }()
	return do()
}

// handle is a file under way and what of it is not durable yet.
type handle struct {
	*os.File
	every time.Duration // Config.patience
	disk  *disk
	all   *Disks

	open sync.Mutex // held while the file is made durable or closed
	shut bool

	mu     sync.Mutex
	due    int64 // clock when what was written must be durable; 0: all is
	failed error // of a sync nobody waited for
}

// wrote says that something was written at now. It makes it durable itself where that is due
// and nobody else does, or too late.
func (h *handle) wrote(now int64) error {
	if h.every < 0 {
		return h.trouble()
	}
	h.mu.Lock()
	first := h.due == 0
	if first {
		h.due = now + int64(h.every)
	}
	due := h.due
	h.mu.Unlock()
	if h.all == nil && due <= now || due+int64(h.every) < now {
		return h.sync()
	}
	if h.all != nil && first {
		h.all.watch(h, due)
	}
	return h.trouble()
}

// trouble returns the error of a sync that nobody waited for.
func (h *handle) trouble() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

// sync makes all that was written durable.
func (h *handle) sync() error {
	return h.disk.using(func() error {
		h.open.Lock()
		defer h.open.Unlock()
		return h.flush()
	})
}

// flush is sync for who holds open.
func (h *handle) flush() error {
	if h.shut {
		return nil
	}
	h.mu.Lock()
	h.due = 0
	h.mu.Unlock()
	err := unix.Fdatasync(int(h.Fd()))
	if err == nil || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EROFS) { // a pipe or a device has nothing to make durable
		return nil
	}
	err = &fs.PathError{Op: "sync", Path: h.Name(), Err: err}
	h.mu.Lock()
	h.failed = err
	h.mu.Unlock()
	return err
}

// close makes durable what was written, and closes the file whatever comes of it.
func (h *handle) close() error {
	return h.disk.using(func() error {
		h.open.Lock()
		defer h.open.Unlock()
		err := h.flush()
		h.shut = true
		return errors.Join(err, h.Close())
	})
}

// watch has h made durable at due.
func (d *Disks) watch(h *handle, due int64) {
	d.mu.Lock()
	d.dirty[h] = struct{}{}
	early := due < d.until
	d.mu.Unlock()
	if early {
		select {
		case d.wakeup <- struct{}{}:
		default:
		}
	}
}

// Run makes durable what is due until ctx is done. It sleeps while nothing is.
func (d *Disks) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, next := d.look(d.clock.Mono())
		for _, h := range due {
			if err := h.sync(); err != nil {
				d.log.Error("what was written could not be made durable", "file", h.Name(), "cause", err.Error())
			}
		}
		if len(due) > 0 {
			continue // it took its time
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return nil
		case <-d.wakeup:
		case <-timer.C:
		}
	}
}

// look takes out what is due, and returns how long there is nothing to do.
func (d *Disks) look(now int64) (due []*handle, next time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = math.MaxInt64
	for h := range d.dirty {
		h.mu.Lock()
		at := h.due
		h.mu.Unlock()
		switch {
		case at == 0:
			delete(d.dirty, h)
		case at <= now:
			delete(d.dirty, h)
			due = append(due, h)
		default:
			d.until = min(d.until, at)
		}
	}
	if d.until == math.MaxInt64 {
		return due, time.Hour
	}
	return due, time.Duration(d.until - now)
}
