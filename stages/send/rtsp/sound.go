package rtsp

import (
	"encoding/binary"
	"errors"

	"github.com/millrace-video/millrace/hal"
)

var (
	errTooLong = errors.New("a piece of sound that is too long for its packets")
	errEmpty   = errors.New("a piece of sound without content")
)

// aac packetises an access unit as MPEG4-GENERIC, mode AAC-hbr (RFC 3640): one AU header of 13
// bits of size and 3 of index. One that is too large for a packet is
// fragmented; the header then has the size of the whole (section 3.2.1.1).
func (w *writer) aac(data []byte) error {
	const header, maxUnit = 4, 1<<13 - 1
	switch {
	case len(data) == 0:
		return errEmpty
	case len(data) > maxUnit:
		return errTooLong
	}
	size := uint16(len(data))
	for len(data) > 0 {
		n := min(len(data), maxPayload-header)
		p := w.packet(header+n, n == len(data))
		if p == nil {
			return nil
		}
		binary.BigEndian.PutUint16(p, 16) // bits of AU headers
		binary.BigEndian.PutUint16(p[2:], size<<3)
		copy(p[header:], data[:n])
		data = data[n:]
	}
	return nil
}

// whole makes one packet of a piece (Opus, RFC 7587).
func (w *writer) whole(data []byte) error {
	switch {
	case len(data) == 0:
		return errEmpty
	case len(data) > maxPayload:
		return errTooLong
	}
	copy(w.packet(len(data), false), data)
	return nil
}

// samples cuts plain samples (RFC 3551) between two of them.
func (w *writer) samples(data []byte) {
	one := sampleBytes(w.t.Track)
	most := maxPayload / one * one
	data = data[:len(data)/one*one]
	for len(data) > 0 {
		n := min(len(data), most)
		copy(w.packet(n, false), data[:n])
		w.ts += uint32(n / one)
		data = data[n:]
	}
}

// sampleBytes is how many bytes a sample of all channels has.
func sampleBytes(t hal.Track) int {
	if t.Codec == hal.LPCM {
		return max(1, t.BitDepth/8*t.Channels)
	}
	return max(1, t.Channels)
}
