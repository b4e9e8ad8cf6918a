package v4l2

import (
	"bytes"

	"github.com/millrace-video/millrace/hal"
)

// units walks over the NAL units of a byte stream (annex B of H.264 and H.265).
type units struct {
	rest []byte
}

// unitsOf returns a walk over an access unit; what stands before the first start code is none.
func unitsOf(b []byte) units {
	if i := bytes.Index(b, []byte{0, 0, 1}); i >= 0 {
		return units{b[i+3:]}
	}
	return units{}
}

// next returns the next unit that is not empty.
func (u *units) next() ([]byte, bool) {
	for len(u.rest) > 0 {
		nal := u.rest
		if i := bytes.Index(u.rest, []byte{0, 0, 1}); i >= 0 {
			nal, u.rest = u.rest[:i], u.rest[i+3:]
		} else {
			u.rest = nil
		}
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			return nal, true
		}
	}
	return nil, false
}

// unitKind is what a NAL unit is for (H.264 table 7-1, H.265 table 7-1).
type unitKind uint8

const (
	unitOther unitKind = iota
	unitSlice
	unitKey // a slice of a picture at which a decoder can start
	unitDelimiter
	unitVPS
	unitSPS
	unitPPS
)

func kindOf(codec hal.Codec, first byte) unitKind {
	if codec == hal.H265 {
		switch t := first >> 1 & 63; {
		case t >= 16 && t <= 23:
			return unitKey
		case t < 32:
			return unitSlice
		case t == 32:
			return unitVPS
		case t == 33:
			return unitSPS
		case t == 34:
			return unitPPS
		case t == 35:
			return unitDelimiter
		}
		return unitOther
	}
	switch first & 31 {
	case 1, 2, 3, 4:
		return unitSlice
	case 5:
		return unitKey
	case 7:
		return unitSPS
	case 8:
		return unitPPS
	case 9:
		return unitDelimiter
	}
	return unitOther
}

// maxSet is the largest parameter set that a stream may name.
const maxSet = 4096

// unit is an access unit of a byte stream as a camera hands it out.
type unit struct {
	codec         hal.Codec
	bytes         []byte
	picture, key  bool
	vps, sps, pps []byte // the first of each
	size          int    // of all units but delimiters, with length prefixes
}

// readUnit looks through an access unit.
func readUnit(codec hal.Codec, b []byte) unit {
	u := unit{codec: codec, bytes: b}
	walk := unitsOf(b)
	for nal, ok := walk.next(); ok; nal, ok = walk.next() {
		kind := kindOf(codec, nal[0])
		switch kind {
		case unitSlice:
			u.picture = true
		case unitKey:
			u.picture, u.key = true, true
		case unitVPS:
			u.vps = first(u.vps, nal)
		case unitSPS:
			u.sps = first(u.sps, nal)
		case unitPPS:
			u.pps = first(u.pps, nal)
		case unitOther, unitDelimiter:
		}
		if kind != unitDelimiter {
			u.size += 4 + len(nal)
		}
	}
	return u
}

func first(was, now []byte) []byte {
	if was == nil && len(now) <= maxSet {
		return now
	}
	return was
}

// news says whether the unit has parameter sets that t does not name.
func (u *unit) news(t *hal.Track) bool {
	return u.vps != nil && !bytes.Equal(u.vps, t.VPS) ||
		u.sps != nil && !bytes.Equal(u.sps, t.SPS) ||
		u.pps != nil && !bytes.Equal(u.pps, t.PPS)
}

// adopt makes t name the unit's parameter sets, copied.
func (u *unit) adopt(t *hal.Track) {
	for _, s := range [...]struct {
		to   *[]byte
		from []byte
	}{{&t.VPS, u.vps}, {&t.SPS, u.sps}, {&t.PPS, u.pps}} {
		if s.from != nil {
			*s.to = bytes.Clone(s.from)
		}
	}
}

// write writes the unit into b, of u.size bytes, with length prefixes, without delimiters and
// without the parameter sets that t names. It returns how much it wrote.
func (u *unit) write(b []byte, t *hal.Track) int {
	n := 0
	walk := unitsOf(u.bytes)
	for nal, ok := walk.next(); ok; nal, ok = walk.next() {
		switch kindOf(u.codec, nal[0]) {
		case unitDelimiter:
			continue
		case unitVPS, unitSPS, unitPPS:
			if bytes.Equal(nal, t.VPS) || bytes.Equal(nal, t.SPS) || bytes.Equal(nal, t.PPS) {
				continue
			}
		case unitOther, unitSlice, unitKey:
		}
		size := len(nal)
		b[n], b[n+1], b[n+2], b[n+3] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
		n += 4 + copy(b[n+4:], nal)
	}
	return n
}
