package file

import (
	"slices"

	"github.com/millrace-video/millrace/hal"
)

// section gathers one table section that may span packets (ISO/IEC 13818-1, 2.4.4).
type section struct {
	buf  []byte
	want int // bytes of the section; 0 while none is under way
}

const maxSection = 1024

// feed takes a packet's payload and returns a complete section whose checksum is right.
func (s *section) feed(p []byte, starts bool) []byte {
	if starts {
		if len(p) == 0 || int(p[0])+1 > len(p) {
			s.want = 0
			return nil
		}
		p = p[1+int(p[0]):]
		s.buf = s.buf[:0]
		s.want = 3
	}
	if s.want == 0 {
		return nil
	}
	s.buf = append(s.buf, p...)
	if len(s.buf) < 3 {
		return nil
	}
	s.want = 3 + int(be16(s.buf[1:])&0xfff)
	if s.want > maxSection || s.want < 12 {
		s.want = 0
		return nil
	}
	if len(s.buf) < s.want {
		return nil
	}
	whole := s.buf[:s.want]
	s.want = 0
	if crc32MPEG(whole) != 0 {
		return nil
	}
	return whole
}

// crc32MPEG is the checksum of ISO/IEC 13818-1 annex A; over a section with its own it is 0.
func crc32MPEG(p []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range p {
		crc ^= uint32(b) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// association finds the first program's map.
func association(s []byte) (pid uint16, ok bool) {
	if len(s) < 12 || s[0] != 0 {
		return 0, false
	}
	for p := s[8 : len(s)-4]; len(p) >= 4; p = p[4:] {
		if be16(p) != 0 {
			return be16(p[2:]) & 0x1fff, true
		}
	}
	return 0, false
}

// listed is an elementary stream as the program map lists it.
type listed struct {
	pid      uint16
	kind     byte
	codec    hal.Codec
	channels int
}

// programMap returns the elementary streams of a program.
func programMap(s []byte) ([]listed, bool) {
	if len(s) < 16 || s[0] != 2 {
		return nil, false
	}
	skip := 12 + int(be16(s[10:])&0xfff)
	if skip > len(s)-4 {
		return nil, false
	}
	var all []listed
	for p := s[skip : len(s)-4]; len(p) >= 5; {
		n := int(be16(p[3:]) & 0xfff)
		if n > len(p)-5 {
			return nil, false
		}
		l := listed{kind: p[0], pid: be16(p[1:]) & 0x1fff}
		l.codec, l.channels = esCodec(p[0], p[5:5+n])
		all = append(all, l)
		p = p[5+n:]
	}
	return all, len(all) > 0
}

// Stream types by ISO/IEC 13818-1 table 2-34.
const (
	typePrivate = 0x06
	typeADTS    = 0x0f
	typeH264    = 0x1b
	typeH265    = 0x24
)

func esCodec(kind byte, descriptors []byte) (codec hal.Codec, channels int) {
	switch kind {
	case typeH264:
		return hal.H264, 0
	case typeH265:
		return hal.H265, 0
	case typeADTS:
		return hal.AAC, 0
	case typePrivate:
		return opusDescriptors(descriptors)
	default:
		return hal.CodecUnknown, 0
	}
}

// opusDescriptors recognises Opus by its registration; its extension descriptor says how many
// channels there are (ETSI TS "Opus" draft 0.1.3, as ffmpeg and GStreamer write it).
func opusDescriptors(p []byte) (codec hal.Codec, channels int) {
	for len(p) >= 2 && len(p)-2 >= int(p[1]) {
		body := p[2 : 2+p[1]]
		switch {
		case p[0] == 0x05 && string(body[:min(4, len(body))]) == "Opus":
			codec = hal.Opus
		case p[0] == 0x7f && len(body) >= 2 && body[0] == 0x80:
			channels = max(1, int(body[1]))
		}
		p = p[2+len(body):]
	}
	if codec == hal.Opus && (channels < 1 || channels > 8) {
		channels = 2
	}
	return codec, channels
}

// sameProgram says whether two maps list the same streams.
func sameProgram(a, b []listed) bool { return slices.Equal(a, b) }
