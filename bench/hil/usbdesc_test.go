//go:build hil

package hil_test

import (
	"encoding/binary"
	"slices"
)

// The descriptors of a camera with one bulk endpoint, by USB Video Class 1.5 and its frame based
// payload 1.5: a camera terminal that feeds an output terminal, and one format with one size.

const (
	usbPayload  = 16384 // bytes of a transfer, header included
	usbEndpoint = 0x81  // bulk, in
)

// picture is what a USB camera can do.
type picture struct {
	guid          string // 16 bytes: the format's
	framed        bool   // coded pictures; otherwise YUY2
	width, height int
	rate          int
}

func usbYUY2(width, height, rate int) picture {
	return picture{guid: "YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", width: width, height: height, rate: rate}
}

func usbH264(width, height, rate int) picture {
	return picture{guid: "H264\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", framed: true, width: width, height: height, rate: rate}
}

func (p picture) size() int     { return p.width * p.height * 2 }
func (p picture) interval() int { return 10_000_000 / p.rate } // in 100 ns

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// usbDevice is the device descriptor: a composite device of the Linux Foundation, with strings 1
// (maker), 2 (product) and 3 (serial number).
func usbDevice() []byte {
	return []byte{18, 1, 0, 2, 0xEF, 2, 1, 64, 0x6b, 0x1d, 2, 1, 0, 1, 1, 2, 3, 1}
}

// usbConfiguration is the configuration descriptor with all it holds.
func (p picture) usbConfiguration() []byte {
	camera := []byte{18, 0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0}
	output := []byte{9, 0x24, 3, 2, 1, 1, 0, 1, 0}
	control := slices.Concat([]byte{13, 0x24, 1, 0, 1}, le16(13+len(camera)+len(output)), le32(48_000_000), []byte{1, 1}, camera, output)
	format, frame := p.usbFormat()
	colour := []byte{6, 0x24, 0x0d, 1, 1, 4}
	input := slices.Concat([]byte{14, 0x24, 1, 1}, le16(14+len(format)+len(frame)+len(colour)), []byte{usbEndpoint, 0, 2, 0, 0, 0, 1, 0}, format, frame, colour)
	body := slices.Concat(
		[]byte{8, 11, 0, 2, 0x0e, 3, 0, 2},   // the two interfaces are one camera
		[]byte{9, 4, 0, 0, 0, 0x0e, 1, 0, 2}, // video control
		control,
		[]byte{9, 4, 1, 0, 1, 0x0e, 2, 0, 0}, input, // video streaming
		[]byte{7, 5, usbEndpoint, 2, 0, 2, 0}, // 512 bytes a packet
	)
	return slices.Concat([]byte{9, 2}, le16(9+len(body)), []byte{2, 1, 0, 0x80, 50}, body)
}

func (p picture) usbFormat() (format, frame []byte) {
	bits := le32(p.size() * 8 * p.rate)
	size := slices.Concat(le16(p.width), le16(p.height), bits, bits)
	if p.framed {
		format = slices.Concat([]byte{28, 0x24, 0x10, 1, 1}, []byte(p.guid), []byte{16, 1, 0, 0, 0, 0, 1})
		frame = slices.Concat([]byte{30, 0x24, 0x11, 1, 0}, size, le32(p.interval()), []byte{1}, le32(0), le32(p.interval()))
		return format, frame
	}
	format = slices.Concat([]byte{27, 0x24, 4, 1, 1}, []byte(p.guid), []byte{16, 1, 0, 0, 0, 0})
	frame = slices.Concat([]byte{30, 0x24, 5, 1, 0}, size, le32(p.size()), le32(p.interval()), []byte{1}, le32(p.interval()))
	return format, frame
}

// probe answers what may be negotiated: nothing.
func (p picture) probe() []byte {
	return slices.Concat(le16(1), []byte{1, 1}, le32(p.interval()), make([]byte, 10), le32(p.size()), le32(usbPayload))
}
