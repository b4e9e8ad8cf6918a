//go:build hil

package hil_test

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
)

// The decoder's calls, by linux/videodev2.h on 64-bit machines: written once more and not taken
// from the driver under test.
const (
	dvGFmt, dvSFmt         = 0xc0d05604, 0xc0d05605
	dvReqbufs, dvQuerybuf  = 0xc0145608, 0xc0585609
	dvQbuf, dvDqbuf        = 0xc058560f, 0xc0585611
	dvStreamon, dvSelect   = 0x40045612, 0xc040565e
	dvSubscribe, dvDqevent = 0x4020565a, 0x80885659
	dvDecoderCmd           = 0xc0485660
	dvCapture, dvOutput    = 1, 2
	dvLast                 = 0x100000
)

// dvBuffer is struct v4l2_buffer, dvFormat struct v4l2_format with a single-planar picture.
type dvBuffer struct {
	Index, Type, Used, Flags, Field, _ uint32
	Sec, Usec                          int64
	_                                  [16]byte
	Sequence, Memory                   uint32
	Offset                             uint64
	Length, _, _, _                    uint32
}

type dvFormat struct {
	Type, _                                    uint32
	Width, Height, Pixel, Field, Stride, Image uint32
	_                                          [44]uint32
}

// decoder is vicodec's stateful decoder.
type decoder struct {
	t       *testing.T
	fd      int
	maps    [3][][]byte // by type
	picture dvFormat
	visible [2]uint32
}

func (d *decoder) call(req uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd), req, uintptr(arg))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// buffers takes and maps buffers of a queue.
func (d *decoder) buffers(typ uint32, count uint32) {
	r := [5]uint32{count, typ, 1}
	require.NoError(d.t, d.call(dvReqbufs, unsafe.Pointer(&r)))
	for i := range r[0] {
		b := dvBuffer{Index: i, Type: typ, Memory: 1}
		require.NoError(d.t, d.call(dvQuerybuf, unsafe.Pointer(&b)))
		m, err := unix.Mmap(d.fd, int64(b.Offset), int(b.Length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		require.NoError(d.t, err)
		d.maps[typ] = append(d.maps[typ], m)
	}
}

func (d *decoder) enqueue(typ, i, used uint32) {
	b := dvBuffer{Index: i, Type: typ, Memory: 1, Used: used, Field: 1}
	require.NoError(d.t, d.call(dvQbuf, unsafe.Pointer(&b)))
}

func (d *decoder) dequeue(typ uint32) (dvBuffer, bool) {
	b := dvBuffer{Type: typ, Memory: 1}
	err := d.call(dvDqbuf, unsafe.Pointer(&b))
	if errors.Is(err, unix.EAGAIN) {
		return b, false
	}
	require.NoError(d.t, err)
	return b, true
}

func (d *decoder) on(typ uint32) { require.NoError(d.t, d.call(dvStreamon, unsafe.Pointer(&typ))) }

// wait polls for events of the device.
func (d *decoder) wait(events int16) {
	fds := []unix.PollFd{{Fd: int32(d.fd), Events: events}}
	for {
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(d.t, err)
		require.Positive(d.t, n, "the decoder is stuck")
		return
	}
}

// decode shows each picture of a clip.
func decode(t *testing.T, frames [][]byte, show func(pixel.Picture)) {
	t.Helper()
	fd, err := unix.Open(node(t, "stateful-decoder"), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	d := &decoder{t: t, fd: fd}
	t.Cleanup(func() {
		for _, maps := range d.maps {
			for _, m := range maps {
				require.NoError(t, unix.Munmap(m))
			}
		}
		require.NoError(t, unix.Close(fd))
	})
	d.begin(frames[0])
	next, shown := 1, 0
	for next < min(len(frames), len(d.maps[dvOutput])) {
		d.feed(frames[next], uint32(next))
		next++
	}
	for {
		if next == len(frames) {
			stop := [18]uint32{1} // V4L2_DEC_CMD_STOP
			require.NoError(t, d.call(dvDecoderCmd, unsafe.Pointer(&stop)))
			next++
		}
		d.wait(unix.POLLIN | unix.POLLOUT)
		if b, ok := d.dequeue(dvOutput); ok && next < len(frames) {
			d.feed(frames[next], b.Index)
			next++
		}
		b, ok := d.dequeue(dvCapture)
		if !ok {
			continue
		}
		if b.Used > 0 {
			show(d.view(b.Index))
			shown++
		}
		if b.Flags&dvLast != 0 {
			return
		}
		d.enqueue(dvCapture, b.Index, 0)
	}
}

// begin gives the decoder the first frame, from which it learns what the pictures are like.
func (d *decoder) begin(first []byte) {
	f := dvFormat{Type: dvOutput, Width: encodeWidth, Height: encodeHeight, Pixel: fwht(), Field: 1}
	require.NoError(d.t, d.call(dvSFmt, unsafe.Pointer(&f)))
	event := [8]uint32{5} // V4L2_EVENT_SOURCE_CHANGE
	require.NoError(d.t, d.call(dvSubscribe, unsafe.Pointer(&event)))
	d.buffers(dvOutput, 4)
	d.on(dvOutput)
	d.feed(first, 0)
	d.wait(unix.POLLPRI)
	var happened [136]byte
	require.NoError(d.t, d.call(dvDqevent, unsafe.Pointer(&happened)))
	d.picture = dvFormat{Type: dvCapture}
	require.NoError(d.t, d.call(dvGFmt, unsafe.Pointer(&d.picture)))
	d.picture.Pixel = uint32('Y') | 'U'<<8 | '1'<<16 | '2'<<24
	require.NoError(d.t, d.call(dvSFmt, unsafe.Pointer(&d.picture)))
	seen := [16]uint32{dvCapture, 0x100} // V4L2_SEL_TGT_COMPOSE
	require.NoError(d.t, d.call(dvSelect, unsafe.Pointer(&seen)))
	d.visible = [2]uint32{seen[5], seen[6]}
	d.buffers(dvCapture, 4)
	for i := range d.maps[dvCapture] {
		d.enqueue(dvCapture, uint32(i), 0)
	}
	d.on(dvCapture)
}

func fwht() uint32 { return uint32('F') | 'W'<<8 | 'H'<<16 | 'T'<<24 }

// feed queues a frame.
func (d *decoder) feed(frame []byte, i uint32) {
	require.LessOrEqual(d.t, len(frame), len(d.maps[dvOutput][i]))
	d.enqueue(dvOutput, i, uint32(copy(d.maps[dvOutput][i], frame)))
}

// view is the picture in a buffer.
func (d *decoder) view(i uint32) pixel.Picture {
	stride, lines := int(d.picture.Stride), int(d.picture.Height)
	m := d.maps[dvCapture][i]
	luma, chroma := stride*lines, stride/2*(lines/2)
	return pixel.Picture{
		Format: hal.I420, Width: int(d.visible[0]), Height: int(d.visible[1]),
		Plane:  [3][]byte{m[:luma], m[luma:][:chroma], m[luma+chroma:][:chroma]},
		Stride: [3]int{stride, stride / 2, stride / 2},
	}
}
