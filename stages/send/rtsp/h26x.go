package rtsp

import (
	"encoding/binary"
	"errors"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
)

var errNAL = errors.New("access unit whose NAL lengths do not fit")

// nalUnits packetises an access unit of H.264 (RFC 6184, packetization mode 1) or H.265 (RFC
// 7798): small units aggregated, large ones fragmented. A key frame comes with the parameter
// sets, so that whoever starts there can decode.
func (w *writer) nalUnits(data []byte, key bool) error {
	if key {
		for _, ps := range [...][]byte{w.t.VPS, w.t.SPS, w.t.PPS} {
			if len(ps) > 0 {
				w.units = append(w.units, ps)
			}
		}
	}
	least := nal.HeaderLen(w.t.Codec)
	walk := nal.Prefixed(data)
	for u, ok := walk.Next(); ok; u, ok = walk.Next() {
		if len(u) > least {
			w.units = append(w.units, u)
		}
	}
	if len(walk) > 0 {
		return errNAL
	}
	for rest := w.units; len(rest) > 0; {
		n, size := fitting(rest, least)
		switch {
		case n > 1:
			w.aggregate(rest[:n], size, n == len(rest))
		case len(rest[0]) <= maxPayload:
			copy(w.packet(len(rest[0]), len(rest) == 1), rest[0])
		default:
			w.fragment(rest[0], len(rest) == 1)
		}
		rest = rest[max(n, 1):]
	}
	return nil
}

// fitting says how many of the units go into one packet, and its size.
func fitting(units [][]byte, header int) (n, size int) {
	size = header
	for n < len(units) && size+2+len(units[n]) <= maxPayload {
		size += 2 + len(units[n])
		n++
	}
	return n, size
}

// aggregate writes a STAP-A, or for H.265 an aggregation packet.
func (w *writer) aggregate(units [][]byte, size int, last bool) {
	p := w.packet(size, last)
	if p == nil {
		return
	}
	if w.t.Codec == hal.H264 {
		p[0] = 24
		for _, u := range units {
			p[0] = p[0]&0x9F | max(p[0]&0x60, u[0]&0x60)
		}
		p = p[1:]
	} else {
		p[0], p[1] = 48<<1, 7
		for _, u := range units {
			p[1] = min(p[1], u[1]&7)
		}
		p = p[2:]
	}
	for _, u := range units {
		binary.BigEndian.PutUint16(p, uint16(len(u)))
		p = p[2+copy(p[2:], u):]
	}
}

// fragment writes a unit as FU-A packets, or for H.265 fragmentation units.
func (w *writer) fragment(u []byte, last bool) {
	header := nal.HeaderLen(w.t.Codec)
	body := u[header:]
	room := maxPayload - header - 1
	for first := true; len(body) > 0; first = false {
		n := min(room, len(body))
		end := n == len(body)
		p := w.packet(header+1+n, last && end)
		if p == nil {
			return
		}
		if header == 1 {
			p[0] = u[0]&0xE0 | 28
			p[1] = u[0] & 0x1F
		} else {
			p[0], p[1] = u[0]&0x81|49<<1, u[1]
			p[2] = u[0] >> 1 & 0x3F
		}
		if first {
			p[header] |= 0x80
		}
		if end {
			p[header] |= 0x40
		}
		copy(p[header+1:], body[:n])
		body = body[n:]
	}
}
