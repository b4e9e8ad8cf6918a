package rtsp

import "errors"

var errOBU = errors.New("temporal unit whose OBU sizes do not fit")

const (
	obuSequence  = 1
	obuDelimiter = 2
	obuTileList  = 8
	obuPadding   = 15
)

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
			size += lebSize(n) + n
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
			at += putLEB(p[at:], n)
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
	if key && len(w.t.SPS) > 0 && (len(data) == 0 || data[0]>>3&15 != obuSequence) {
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

// splitOBU takes one OBU apart and returns how long it is.
func (w *writer) splitOBU(data []byte) (int, error) {
	header := 1
	if data[0]&4 != 0 {
		header = 2
	}
	if len(data) < header {
		return 0, errOBU
	}
	size, n := len(data)-header, 0
	if data[0]&2 != 0 {
		if size, n = readLEB(data[header:]); n == 0 || size < 0 || size > len(data)-header-n {
			return 0, errOBU
		}
	}
	end := header + n + size
	switch data[0] >> 3 & 15 {
	case obuDelimiter, obuTileList, obuPadding: // receivers must do without them
	default:
		w.units = append(w.units, data[:header], data[header+n:end])
	}
	return end, nil
}

func (w *writer) elementSize(i int) int { return len(w.units[2*i]) + len(w.units[2*i+1]) }

// fits says how many bytes of element i from off on go into room bytes, its length included.
func (w *writer) fits(i, off, room int) int {
	n := w.elementSize(i) - off
	if n+lebSize(n) > room {
		n = room - lebSize(room)
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

func lebSize(n int) int {
	size := 1
	for n >>= 7; n > 0; n >>= 7 {
		size++
	}
	return size
}

func putLEB(p []byte, n int) int {
	size := lebSize(n)
	for k := range size {
		p[k] = byte(n>>(7*k)) | 0x80
	}
	p[size-1] &= 0x7F
	return size
}

// readLEB returns a LEB128 value of at most 32 bits and its length, 0 where there is none.
func readLEB(p []byte) (value, size int) {
	for k := 0; k < len(p) && k < 5; k++ {
		value |= int(p[k]&0x7F) << (7 * k)
		if p[k]&0x80 == 0 {
			return value, k + 1
		}
	}
	return 0, 0
}
