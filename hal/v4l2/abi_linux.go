package v4l2

import "unsafe"

// The kernel's structures, by linux/videodev2.h, for 64-bit and 32-bit little-endian machines
// with 64-bit time (Linux 5.6 and later). A pointer-sized field is a uintptr: 4 bytes where
// pointers have 4. What C aligns to 8 bytes is padded by hand, because Go on 32-bit ARM aligns
// to 4. Fields have names that a trace can show.

// capability is struct v4l2_capability.
type capability struct {
	Driver       name16
	Card         name32
	Bus          name32
	Version      uint32
	Capabilities uint32
	DeviceCaps   uint32
	_            [3]uint32
}

// own returns the capabilities of the node that was asked, not of the whole device.
func (c *capability) own() uint32 {
	if c.Capabilities&capDeviceCaps != 0 {
		return c.DeviceCaps
	}
	return c.Capabilities
}

// formatDesc is struct v4l2_fmtdesc.
type formatDesc struct {
	Index, Type, Flags uint32
	Description        name32
	Pixel              fourCC
	MbusCode           uint32
	_                  [3]uint32
}

// format is struct v4l2_format: Union is a pixFormat or a pixFormatMP, by Type.
type format struct {
	Type  bufType
	_     [unsafe.Sizeof(uintptr(0)) - 4]byte
	Union [200]byte
}

// single returns the format as the single-planar API has it.
func (f *format) single() *pixFormat { return (*pixFormat)(unsafe.Pointer(&f.Union)) }

// multi returns the format as the multi-planar API has it.
func (f *format) multi() *pixFormatMP { return (*pixFormatMP)(unsafe.Pointer(&f.Union)) }

// pixFormat is struct v4l2_pix_format.
type pixFormat struct {
	Width, Height             uint32
	Pixel                     fourCC
	Field                     uint32
	BytesPerLine              uint32
	SizeImage                 uint32
	Colorspace                uint32
	Priv                      uint32
	Flags                     uint32
	YcbcrEnc, Quant, XferFunc uint32
}

// pixFormatMP is struct v4l2_pix_format_mplane.
type pixFormatMP struct {
	Width, Height   uint32
	Pixel           fourCC
	Field           uint32
	Colorspace      uint32
	Planes          [maxPlanes]planeFormat
	NumPlanes       uint8
	Flags           uint8
	YcbcrEnc, Quant uint8
	XferFunc        uint8
	_               [7]uint8
}

// planeFormat is struct v4l2_plane_pix_format.
type planeFormat struct {
	SizeImage, BytesPerLine uint32
	_                       [6]uint16
}

// requestBuffers is struct v4l2_requestbuffers.
type requestBuffers struct {
	Count        uint32
	Type         bufType
	Memory       memory
	Capabilities uint32
	Flags        uint32
}

// timeval is struct __kernel_v4l2_timeval.
type timeval struct {
	Sec, Usec int64
}

// buffer is struct v4l2_buffer. M is the offset to map (single-planar), the address of the
// planes (multi-planar) or a DMABUF descriptor.
type buffer struct {
	Index     uint32
	Type      bufType
	BytesUsed uint32
	Flags     uint32
	Field     uint32
	_         uint32
	Time      timeval
	_         [16]byte // timecode
	Sequence  uint32
	Memory    memory
	M         uintptr
	Length    uint32
	_         [2]uint32
}

// plane is struct v4l2_plane. M is the offset to map or a DMABUF descriptor.
type plane struct {
	BytesUsed, Length uint32
	M                 uintptr
	DataOffset        uint32
	_                 [11]uint32
}

// exportBuffer is struct v4l2_exportbuffer.
type exportBuffer struct {
	Type                bufType
	Index, Plane, Flags uint32
	FD                  int32
	_                   [11]uint32
}

// fraction is struct v4l2_fract.
type fraction struct {
	Num, Den uint32
}

// streamParm is struct v4l2_streamparm; capture and output have the rate at the same place.
type streamParm struct {
	Type         bufType
	Capability   uint32
	Mode         uint32
	TimePerFrame fraction
	Extended     uint32
	Buffers      uint32
	_            [4]uint32
	_            [160]byte
}

// sizeEnum is struct v4l2_frmsizeenum: Discrete sizes have W and H in the first two words,
// stepwise ones min, max and step of the width, then of the height.
type sizeEnum struct {
	Index uint32
	Pixel fourCC
	Type  uint32
	Words [6]uint32
	_     [2]uint32
}

// rateEnum is struct v4l2_frmivalenum: Intervals has one where Type is discrete; else the
// shortest, the longest and the step.
type rateEnum struct {
	Index         uint32
	Pixel         fourCC
	Width, Height uint32
	Type          uint32
	Intervals     [3]fraction
	_             [2]uint32
}

// control is struct v4l2_control.
type control struct {
	ID    uint32
	Value int32
}

// queryControl is struct v4l2_query_ext_ctrl.
type queryControl struct {
	ID, Type              uint32
	Name                  name32
	Min, Max              int64
	Step                  uint64
	Default               int64
	Flags                 uint32
	ElemSize, Elems, Dims uint32
	_                     [4]uint32
	_                     [32]uint32
}

// queryMenu is struct v4l2_querymenu: Name is the item's name, or its 64-bit value where the
// control is a menu of integers.
type queryMenu struct {
	ID, Index uint32
	Name      name32
	_         uint32
}

// eventSubscription is struct v4l2_event_subscription.
type eventSubscription struct {
	Type, ID, Flags uint32
	_               [5]uint32
}

// event is struct v4l2_event.
type event struct {
	Type              uint32
	_                 uint32
	Union             hex64
	Pending, Sequence uint32
	Sec, Nsec         int64
	ID                uint32
	_                 [9]uint32
}

// changes returns what a SOURCE_CHANGE event says has changed.
func (e *event) changes() uint32 { return *(*uint32)(unsafe.Pointer(&e.Union)) }

// encoderCommand is struct v4l2_encoder_cmd.
type encoderCommand struct {
	Cmd, Flags uint32
	_          [8]uint32
}

// rectangle is struct v4l2_rect.
type rectangle struct {
	Left, Top, Width, Height int32
}

// selection is struct v4l2_selection.
type selection struct {
	Type   bufType
	Target uint32
	Flags  uint32
	Rect   rectangle
	_      [9]uint32
}

// dvTimings is struct v4l2_dv_timings, handed from one call to the next as it is.
type dvTimings struct {
	Type  uint32
	Union [32]uint32
}

// The sizes, checked when this is compiled: an index that is not 0 does not compile.
const word = unsafe.Sizeof(uintptr(0)) // 8 or 4

var (
	_ = [1]byte{}[unsafe.Sizeof(capability{})-104]
	_ = [1]byte{}[unsafe.Sizeof(formatDesc{})-64]
	_ = [1]byte{}[unsafe.Sizeof(format{})-(200+word)]
	_ = [1]byte{}[unsafe.Sizeof(pixFormat{})-48]
	_ = [1]byte{}[unsafe.Sizeof(pixFormatMP{})-192]
	_ = [1]byte{}[unsafe.Sizeof(requestBuffers{})-20]
	_ = [1]byte{}[unsafe.Sizeof(buffer{})-(72+2*word)]
	_ = [1]byte{}[unsafe.Offsetof(buffer{}.M)-64]
	_ = [1]byte{}[unsafe.Sizeof(plane{})-(56+word)]
	_ = [1]byte{}[unsafe.Sizeof(exportBuffer{})-64]
	_ = [1]byte{}[unsafe.Sizeof(streamParm{})-204]
	_ = [1]byte{}[unsafe.Sizeof(sizeEnum{})-44]
	_ = [1]byte{}[unsafe.Sizeof(rateEnum{})-52]
	_ = [1]byte{}[unsafe.Sizeof(control{})-8]
	_ = [1]byte{}[unsafe.Sizeof(queryControl{})-232]
	_ = [1]byte{}[unsafe.Sizeof(queryMenu{})-44]
	_ = [1]byte{}[unsafe.Sizeof(eventSubscription{})-32]
	_ = [1]byte{}[unsafe.Sizeof(event{})-136]
	_ = [1]byte{}[unsafe.Sizeof(encoderCommand{})-40]
	_ = [1]byte{}[unsafe.Sizeof(selection{})-64]
	_ = [1]byte{}[unsafe.Sizeof(dvTimings{})-132]
)
