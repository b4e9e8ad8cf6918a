//go:build linux

package v4l2

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

// FakeEncoder is a made-up memory-to-memory encoder behind the ioctl seam. It keeps to what the
// kernel's documentation and vicodec do; its "coded" frames carry a checksum of the picture. It
// shows what this package does, not what a real driver does: bench/hil is for that.
type FakeEncoder struct {
	Path, Card, Bus string
	Multi           bool
	Coded, Raw      []string
	Align           int  // lines are rounded up to this many bytes
	MaxWidth        int  // of pictures; 0: no limit
	Tall            int  // heights are rounded up to this many lines
	Crop            bool // S_SELECTION works
	NoForce         bool // it has no control that forces a key frame
	NoStop          bool // ENCODER_CMD is not known
	NoLast          bool // it marks no last buffer, and says the end by the event alone
	NoDMABUF        bool // QBUF refuses another device's memory
	NoStamps        bool // time stamps are not copied
	NotStreaming    bool
	Delay           int // pictures that it keeps before the first frame comes
	Fail            map[string]unix.Errno
	Drop            func(n int) bool   // picture n comes to nothing at all
	Damage          func(n int) bool   // frame n is marked as damaged
	Content         func(n int) []byte // what frame n holds, instead

	mu       sync.Mutex
	controls map[uint32]int32
	opened   int
	mapped   int
	shared   int
	nodes    []*fakeNode
}

// Set makes a request fail with an error, by its name; 0: it works again.
func (d *FakeEncoder) Set(name string, errno unix.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Fail == nil {
		d.Fail = map[string]unix.Errno{}
	}
	d.Fail[name] = errno
	for _, n := range d.nodes {
		n.signal()
	}
}

// Unplug makes the device vanish under its users.
func (d *FakeEncoder) Unplug() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.nodes {
		n.gone = true
		n.signal()
	}
}

// Control returns what a control was set to.
func (d *FakeEncoder) Control(id uint32) (int32, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.controls[id]
	return v, ok
}

// Left returns how many nodes are open and how many pieces of memory are mapped.
func (d *FakeEncoder) Left() (open, mapped int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened, d.mapped
}

// Shared returns how many pictures it read in another device's memory.
func (d *FakeEncoder) Shared() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shared
}

// Controls of the fake, by the names that tests use.
const (
	FakeGOP, FakeBitrate, FakeHeader  = controlGOP, controlBitrate, controlHeaderMode
	FakeProfile, FakeLevel, FakeForce = controlProfile264, controlLevel264, controlForceKey
	FakeQuality                       = controlJPEGQuality
)

func fakeMachine(fakes []*FakeEncoder) encoders {
	return encoders{
		list: func() ([]string, error) {
			var paths []string
			for _, f := range fakes {
				paths = append(paths, f.Path)
			}
			return paths, nil
		},
		open: func(path string) (node, error) {
			i := slices.IndexFunc(fakes, func(f *FakeEncoder) bool { return f.Path == path })
			f := fakes[i]
			if errno := f.Fail["open"]; errno != 0 {
				return nil, errno
			}
			return newFakeNode(f, false), nil
		},
	}
}

// FindFakes lists encoders as Driver.Encoders does.
func FindFakes(ctx context.Context, fakes ...*FakeEncoder) ([]hal.EncoderInfo, error) {
	return fakeMachine(fakes).infos(ctx)
}

// OpenFake opens an encoder as Driver.OpenEncoder does.
func OpenFake(ctx context.Context, name string, cfg hal.EncoderConfig, fakes ...*FakeEncoder) (hal.Encoder, error) {
	e, err := fakeMachine(fakes).openEncoder(ctx, name, cfg)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// fakeBuffer is a buffer of the fake; its memory is a file, so that it can be mapped and shared.
type fakeBuffer struct {
	files []int
	sizes []int
	fds   [maxPlanes]int // of another device
	used  int
	flags uint32
	time  timeval
}

// fakeQueue is a queue of the fake.
type fakeQueue struct {
	format       format
	memory       memory
	buffers      []*fakeBuffer
	queued, done []int
	on           bool
}

// fakeNode is an open node of the fake: an encoder, or a camera.
type fakeNode struct {
	dev    *FakeEncoder
	camera bool
	ready  int // eventfd
	fds    [2]unix.PollFd
	one    [8]byte

	q          [2]fakeQueue // raw, coded; a camera has the second
	gone       bool
	stopping   bool
	stopped    bool
	lastTaken  bool
	events     int
	gop, count int
	forced     bool
	scratch    [][]byte
	out        []byte
	picture    picture
}

func newFakeNode(d *FakeEncoder, camera bool) *fakeNode {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		panic(err)
	}
	n := &fakeNode{dev: d, camera: camera, ready: fd}
	for i := range n.q {
		n.q[i].queued, n.q[i].done = make([]int, 0, maxBuffers), make([]int, 0, maxBuffers)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened++
	d.nodes = append(d.nodes, n)
	if d.controls == nil {
		d.controls = map[uint32]int32{}
	}
	return n
}

func (n *fakeNode) signal() {
	n.one[0] = 1
	_, _ = unix.Write(n.ready, n.one[:])
}

func (n *fakeNode) queue(t bufType) *fakeQueue {
	if t == outputSingle || t == outputMulti {
		return &n.q[0]
	}
	return &n.q[1]
}

func (n *fakeNode) rightType(t bufType) bool { return t.multiplanar() == n.dev.Multi }

// fails returns the error that a request was set to give.
func (n *fakeNode) fails(req request) unix.Errno {
	if n.gone {
		return unix.ENODEV
	}
	if len(n.dev.Fail) == 0 {
		return 0
	}
	return n.dev.Fail[req.String()[len("VIDIOC_"):]]
}

func (n *fakeNode) ioctl(req request, arg unsafe.Pointer) error {
	d := n.dev
	d.mu.Lock()
	defer d.mu.Unlock()
	if errno := n.fails(req); errno != 0 {
		return errno
	}
	if errno := n.call(req, arg); errno != 0 {
		return errno
	}
	return nil
}

func (n *fakeNode) call(req request, arg unsafe.Pointer) unix.Errno { //nolint:cyclop // one line for each request
	switch req { //nolint:exhaustive // the others it does not know
	case vidiocQueryCap:
		return n.queryCap((*capability)(arg))
	case vidiocEnumFmt:
		return n.enumFormat((*formatDesc)(arg))
	case vidiocSetFmt, vidiocGetFmt:
		return n.setFormat((*format)(arg), req == vidiocSetFmt)
	case vidiocRequestBuffers:
		return n.requestBuffers((*requestBuffers)(arg))
	case vidiocQueryBuffer:
		return n.queryBuffer((*bufferCall)(arg))
	case vidiocQueueBuffer:
		return n.enqueue((*bufferCall)(arg))
	case vidiocDequeueBuffer:
		return n.dequeue((*bufferCall)(arg))
	case vidiocExportBuffer:
		return n.export((*exportBuffer)(arg))
	case vidiocStreamOn, vidiocStreamOff:
		return n.stream(*(*bufType)(arg), req == vidiocStreamOn)
	case vidiocQueryControl:
		return n.queryControl((*queryControl)(arg))
	case vidiocSetControl:
		c := (*control)(arg)
		n.dev.controls[c.ID] = c.Value
		if c.ID == controlForceKey {
			n.forced = true
		}
		return 0
	case vidiocGetControl:
		if c := (*control)(arg); c.ID == controlMinOutput {
			c.Value = int32(n.dev.Delay + 1)
			return 0
		}
		return unix.EINVAL
	case vidiocSetSelection:
		if !n.dev.Crop {
			return unix.EINVAL
		}
		return 0
	case vidiocEncoderCommand:
		return n.stop()
	case vidiocSubscribeEvent:
		return 0
	case vidiocDequeueEvent:
		if n.events == 0 {
			return unix.ENOENT
		}
		n.events--
		*(*event)(arg) = event{Type: eventEOS, Pending: uint32(n.events)}
		return 0
	}
	return unix.ENOTTY
}

func (n *fakeNode) queryCap(c *capability) unix.Errno {
	copy(c.Driver[:], "fake")
	copy(c.Card[:], n.dev.Card)
	copy(c.Bus[:], n.dev.Bus)
	c.DeviceCaps = capM2M
	if n.dev.Multi {
		c.DeviceCaps = capM2MMulti
	}
	if !n.dev.NotStreaming {
		c.DeviceCaps |= capStreaming
	}
	c.Capabilities = c.DeviceCaps | capDeviceCaps
	return 0
}

func (n *fakeNode) enumFormat(f *formatDesc) unix.Errno {
	names := n.dev.Coded
	if t := bufType(f.Type); !n.rightType(t) {
		return unix.EINVAL
	} else if t == outputSingle || t == outputMulti {
		names = n.dev.Raw
	}
	if int(f.Index) >= len(names) {
		return unix.EINVAL
	}
	f.Pixel = fourCCOf(names[f.Index])
	return 0
}

func roundUp(v, to int) int {
	if to < 2 {
		return v
	}
	return (v + to - 1) / to * to
}

func (n *fakeNode) setFormat(f *format, set bool) unix.Errno {
	if !n.rightType(f.Type) {
		return unix.EINVAL
	}
	q := n.queue(f.Type)
	if !set {
		*f = q.format
		return 0
	}
	raw := n.camera || q == &n.q[0]
	var w, h *uint32
	var pixel fourCC
	if f.Type.multiplanar() {
		w, h, pixel = &f.multi().Width, &f.multi().Height, f.multi().Pixel
	} else {
		w, h, pixel = &f.single().Width, &f.single().Height, f.single().Pixel
	}
	if m := n.dev.MaxWidth; m > 0 {
		*w = uint32(min(int(*w), m))
	}
	size := 64 << 10
	if raw {
		*h = uint32(roundUp(int(*h), n.dev.Tall))
	}
	k, _ := lookup(pixel)
	stride := roundUp(int(*w), n.dev.Align)
	sizes := []int{size}
	strides := []int{0}
	if raw {
		luma := stride * int(*h)
		switch k.layout {
		case hal.YUYV, hal.UYVY:
			strides, sizes = []int{2 * stride}, []int{2 * luma}
		case hal.NM12:
			strides, sizes = []int{stride, stride}, []int{luma, luma / 2}
		case hal.YM12:
			strides, sizes = []int{stride, stride / 2, stride / 2}, []int{luma, luma / 4, luma / 4}
		case hal.PixelUnknown, hal.I420, hal.NV12, hal.NV21:
			strides, sizes = []int{stride}, []int{luma * 3 / 2}
		}
	}
	if f.Type.multiplanar() {
		f.multi().NumPlanes = uint8(len(sizes))
		for i := range sizes {
			f.multi().Planes[i] = planeFormat{SizeImage: uint32(sizes[i]), BytesPerLine: uint32(strides[i])}
		}
	} else {
		f.single().BytesPerLine, f.single().SizeImage = uint32(strides[0]), uint32(sizes[0])
	}
	q.format = *f
	if q == &n.q[0] {
		var err error
		if n.picture, err = describe(f); err != nil {
			return unix.EINVAL
		}
		n.scratch = nil
		for _, s := range n.picture.sizes {
			n.scratch = append(n.scratch, make([]byte, s))
		}
		n.out = make([]byte, 0, 64<<10)
	}
	return 0
}

func (q *fakeQueue) sizes() []int {
	if !q.format.Type.multiplanar() {
		return []int{int(q.format.single().SizeImage)}
	}
	var all []int
	for i := range q.format.multi().NumPlanes {
		all = append(all, int(q.format.multi().Planes[i].SizeImage))
	}
	return all
}

func (n *fakeNode) requestBuffers(r *requestBuffers) unix.Errno {
	q := n.queue(r.Type)
	if q.on {
		return unix.EBUSY
	}
	for _, b := range q.buffers {
		for _, f := range b.files {
			_ = unix.Close(f)
		}
	}
	q.buffers, q.memory = nil, r.Memory
	q.queued, q.done = q.queued[:0], q.done[:0]
	for range r.Count {
		b := &fakeBuffer{sizes: q.sizes()}
		for _, size := range b.sizes {
			if r.Memory != memoryMapped {
				break
			}
			fd, err := unix.MemfdCreate("fake", unix.MFD_CLOEXEC)
			if err != nil || unix.Ftruncate(fd, int64(roundUp(size, 4096))) != nil {
				return unix.ENOMEM
			}
			b.files = append(b.files, fd)
		}
		q.buffers = append(q.buffers, b)
	}
	return 0
}

// place and offset turn a queue, buffer and plane into what QUERYBUF gives for mmap, and back.
func offsetOf(queue, buffer, plane int) uintptr {
	return uintptr(queue<<24|buffer<<16|plane<<12) + 1<<28
}

func (n *fakeNode) queryBuffer(c *bufferCall) unix.Errno {
	q := n.queue(c.buffer.Type)
	i := int(c.buffer.Index)
	if i >= len(q.buffers) {
		return unix.EINVAL
	}
	side := 1
	if q == &n.q[0] {
		side = 0
	}
	for p, size := range q.buffers[i].sizes {
		if c.buffer.Type.multiplanar() {
			c.planes[p].M, c.planes[p].Length = offsetOf(side, i, p), uint32(size)
		} else {
			c.buffer.M, c.buffer.Length = offsetOf(side, i, p), uint32(size)
		}
	}
	return 0
}

func (n *fakeNode) enqueue(c *bufferCall) unix.Errno {
	q := n.queue(c.buffer.Type)
	i := int(c.buffer.Index)
	if i >= len(q.buffers) || slices.Contains(q.queued, i) || slices.Contains(q.done, i) || c.buffer.Memory != q.memory {
		return unix.EINVAL
	}
	b := q.buffers[i]
	if q.memory == memoryDMABUF {
		if n.dev.NoDMABUF {
			return unix.EINVAL
		}
		for p, size := range b.sizes {
			fd, length := c.buffer.M, c.buffer.Length
			if c.buffer.Type.multiplanar() {
				fd, length = c.planes[p].M, c.planes[p].Length
			}
			if b.fds[p] = int(fd); int(length) < size {
				return unix.EINVAL
			}
		}
	}
	b.time, b.flags = c.buffer.Time, 0
	q.queued = append(q.queued, i)
	n.process()
	return 0
}

func (n *fakeNode) dequeue(c *bufferCall) unix.Errno {
	q := n.queue(c.buffer.Type)
	if q == &n.q[1] && n.lastTaken {
		return unix.EPIPE
	}
	if len(q.done) == 0 {
		return unix.EAGAIN
	}
	i := q.done[0]
	q.done = q.done[:copy(q.done, q.done[1:])]
	b := q.buffers[i]
	c.buffer.Index, c.buffer.Flags, c.buffer.Time = uint32(i), b.flags, b.time
	c.buffer.BytesUsed, c.planes[0].BytesUsed = uint32(b.used), uint32(b.used)
	if b.flags&bufLast != 0 {
		n.lastTaken = true
	}
	return 0
}

func (n *fakeNode) export(x *exportBuffer) unix.Errno {
	q := n.queue(x.Type)
	fd, err := unix.FcntlInt(uintptr(q.buffers[x.Index].files[x.Plane]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return unix.EMFILE
	}
	x.FD = int32(fd)
	return 0
}

func (n *fakeNode) stream(t bufType, on bool) unix.Errno {
	q := n.queue(t)
	q.on = on
	if !on {
		q.queued, q.done = q.queued[:0], q.done[:0]
		if q == &n.q[0] {
			n.gop = 0
		} else {
			n.stopping, n.stopped, n.lastTaken = false, false, false
		}
	}
	n.process()
	return 0
}

func (n *fakeNode) queryControl(c *queryControl) unix.Errno {
	type bounds struct {
		id, typ  uint32
		min, max int64
	}
	for _, b := range []bounds{
		{controlGOP, controlInteger, 1, 16},
		{controlBitrate, controlInteger, 1000, 100_000_000},
		{controlHeaderMode, controlMenu, 0, 1},
		{controlProfile264, controlMenu, 0, 4},
		{controlLevel264, controlMenu, 0, 19},
		{controlForceKey, controlButton, 0, 0},
		{controlJPEGQuality, controlInteger, 1, 100},
	} {
		if b.id == c.ID && (b.id != controlForceKey || !n.dev.NoForce) {
			c.Type, c.Min, c.Max = b.typ, b.min, b.max
			return 0
		}
	}
	return unix.EINVAL
}

func (n *fakeNode) stop() unix.Errno {
	if n.dev.NoStop {
		return unix.ENOTTY
	}
	if n.q[0].on {
		n.stopping = true
		n.process()
	}
	return 0
}

// process does what there is to do now.
func (n *fakeNode) process() {
	defer n.signal()
	raw, coded := &n.q[0], &n.q[1]
	if n.camera {
		coded.done = append(coded.done, coded.queued...)
		coded.queued = coded.queued[:0]
		return
	}
	if !raw.on || !coded.on {
		return
	}
	for len(raw.queued) > 0 && len(coded.queued) > 0 && (len(raw.queued) > n.dev.Delay || n.stopping) {
		r := raw.queued[0]
		raw.queued = raw.queued[:copy(raw.queued, raw.queued[1:])]
		raw.done = append(raw.done, r)
		number := n.count
		n.count++
		if n.dev.Drop != nil && n.dev.Drop(number) {
			continue
		}
		i := coded.queued[0]
		coded.queued = coded.queued[:copy(coded.queued, coded.queued[1:])]
		n.encode(raw.buffers[r], i, number)
	}
	if n.stopping && !n.stopped && len(raw.queued) == 0 {
		if n.dev.NoLast {
			n.stopped = true
			n.events++
			return
		}
		if len(coded.queued) == 0 {
			return // it waits for a buffer to say so
		}
		i := coded.queued[0]
		coded.queued = coded.queued[:copy(coded.queued, coded.queued[1:])]
		b := coded.buffers[i]
		b.used, b.flags, b.time = 0, bufLast, timeval{}
		coded.done = append(coded.done, i)
		n.stopped = true
		n.events++
	}
}

// encode writes a frame of a picture into coded buffer i.
func (n *fakeNode) encode(from *fakeBuffer, i, number int) {
	for p := range n.scratch {
		fd := from.fds[p]
		if n.q[0].memory == memoryMapped {
			fd = from.files[p]
		}
		if _, err := unix.Pread(fd, n.scratch[p], 0); err != nil {
			panic(err)
		}
	}
	if n.q[0].memory == memoryDMABUF {
		n.dev.shared++
	}
	gop := int(n.dev.controls[controlGOP])
	key := n.gop == 0 || n.forced
	if key {
		n.gop = 0
	}
	n.forced = false
	if n.gop++; n.gop >= max(1, gop) {
		n.gop = 0
	}
	b := n.q[1].buffers[i]
	b.flags, b.time = 0, from.time
	if n.dev.NoStamps {
		b.time = timeval{}
	}
	sum := PictureSum(n.view())
	n.out = n.out[:0]
	switch {
	case n.dev.Content != nil:
		n.out = append(n.out, n.dev.Content(number)...)
	case pixelOf(&n.q[1].format) == fourCCOf("FWHT"):
		n.out = append(n.out, 0x4f, 0x4f, 0x4f, 0x4f, 0xff, 0xff, 0xff, 0xff)
		flags := uint32(0)
		if key {
			flags = fwhtKeyFlag
		}
		for _, v := range [...]uint32{3, 0, 0, flags, 0, 0, 0, 0, 8} {
			n.out = binary.BigEndian.AppendUint32(n.out, v)
		}
		n.out = appendHex(n.out, sum)
	case pixelOf(&n.q[1].format) == fourCCOf("JPEG"):
		n.out = appendHex(append(n.out, 0xff, 0xd8, 0xff, 0xe0), sum)
		n.out = append(n.out, 0xff, 0xd9)
	case key:
		n.out = append(n.out, "\x00\x00\x00\x01\x67SPS\x00\x00\x00\x01\x68PPS\x00\x00\x01\x65"...)
		n.out = appendHex(n.out, sum)
		b.flags = bufKeyFrame
	default:
		n.out = appendHex(append(n.out, "\x00\x00\x00\x01\x09\xf0\x00\x00\x00\x01\x41"...), sum)
	}
	if n.dev.Damage != nil && n.dev.Damage(number) {
		b.flags |= bufError
	}
	if _, err := unix.Pwrite(b.files[0], n.out, 0); err != nil {
		panic(err)
	}
	b.used = len(n.out)
	n.q[1].done = append(n.q[1].done, i)
}

// view is the picture that was read.
func (n *fakeNode) view() pixel.Picture {
	l := &n.picture.layout
	p := pixel.Picture{Format: flat(l.Pixel), Width: n.picture.width, Height: n.picture.height}
	if h := n.dev.Tall; h > 1 && n.dev.Crop {
		p.Height -= h / 2 // what tests leave of it
	}
	for i, pl := range l.Planes {
		if pl.Stride > 0 {
			p.Plane[i], p.Stride[i] = n.scratch[pl.Memory][pl.Offset:], pl.Stride
		}
	}
	return p
}

func appendHex(b []byte, v uint32) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}

// PictureSum is a checksum of a picture's samples, however they lie.
func PictureSum(p pixel.Picture) uint32 {
	sum := uint32(0)
	for i := range p.Plane {
		if p.Plane[i] == nil {
			continue
		}
		row, lines := p.Width, p.Height
		switch {
		case p.Format == hal.YUYV || p.Format == hal.UYVY:
			row *= 2
		case i > 0 && p.Format == hal.I420:
			row, lines = row/2, lines/2
		case i > 0:
			lines /= 2
		}
		for y := range lines {
			sum = crc32.Update(sum, crc32.IEEETable, p.Plane[i][y*p.Stride[i]:][:row])
		}
	}
	return sum
}

func (n *fakeNode) mmap(offset uintptr, length int) ([]byte, error) {
	n.dev.mu.Lock()
	defer n.dev.mu.Unlock()
	offset -= 1 << 28
	if errno := n.dev.Fail["mmap"]; errno != 0 {
		return nil, errno
	}
	b, err := unix.Mmap(n.q[offset>>24].buffers[offset>>16&255].files[offset>>12&15], 0, length,
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		n.dev.mapped++
	}
	return b, err
}

func (n *fakeNode) munmap(b []byte) error {
	n.dev.mu.Lock()
	defer n.dev.mu.Unlock()
	n.dev.mapped--
	return unix.Munmap(b)
}

func (n *fakeNode) poll(events int16, w *wake, _ time.Duration) (int16, bool, error) {
	for {
		n.dev.mu.Lock()
		if errno := n.dev.Fail["poll"]; errno != 0 {
			n.dev.mu.Unlock()
			return 0, false, errno
		}
		ready := n.state() & (events | unix.POLLERR | unix.POLLHUP)
		n.dev.mu.Unlock()
		n.fds = [2]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(n.ready), Events: unix.POLLIN}}
		limit := -1
		if ready != 0 {
			limit = 0
		}
		if _, err := unix.Poll(n.fds[:], limit); err != nil {
			continue
		}
		if woken := n.fds[0].Revents != 0; ready != 0 || woken {
			return ready, woken, nil
		}
		var b [8]byte
		_, _ = unix.Read(n.ready, b[:])
	}
}

// state is what poll says, as v4l2_m2m_poll has it.
func (n *fakeNode) state() int16 {
	raw, coded := &n.q[0], &n.q[1]
	some := func(q *fakeQueue) bool { return q.on && len(q.queued)+len(q.done) > 0 }
	switch {
	case n.gone:
		return unix.POLLERR | unix.POLLHUP
	case !some(raw) && !some(coded) && !n.lastTaken || n.dev.Fail["DQBUF"] != 0:
		return unix.POLLERR
	}
	s := int16(0)
	if len(raw.done) > 0 {
		s |= unix.POLLOUT
	}
	if len(coded.done) > 0 || n.lastTaken {
		s |= unix.POLLIN
	}
	if n.events > 0 {
		s |= unix.POLLPRI
	}
	return s
}

func (n *fakeNode) close() error {
	n.dev.mu.Lock()
	defer n.dev.mu.Unlock()
	n.dev.opened--
	n.dev.nodes = slices.DeleteFunc(n.dev.nodes, func(o *fakeNode) bool { return o == n })
	for i := range n.q {
		n.q[i].on = false
		r := requestBuffers{Type: n.q[i].format.Type, Memory: memoryMapped}
		if n.q[i].format.Type != 0 {
			n.requestBuffers(&r)
		}
	}
	return unix.Close(n.ready)
}

// FakeCamera lends pictures in memory that a fake encoder can read, as a camera's do.
type FakeCamera struct {
	Dev    *FakeEncoder // its size, lines and API
	Track  hal.Track
	node   *fakeNode
	wake   *wake
	loans  *loans
	stream *hal.Stream
}

// OpenFakeCamera starts a made-up camera.
func OpenFakeCamera(dev *FakeEncoder, fourcc string, width, height, buffers int) (*FakeCamera, error) {
	c := &FakeCamera{Dev: dev, node: newFakeNode(dev, true)}
	typ := captureSingle
	if dev.Multi {
		typ = captureMulti
	}
	q := newQueue(c.node, typ)
	f := format{Type: typ}
	if dev.Multi {
		f.multi().Width, f.multi().Height, f.multi().Pixel = uint32(width), uint32(height), fourCCOf(fourcc)
	} else {
		f.single().Width, f.single().Height, f.single().Pixel = uint32(width), uint32(height), fourCCOf(fourcc)
	}
	if err := q.setFormat(&f); err != nil {
		return nil, err
	}
	p, err := describe(&f)
	if err != nil {
		return nil, err
	}
	if err := q.request(buffers); err != nil {
		return nil, err
	}
	if c.wake, err = newWake(); err != nil {
		return nil, err
	}
	c.loans = newLoans(q, c.wake, p.sizes)
	c.Track = p.track(25)
	c.stream = &hal.Stream{Tracks: []hal.Track{c.Track}}
	return c, c.loans.start()
}

// Next returns a picture whose samples are made of a number.
func (c *FakeCamera) Next(number int) (hal.Frame, error) {
	d, err := c.loans.dequeue()
	if err != nil {
		return hal.Frame{}, fmt.Errorf("the camera has no buffer: %w", err)
	}
	b := c.loans.lend(d)
	for p := range b.Planes() {
		m := b.Plane(p)
		for i := 0; i < len(m); i += 97 {
			m[i] = byte(number + i)
		}
	}
	at := time.Duration(number) * 40 * time.Millisecond
	return hal.Frame{Buf: b, Stream: c.stream, Key: true, Stamp: hal.Stamp{DTS: at, PTS: at, Mono: int64(number + 1)}}, nil
}

// Lent returns how many pictures are on loan.
func (c *FakeCamera) Lent() int {
	c.loans.mu.Lock()
	defer c.loans.mu.Unlock()
	return c.loans.lent
}

// Close ends the camera; it returns how many pictures are still on loan.
func (c *FakeCamera) Close() int {
	left := c.loans.close(0)
	c.wake.close()
	_ = c.node.close()
	return left
}

var _ pool.Home = (*loans)(nil)

// EncoderUnderTest is what OpenFake returns.
type EncoderUnderTest = *encoder
