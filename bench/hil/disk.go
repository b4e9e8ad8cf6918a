package hil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
)

// Disk is a virtual machine's disk whose power can be cut. What the machine wrote is in the image
// only from the machine's next flush on, as with a real disk and its cache: a page cache below it
// would keep what a disk would lose. Kill the machine, then Cut.
type Disk struct {
	image    *os.File
	size     uint64
	listener net.Listener
	serving  sync.WaitGroup

	mu      sync.Mutex // of the image, and of:
	cache   []written  // since the last flush, in order
	writes  int        // that came in
	flushes int
	last    int    // writes; with the last of them the power goes; 0: it stays
	gone    func() // is told
	dead    bool   // without power: nothing comes in any more
	failed  error
}

// written is a write that is not flushed.
type written struct {
	at      uint64
	content []byte
}

// MakeImage makes an image of this size with an empty ext4 in it.
func MakeImage(ctx context.Context, image string, size int64) error {
	f, err := os.Create(image) //nolint:gosec // the rig's own
	if err != nil {
		return err
	}
	if err = errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	// What ext4 would else write in the background, at a time of its own choosing, is written now.
	cmd := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image) //nolint:gosec // our own command
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4 (package e2fsprogs): %w: %s", err, out)
	}
	return nil
}

// NewDisk serves an image at a Unix socket of this path, until Close.
func NewDisk(image, socket string) (*Disk, error) {
	f, err := os.OpenFile(image, os.O_RDWR, 0) //nolint:gosec // the rig's own
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	listener, err := net.Listen("unix", socket) //nolint:noctx // it ends with Close
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	d := &Disk{image: f, size: uint64(info.Size()), listener: listener} //nolint:gosec // a file's size
	d.serving.Go(d.serve)
	return d, nil
}

// serve serves one machine after the other.
func (d *Disk) serve() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return // closed
		}
		if err = d.session(conn); err != nil {
			d.note(err)
		}
		_ = conn.Close() //nolint:errcheck // the machine is gone
	}
}

// note keeps what went wrong.
func (d *Disk) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = err
	}
}

// Socket is where the machine finds the disk.
func (d *Disk) Socket() string { return d.listener.Addr().String() }

// CutAt has the power go with the n-th write from now on, before anything of that can be flushed:
// what the machine writes later is lost, and gone is called. Then kill the machine, and Cut.
func (d *Disk) CutAt(n int, gone func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.gone = d.writes+n, gone
}

// sector is what a disk writes as a whole.
const sector = 4096

// Cut cuts the power: what was not flushed is lost, or, with a source of chance, some of it: a disk
// writes in any order, and not even a long write as a whole. It returns how many pieces were lost.
func (d *Disk) Cut(chance *rand.Rand) (lost int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.cache {
		for piece := range slices.Chunk(w.content, sector) {
			if chance == nil || chance.IntN(2) == 0 {
				lost++
			} else if _, e := d.image.WriteAt(piece, int64(w.at)); e != nil { //nolint:gosec // within the image
				err = errors.Join(err, e)
			}
			w.at += uint64(len(piece))
		}
	}
	d.cache, d.last, d.gone, d.dead = nil, 0, nil, false
	return lost, err
}

// Counts returns how many writes and flushes came in so far.
func (d *Disk) Counts() (writes, flushes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes, d.flushes
}

// Close ends the serving, once the machine is gone. What was not flushed is lost. The error is the
// first thing that went wrong with the disk.
func (d *Disk) Close() error {
	err := d.listener.Close()
	d.serving.Wait()
	return errors.Join(d.failed, err, d.image.Close())
}

func (d *Disk) within(at uint64, n uint32) error {
	if at > d.size || uint64(n) > d.size-at {
		return fmt.Errorf("%d bytes at %d of a disk of %d", n, at, d.size)
	}
	return nil
}

// read reads what the machine last wrote.
func (d *Disk) read(at uint64, b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, err := d.image.ReadAt(b, int64(at)); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) { //nolint:gosec // within the image
		return err
	}
	for _, w := range d.cache {
		from, to := max(at, w.at), min(at+uint64(len(b)), w.at+uint64(len(w.content)))
		if from < to {
			copy(b[from-at:to-at], w.content[from-w.at:])
		}
	}
	return nil
}

// write keeps a write, which owns the content from here on, until the next flush.
func (d *Disk) write(at uint64, content []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return
	}
	d.writes++
	d.cache = append(d.cache, written{at, content})
	if d.writes == d.last {
		d.dead = true
		d.gone()
	}
}

// flush brings everything into the image.
func (d *Disk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil
	}
	d.flushes++
	for _, w := range d.cache {
		if _, err := d.image.WriteAt(w.content, int64(w.at)); err != nil { //nolint:gosec // within the image
			return err
		}
	}
	d.cache = d.cache[:0]
	return nil
}
