// Package v4l2 brings the kernel's cameras: raw pictures and JPEG where the driver put them,
// without a copy, H.264 and H.265 as access units with length prefixes.
//
// A URL names a camera in one of three ways. The first knows it by where it is plugged in, the
// second by its USB serial number, and both find it under whatever number it comes back; the
// third is a device node:
//
//	v4l2://bus/usb-0000:00:14.0-1?format=mjpeg&size=1280x720&rate=30
//	v4l2://serial/8F2A0C51
//	v4l2:///dev/video0?ctrl.brightness=128&ctrl.auto_exposure=Manual%20Mode
//
// The bus is what the driver calls it; Devices lists it. A driver made by [New] remembers
// which camera a node was, so that the third way too finds it again while the program runs.
// Where one device has several capture nodes, index=1 is the second.
//
// format is one of h264, h265 (or hevc), nv12, i420, nm12, ym12, yuyv, uyvy, nv21, mjpeg; without
// it the first of these that the camera has. size without it is the largest up to 1920×1080
// that comes 24 times a second, or, where any size goes, the one that is set. rate without it
// is as near to 30 as the camera can. buffers is how many pictures the driver has room for, 6
// without it. What the camera cannot do is refused with what it can.
//
// # Loans
//
// Each mapped buffer is a pool.Slot: the last Release queues it again, from whichever
// goroutine. Where all are on loan the driver drops pictures, counted as Dropped; pictures that
// the hardware lost are counted as Lost, by their sequence numbers, and damaged ones as
// Malformed. The frame after either has Gap set. Close waits half a second for what is on loan, then leaves
// the unmapping to the last Release: nothing is ever unmapped under a reader.
//
// # Faults
//
// hal.ErrNoDevice: the camera is not plugged in, or was unplugged. hal.ErrNoSignal: in use by
// another program, no signal at a video input, or a fault that beginning the stream anew did
// not get over; that is tried after each fault when pictures came since the last, five times a
// minute. What was got over stands in hal.SourceStats and in the log. A signal whose format
// changes begins a new stream. [Watch] tells when a camera may be back.
//
// # Traces
//
// Driver.Record writes each call to the kernel as a line of JSON; [ReadTrace] reads it, and a
// Driver that has it as Replay serves it as a camera, on any machine. That is how the package
// is tested, and how a camera that misbehaves at a customer's becomes a test: its trace is put
// into testdata.
//
// # What the parts are for
//
// go4vl lists what single-planar cameras can do; it needs cgo, and without it the driver says
// that it is not built in. Everything else is ioctls of our own: a queue is one buffer queue
// of a device, loans lends its buffers, node is the seam at which traces are made.
package v4l2
