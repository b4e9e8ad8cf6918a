package rtsp

import (
	"errors"

	"github.com/millrace-video/millrace/hal/nal"
)

var errOBU = errors.New("temporal unit whose OBU sizes do not fit")

// obus packetises a temporal unit of AV1 ("RTP Payload Format For AV1", v1.0.0): OBUs without
// their sizes, each element with its length before it (W = 0), cut where a packet is full.
func (w *writer) obus(data []byte, key bool) error {
	if err := w.splitOBUs(data, key); err != nil {
		return err
	}
	i, off := 0, 0 // the next element and how much of it is gone
	first := true
	for i < len(w.units)/2 && w.err == nil {
		size, endI, endOff := 1, i, off
		for endI < len(w.units)/2 {
			n := w.fits(endI, endOff, maxPayload-size)
			if n == 0 {
				break
			}
			size += nal.LEB128Len(n) + n
			endOff += n
			if endOff < w.elementSize(endI) {
				break
			}
			endI, endOff = endI+1, 0
		}
		p := w.packet(size, endI == len(w.units)/2)
		if p == nil {
			return nil
		}
		p[0] = 0
		if off > 0 {
			p[0] |= 0x80
		}
		if endOff > 0 {
			p[0] |= 0x40
		}
		if first && key {
			p[0] |= 0x08
		}
		first = false
		for at := 1; at < size; {
			n := w.fits(i, off, maxPayload-at)
			at += nal.PutLEB128(p[at:], n)
			w.copyElement(p[at:at+n], i, off)
			at += n
			if off += n; off == w.elementSize(i) {
				i, off = i+1, 0
			}
		}
	}
	return nil
}

// splitOBUs makes two units of each OBU: its header without a size, and its content.
func (w *writer) splitOBUs(data []byte, key bool) error {
	if key && len(w.t.SPS) > 0 && !beginsSequence(data) {
		if _, err := w.splitOBU(w.t.SPS); err != nil {
			return err
		}
	}
	for len(data) > 0 {
		n, err := w.splitOBU(data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func beginsSequence(data []byte) bool {
	if len(data) == 0 {
		return false
	}
	kind, _ := nal.OBUHeader(data)
	return kind == nal.SequenceHeader
}

// splitOBU takes one OBU apart and returns how long it is.
func (w *writer) splitOBU(data []byte) (int, error) {
	u, ok := nal.FirstOBU(data)
	if !ok {
		return 0, errOBU
	}
	switch u.Kind {
	case nal.TemporalDelimiter, nal.TileList, nal.Padding: // receivers must do without them
	default:
		w.units = append(w.units, u.Header, u.Body)
	}
	return u.Len, nil
}

func (w *writer) elementSize(i int) int { return len(w.units[2*i]) + len(w.units[2*i+1]) }

// fits says how many bytes of element i from off on go into room bytes, its length included.
func (w *writer) fits(i, off, room int) int {
	n := w.elementSize(i) - off
	if n+nal.LEB128Len(n) > room {
		n = room - nal.LEB128Len(room)
	}
	return max(n, 0)
}

// copyElement fills dst with element i from off on; the header says that there is no size.
func (w *writer) copyElement(dst []byte, i, off int) {
	header, content := w.units[2*i], w.units[2*i+1]
	for ; off < len(header) && len(dst) > 0; off++ {
		dst[0] = header[off]
		if off == 0 {
			dst[0] &^= 2
		}
		dst = dst[1:]
	}
	copy(dst, content[max(0, off-len(header)):])
}
