package v4l2

import (
	"bytes"
	"encoding/binary"
)

// The header of a frame of FWHT, the codec of the kernel's virtual encoder: two magic words, then
// version, width, height and flags, big-endian (struct fwht_cframe_hdr of the vicodec driver; the
// flags are V4L2_FWHT_FL_* of linux/v4l2-controls.h).
const (
	fwhtHeader    = 44
	fwhtFlags     = 20
	fwhtKeyFlag   = 1 << 10
	fwhtMagicSize = 8
)

// fwhtMagic is how every frame begins.
func fwhtMagic() [fwhtMagicSize]byte {
	return [...]byte{0x4f, 0x4f, 0x4f, 0x4f, 0xff, 0xff, 0xff, 0xff}
}

// readFWHT says whether b is a frame of FWHT, and whether a decoder can start with it. The
// driver sets no flag on its buffers that would say so.
func readFWHT(b []byte) (key, ok bool) {
	magic := fwhtMagic()
	if len(b) < fwhtHeader || !bytes.HasPrefix(b, magic[:]) {
		return false, false
	}
	return binary.BigEndian.Uint32(b[fwhtFlags:])&fwhtKeyFlag != 0, true
}
