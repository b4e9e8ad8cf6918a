package nal

import (
	"bytes"
	"encoding/binary"
)

// PrefixLen is how many bytes of length stand before each NAL unit of a frame.
const PrefixLen = 4

// Prefixed walks over the NAL units of an access unit with length prefixes. What it holds is what
// was not walked over yet; where Next has no more and there is some left, a length passes the end.
type Prefixed []byte

// Next returns the next unit that is not empty.
func (p *Prefixed) Next() (unit []byte, ok bool) {
	for len(*p) >= PrefixLen {
		n := binary.BigEndian.Uint32(*p)
		rest := (*p)[PrefixLen:]
		if uint64(n) > uint64(len(rest)) {
			break
		}
		unit, *p = rest[:n:n], rest[n:]
		if n > 0 {
			return unit, true
		}
	}
	return nil, false
}

// Put writes a unit with its length prefix to dst, which has room for it, and returns how much it
// wrote. The unit may lie in dst, from where it would lie or behind.
func Put(dst, unit []byte) int {
	PutLength(dst, len(unit))
	if dst = dst[PrefixLen : PrefixLen+len(unit)]; len(unit) > 0 && &dst[0] != &unit[0] {
		copy(dst, unit)
	}
	return PrefixLen + len(unit)
}

// PutLength writes a unit's length prefix.
func PutLength(dst []byte, n int) { binary.BigEndian.PutUint32(dst, uint32(n)) }

// Append appends a unit with its length prefix.
func Append(dst, unit []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(unit))), unit...)
}

// ByteStream walks over the NAL units of a byte stream (annex B of H.264 and H.265) that is
// there as a whole.
type ByteStream struct{ rest []byte }

// ByteStreamOf begins a walk; what stands before the first start code is no unit.
func ByteStreamOf(b []byte) ByteStream {
	if i := bytes.Index(b, startCode()); i >= 0 {
		return ByteStream{b[i+3:]}
	}
	return ByteStream{}
}

// Next returns the next unit that is not empty, without the zeros behind it.
func (s *ByteStream) Next() (unit []byte, ok bool) {
	for len(s.rest) > 0 {
		if i := bytes.Index(s.rest, startCode()); i >= 0 {
			unit, s.rest = s.rest[:i], s.rest[i+3:]
		} else {
			unit, s.rest = s.rest, nil
		}
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			return unit, true
		}
	}
	return nil, false
}

func startCode() []byte { return []byte{0, 0, 1} }
