package soft

import (
	"encoding/binary"

	"github.com/millrace-video/millrace/hal"
)

// Matroska is how an ffmpeg process gets a stream's units together with their times, each as soon as
// it is there (RFC 9559). Times are in milliseconds.

// element appends an element of the identifier, whose length takes eight bytes.
func element(out []byte, id uint32, body ...byte) []byte {
	return append(elementHead(out, id, uint64(len(body))), body...)
}

func elementHead(out []byte, id uint32, length uint64) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if rest := id >> shift; rest > 0 {
			out = append(out, byte(rest)) //nolint:gosec // its lowest byte
		}
	}
	return binary.BigEndian.AppendUint64(out, 1<<56|length)
}

func number(out []byte, id uint32, v uint64) []byte {
	return element(out, id, binary.BigEndian.AppendUint64(nil, v)...)
}

// matroskaCodec names a codec; its units are then as annexB makes them. "" is one that is not known.
func matroskaCodec(c hal.Codec) string {
	switch c { //nolint:exhaustive // the others are not sent
	case hal.H264:
		return "V_MPEG4/ISO/AVC"
	case hal.H265:
		return "V_MPEGH/ISO/HEVC"
	case hal.AV1:
		return "V_AV1"
	}
	return ""
}

// matroskaHead is what stands before the first unit.
func matroskaHead(t *hal.Track) []byte {
	const unknownLength = 1<<56 - 1
	head := element(nil, 0x1A45DFA3, element(number(number(nil, 0x4287, 4), 0x4285, 2), 0x4282, []byte("matroska")...)...)
	head = elementHead(head, 0x18538067, unknownLength) // the segment
	info := element(number(nil, 0x2AD7B1, 1_000_000), 0x4D80, []byte("millrace")...)
	head = element(head, 0x1549A966, element(info, 0x5741, []byte("millrace")...)...)
	size := number(number(nil, 0xB0, uint64(max(t.Width, 2))), 0xBA, uint64(max(t.Height, 2))) //nolint:gosec // checked
	entry := number(number(number(nil, 0xD7, 1), 0x73C5, 1), 0x83, 1)
	entry = element(entry, 0x86, []byte(matroskaCodec(t.Codec))...)
	return element(head, 0x1654AE6B, element(nil, 0xAE, element(entry, 0xE0, size...)...)...)
}

// clusterHead is what stands before a unit: a cluster of its own.
const clusterHead = 4 + 8 + 1 + 8 + 8 + 1 + 8 + 4

// matroskaUnit puts a cluster's head into out, whose first clusterHead bytes are kept free before the unit.
func matroskaUnit(out []byte, ms uint64, key bool) {
	unit := uint64(len(out) - clusterHead) //nolint:gosec // the head is there
	head := elementHead(out[:0], 0x1F43B675, clusterHead-12+unit)
	head = number(head, 0xE7, ms)
	head = elementHead(head, 0xA3, 4+unit)
	flags := byte(0)
	if key {
		flags = 0x80
	}
	_ = append(head, 0x81, 0, 0, flags) // the track, and no time beside the cluster's
}
