package v4l2

import "github.com/millrace-video/millrace/hal"

// colourOf translates V4L2's four numbers into code points of ISO/IEC 23091-2. Where one is 0
// ("default") it follows from the colour space, as the V4L2_MAP_*_DEFAULT macros of
// linux/videodev2.h have it for Y'CbCr.
func colourOf(space, transfer, matrix, quantisation uint32) hal.Colour {
	c := hal.Colour{}
	defaultTransfer, defaultMatrix := uint8(1), uint8(6) // BT.709's curve, BT.601's matrix
	switch space {
	case 1: // SMPTE170M
		c.Primaries = 6
	case 2: // SMPTE240M
		c.Primaries, defaultTransfer, defaultMatrix = 7, 7, 7
	case 3: // REC709
		c.Primaries, defaultMatrix = 1, 1
	case 5: // 470_SYSTEM_M
		c.Primaries = 4
	case 6: // 470_SYSTEM_BG
		c.Primaries = 5
	case 7, 8: // JPEG, SRGB
		c.Primaries, defaultTransfer = 1, 13
	case 9: // OPRGB: no code point
		defaultTransfer = 0
	case 10: // BT2020
		c.Primaries, defaultTransfer, defaultMatrix = 9, 14, 9
	case 12: // DCI_P3
		c.Primaries, defaultTransfer, defaultMatrix = 11, 17, 9
	default: // unknown: only what is said expressly counts
		defaultTransfer, defaultMatrix = 0, 0
	}
	transfers := [...]uint8{defaultTransfer, 1, 13, 0, 7, 8, 17, 16}
	if int(transfer) < len(transfers) {
		c.Transfer = transfers[transfer]
	}
	matrices := [...]uint8{defaultMatrix, 6, 1, 6, 1, 6, 9, 10, 7}
	if int(matrix) < len(matrices) {
		c.Matrix = matrices[matrix]
	}
	c.FullRange = quantisation == 1 || quantisation == 0 && space == 7
	return c
}
