package v4l2

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queue is one buffer queue of a device: capture or output, single- or multi-planar, with
// buffers that the driver maps into this process or with another device's (DMABUF). Each of
// its methods is one call or a few; the order in which they are made is the caller's, as the
// kernel's documentation wants it. Not safe for concurrent use, but that enqueue of different
// buffers and one dequeue may run at once.
type queue struct {
	node   node
	typ    bufType
	memory memory

	planes  int          // pieces of memory a picture lies in, since setFormat
	buffers []mapping    // since request
	calls   []bufferCall // one for each buffer, and the last for dequeue
	arena   []byte       // where calls lie

	refused func(error) // told of a call that was refused and went well when made again; may be nil
}

// mapping is a buffer's memory, a piece for each plane.
type mapping struct {
	planes  [][]byte
	offsets []uintptr
}

// bufferCall is the argument of a call about a buffer. Its queue keeps them outside of Go's
// memory, because the kernel follows the address of the planes that stands in the buffer.
type bufferCall struct {
	buffer buffer
	planes [maxPlanes]plane
}

// used returns the bytes that plane i holds, the offset of its content included.
func (c *bufferCall) used(i int) int {
	if c.buffer.Type.multiplanar() {
		return int(c.planes[i].BytesUsed)
	}
	return int(c.buffer.BytesUsed)
}

// offset returns where plane i's content begins.
func (c *bufferCall) offset(i int) int {
	if c.buffer.Type.multiplanar() {
		return int(c.planes[i].DataOffset)
	}
	return 0
}

// mono returns the driver's time stamp in ns.
func (c *bufferCall) mono() int64 { return c.buffer.Time.Sec*1e9 + c.buffer.Time.Usec*1e3 }

// newQueue returns the queue of this type. Nothing is asked of the device yet.
func newQueue(n node, typ bufType) *queue { return &queue{node: n, typ: typ, memory: memoryMapped} }

// getFormat returns the format that is set.
func (q *queue) getFormat() (format, error) {
	f := format{Type: q.typ}
	if err := q.node.ioctl(vidiocGetFmt, unsafe.Pointer(&f)); err != nil {
		return f, callError(vidiocGetFmt, err)
	}
	q.note(&f)
	return f, nil
}

// setFormat sets a format. f becomes what the driver made of it.
func (q *queue) setFormat(f *format) error {
	f.Type = q.typ
	if err := q.node.ioctl(vidiocSetFmt, unsafe.Pointer(f)); err != nil {
		return callError(vidiocSetFmt, err)
	}
	q.note(f)
	return nil
}

func (q *queue) note(f *format) {
	q.planes = 1
	if q.typ.multiplanar() {
		q.planes = max(1, min(int(f.multi().NumPlanes), maxPlanes))
	}
}

// request allocates count buffers and maps them where the driver brings the memory. The driver
// may give more or fewer. On an error nothing is left of it.
func (q *queue) request(count int) error {
	r := requestBuffers{Count: uint32(count), Type: q.typ, Memory: q.memory}
	err := twice(func() error {
		if err := q.node.ioctl(vidiocRequestBuffers, unsafe.Pointer(&r)); err != nil {
			return callError(vidiocRequestBuffers, err)
		}
		return nil
	}, q.refused)
	if err != nil {
		return err
	}
	n := min(int(r.Count), maxBuffers)
	if err := q.allocate(n + 1); err != nil {
		q.release()
		return err
	}
	q.buffers = make([]mapping, n)
	if n == 0 {
		q.release()
		return fmt.Errorf("%s: the driver gave no buffer", vidiocRequestBuffers)
	}
	if q.memory != memoryMapped {
		return nil
	}
	for i := range q.buffers {
		if err := q.mapBuffer(i); err != nil {
			q.unmapAll()
			q.release()
			return err
		}
	}
	return nil
}

// allocate makes room for n arguments.
func (q *queue) allocate(n int) error {
	b, err := unix.Mmap(-1, 0, n*int(unsafe.Sizeof(bufferCall{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("memory for %d calls: %w", n, err)
	}
	q.arena, q.calls = b, unsafe.Slice((*bufferCall)(unsafe.Pointer(&b[0])), n)
	return nil
}

// mapBuffer asks where buffer i lies and maps it.
func (q *queue) mapBuffer(i int) error {
	c := &q.calls[i]
	q.prepare(c, i)
	if err := q.node.ioctl(vidiocQueryBuffer, unsafe.Pointer(c)); err != nil {
		return callError(vidiocQueryBuffer, err)
	}
	for p := range q.planes {
		offset, length := c.buffer.M, int(c.buffer.Length)
		if q.typ.multiplanar() {
			offset, length = c.planes[p].M, int(c.planes[p].Length)
		}
		offset &= 0xffffffff // the union's 32 bits that count
		b, err := q.node.mmap(offset, length)
		if err != nil {
			return fmt.Errorf("map buffer %d, plane %d, %d bytes: %w", i, p, length, err)
		}
		q.buffers[i].planes = append(q.buffers[i].planes, b)
		q.buffers[i].offsets = append(q.buffers[i].offsets, offset)
	}
	return nil
}

// prepare makes c, one of calls, an argument for buffer i.
func (q *queue) prepare(c *bufferCall, i int) {
	c.buffer = buffer{Index: uint32(i), Type: q.typ, Memory: q.memory}
	if q.typ.multiplanar() {
		clear(c.planes[:q.planes])
		c.buffer.Length = uint32(q.planes)
		c.buffer.M = uintptr(unsafe.Pointer(&c.planes))
	}
}

// argument returns buffer i's argument, to be filled in for enqueue: bytes used, descriptors,
// a time stamp.
func (q *queue) argument(i int) *bufferCall {
	c := &q.calls[i]
	q.prepare(c, i)
	return c
}

// enqueue gives buffer i to the driver, with the argument that argument returned.
func (q *queue) enqueue(c *bufferCall) error {
	if err := q.node.ioctl(vidiocQueueBuffer, unsafe.Pointer(c)); err != nil {
		return callError(vidiocQueueBuffer, err)
	}
	return nil
}

// dequeue takes the next buffer that the driver is done with. The result is valid until the
// next call. An error is a bare unix.Errno: EAGAIN where there is none.
func (q *queue) dequeue() (*bufferCall, error) {
	c := &q.calls[len(q.calls)-1]
	q.prepare(c, 0)
	if err := q.node.ioctl(vidiocDequeueBuffer, unsafe.Pointer(c)); err != nil {
		return nil, err
	}
	if int(c.buffer.Index) >= len(q.buffers) {
		return nil, fmt.Errorf("%s: buffer %d of %d", vidiocDequeueBuffer, c.buffer.Index, len(q.buffers))
	}
	return c, nil
}

// stream switches the queue on or off. Switched off, all buffers are the caller's again.
func (q *queue) stream(on bool) error {
	req := vidiocStreamOff
	if on {
		req = vidiocStreamOn
	}
	typ := q.typ
	if err := q.node.ioctl(req, unsafe.Pointer(&typ)); err != nil {
		return callError(req, err)
	}
	return nil
}

// export returns a DMABUF descriptor of plane p of buffer i, which the caller closes.
func (q *queue) export(i, p, flags int) (int, error) {
	e := exportBuffer{Type: q.typ, Index: uint32(i), Plane: uint32(p), Flags: uint32(flags)}
	if err := q.node.ioctl(vidiocExportBuffer, unsafe.Pointer(&e)); err != nil {
		return -1, callError(vidiocExportBuffer, err)
	}
	return int(e.FD), nil
}

// unmap lets go of buffer i's memory.
func (q *queue) unmap(i int) {
	for _, b := range q.buffers[i].planes {
		_ = q.node.munmap(b) //nolint:errcheck // what is not mapped needs no unmapping
	}
	q.buffers[i] = mapping{}
}

func (q *queue) unmapAll() {
	for i := range q.buffers {
		q.unmap(i)
	}
}

// release gives the buffers back to the driver, after they were unmapped, and forgets them.
func (q *queue) release() {
	r := requestBuffers{Type: q.typ, Memory: q.memory}
	_ = q.node.ioctl(vidiocRequestBuffers, unsafe.Pointer(&r)) //nolint:errcheck // closing the node does it too
	q.forget()
}

// forget drops the arguments. No call about a buffer may follow.
func (q *queue) forget() {
	if q.arena != nil {
		_ = unix.Munmap(q.arena) //nolint:errcheck // it is mapped
	}
	q.arena, q.calls = nil, nil
}
