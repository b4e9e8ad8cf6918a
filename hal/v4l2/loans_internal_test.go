//go:build linux

package v4l2

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fakeCamera is a made-up camera behind the ioctl seam: it takes every call, gives its buffers in
// turn, and counts what of its memory is mapped.
type fakeCamera struct {
	off atomic.Bool // the stream was switched off

	mu     sync.Mutex
	next   uint32
	mapped int
}

func (c *fakeCamera) ioctl(req request, arg unsafe.Pointer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req == vidiocQueryBuffer {
		(*bufferCall)(arg).buffer.Length = 4096
	}
	if req == vidiocDequeueBuffer {
		(*bufferCall)(arg).buffer.Index = c.next
		c.next++
	}
	if req == vidiocStreamOff {
		c.off.Store(true)
	}
	return nil
}

func (c *fakeCamera) mmap(_ uintptr, length int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mapped++
	return make([]byte, length), nil
}

func (c *fakeCamera) munmap([]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mapped--
	return nil
}

func (c *fakeCamera) poll(int16, *wake, time.Duration) (int16, bool, error) {
	return unix.POLLIN, false, nil
}

func (c *fakeCamera) close() error { return nil }

// H2: pictures that come home while the camera is closed leave nothing of it: no memory, and so no
// hold on its node. Encoders and writers give back at any instant.
func TestWhatComesHomeWhileTheCameraClosesIsLetGo(t *testing.T) {
	for range 5000 {
		cam := &fakeCamera{}
		w, err := newWake()
		require.NoError(t, err)
		q := newQueue(cam, captureSingle)
		q.planes = 1
		require.NoError(t, q.request(4))
		l := newLoans(q, w, nil)
		require.NoError(t, l.start())
		var home sync.WaitGroup
		for range 3 {
			d, err := l.dequeue()
			require.NoError(t, err)
			b := l.lend(d)
			home.Go(func() {
				for !cam.off.Load() { // as close to the end of STREAMOFF as can be
					runtime.Gosched()
				}
				b.Release()
			})
		}
		require.Zero(t, l.close(time.Minute))
		home.Wait()
		w.close()
		require.Zero(t, cam.mapped, "pieces of memory are still mapped")
	}
}
