package v4l2

import (
	"fmt"
	"unsafe"
)

// request is the number of an ioctl: direction, size of its argument, type 'V' and number
// (asm-generic/ioctl.h).
type request uintptr

const (
	iocWrite request = 1 << 30
	iocRead  request = 2 << 30
	iocBoth          = iocRead | iocWrite
	iocV4L2  request = 'V' << 8
)

// The requests that this package makes.
const (
	vidiocQueryCap         = iocRead | request(unsafe.Sizeof(capability{}))<<16 | iocV4L2
	vidiocEnumFmt          = iocBoth | request(unsafe.Sizeof(formatDesc{}))<<16 | iocV4L2 | 2
	vidiocGetFmt           = iocBoth | request(unsafe.Sizeof(format{}))<<16 | iocV4L2 | 4
	vidiocSetFmt           = iocBoth | request(unsafe.Sizeof(format{}))<<16 | iocV4L2 | 5
	vidiocRequestBuffers   = iocBoth | request(unsafe.Sizeof(requestBuffers{}))<<16 | iocV4L2 | 8
	vidiocQueryBuffer      = iocBoth | request(unsafe.Sizeof(buffer{}))<<16 | iocV4L2 | 9
	vidiocQueueBuffer      = iocBoth | request(unsafe.Sizeof(buffer{}))<<16 | iocV4L2 | 15
	vidiocExportBuffer     = iocBoth | request(unsafe.Sizeof(exportBuffer{}))<<16 | iocV4L2 | 16
	vidiocDequeueBuffer    = iocBoth | request(unsafe.Sizeof(buffer{}))<<16 | iocV4L2 | 17
	vidiocStreamOn         = iocWrite | request(unsafe.Sizeof(int32(0)))<<16 | iocV4L2 | 18
	vidiocStreamOff        = iocWrite | request(unsafe.Sizeof(int32(0)))<<16 | iocV4L2 | 19
	vidiocGetParm          = iocBoth | request(unsafe.Sizeof(streamParm{}))<<16 | iocV4L2 | 21
	vidiocSetParm          = iocBoth | request(unsafe.Sizeof(streamParm{}))<<16 | iocV4L2 | 22
	vidiocGetControl       = iocBoth | request(unsafe.Sizeof(control{}))<<16 | iocV4L2 | 27
	vidiocSetControl       = iocBoth | request(unsafe.Sizeof(control{}))<<16 | iocV4L2 | 28
	vidiocQueryMenu        = iocBoth | request(unsafe.Sizeof(queryMenu{}))<<16 | iocV4L2 | 37
	vidiocTryFmt           = iocBoth | request(unsafe.Sizeof(format{}))<<16 | iocV4L2 | 64
	vidiocEnumSizes        = iocBoth | request(unsafe.Sizeof(sizeEnum{}))<<16 | iocV4L2 | 74
	vidiocEnumRates        = iocBoth | request(unsafe.Sizeof(rateEnum{}))<<16 | iocV4L2 | 75
	vidiocEncoderCommand   = iocBoth | request(unsafe.Sizeof(encoderCommand{}))<<16 | iocV4L2 | 77
	vidiocSetTimings       = iocBoth | request(unsafe.Sizeof(dvTimings{}))<<16 | iocV4L2 | 87
	vidiocDequeueEvent     = iocRead | request(unsafe.Sizeof(event{}))<<16 | iocV4L2 | 89
	vidiocSubscribeEvent   = iocWrite | request(unsafe.Sizeof(eventSubscription{}))<<16 | iocV4L2 | 90
	vidiocUnsubscribeEvent = iocWrite | request(unsafe.Sizeof(eventSubscription{}))<<16 | iocV4L2 | 91
	vidiocGetSelection     = iocBoth | request(unsafe.Sizeof(selection{}))<<16 | iocV4L2 | 94
	vidiocSetSelection     = iocBoth | request(unsafe.Sizeof(selection{}))<<16 | iocV4L2 | 95
	vidiocQueryTimings     = iocRead | request(unsafe.Sizeof(dvTimings{}))<<16 | iocV4L2 | 99
	vidiocQueryControl     = iocBoth | request(unsafe.Sizeof(queryControl{}))<<16 | iocV4L2 | 103
)

// call is what a trace needs to know of a request: its name, and its argument as a value that
// JSON can hold.
type call struct {
	req  request
	name string
	view func(arg unsafe.Pointer) any
}

// as views an argument as a *T.
func as[T any](arg unsafe.Pointer) any { return (*T)(arg) }

// calls lists every request by its name in the kernel's header.
func calls() []call {
	return []call{
		{vidiocQueryCap, "QUERYCAP", as[capability]},
		{vidiocEnumFmt, "ENUM_FMT", as[formatDesc]},
		{vidiocGetFmt, "G_FMT", as[format]},
		{vidiocSetFmt, "S_FMT", as[format]},
		{vidiocTryFmt, "TRY_FMT", as[format]},
		{vidiocRequestBuffers, "REQBUFS", as[requestBuffers]},
		{vidiocQueryBuffer, "QUERYBUF", as[bufferCall]},
		{vidiocQueueBuffer, "QBUF", as[bufferCall]},
		{vidiocDequeueBuffer, "DQBUF", as[bufferCall]},
		{vidiocExportBuffer, "EXPBUF", as[exportBuffer]},
		{vidiocStreamOn, "STREAMON", as[bufType]},
		{vidiocStreamOff, "STREAMOFF", as[bufType]},
		{vidiocGetParm, "G_PARM", as[streamParm]},
		{vidiocSetParm, "S_PARM", as[streamParm]},
		{vidiocGetControl, "G_CTRL", as[control]},
		{vidiocSetControl, "S_CTRL", as[control]},
		{vidiocQueryControl, "QUERY_EXT_CTRL", as[queryControl]},
		{vidiocQueryMenu, "QUERYMENU", as[queryMenu]},
		{vidiocEnumSizes, "ENUM_FRAMESIZES", as[sizeEnum]},
		{vidiocEnumRates, "ENUM_FRAMEINTERVALS", as[rateEnum]},
		{vidiocEncoderCommand, "ENCODER_CMD", as[encoderCommand]},
		{vidiocQueryTimings, "QUERY_DV_TIMINGS", as[dvTimings]},
		{vidiocSetTimings, "S_DV_TIMINGS", as[dvTimings]},
		{vidiocDequeueEvent, "DQEVENT", as[event]},
		{vidiocSubscribeEvent, "SUBSCRIBE_EVENT", as[eventSubscription]},
		{vidiocUnsubscribeEvent, "UNSUBSCRIBE_EVENT", as[eventSubscription]},
		{vidiocGetSelection, "G_SELECTION", as[selection]},
		{vidiocSetSelection, "S_SELECTION", as[selection]},
	}
}

func (r request) String() string {
	for _, c := range calls() {
		if c.req == r {
			return "VIDIOC_" + c.name
		}
	}
	return fmt.Sprintf("ioctl %#x", uintptr(r))
}
