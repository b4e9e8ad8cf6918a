package nal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// Config is what a decoder configuration record says beside the parameter sets that the track
// names: avcC, hvcC (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1) or av1C, as MP4 and FLV have them.
type Config struct {
	LengthSize int    // bytes of the lengths of NAL units
	Extra      []byte // further parameter sets, to be put before each key frame; length-prefixed
}

// ReadConfig reads the record of t's codec. The first parameter set of a kind becomes t's. Of AV1
// the first key frame brings the sequence header where the record has none.
func ReadConfig(t *hal.Track, record []byte) (Config, error) {
	var c Config
	var err error
	switch t.Codec { //nolint:exhaustive // the others have none
	case hal.H264:
		err = c.avc(t, record)
	case hal.H265:
		err = c.hevc(t, record)
	case hal.AV1:
		err = configAV1(t, record)
	}
	return c, err
}

func (c *Config) avc(t *hal.Track, p []byte) error {
	if len(p) < 6 {
		return errors.New("avcC is missing or too short")
	}
	c.LengthSize = int(p[4]&3) + 1
	rest, err := c.sets(t, p[6:], int(p[5]&0x1f), SPS)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return errors.New("avcC ends before the picture parameter sets")
	}
	_, err = c.sets(t, rest[1:], int(rest[0]), PPS)
	return err
}

func (c *Config) hevc(t *hal.Track, p []byte) error {
	if len(p) < 23 {
		return errors.New("hvcC is missing or too short")
	}
	c.LengthSize = int(p[21]&3) + 1
	arrays := int(p[22])
	p = p[23:]
	for range arrays {
		if len(p) < 3 {
			return errors.New("hvcC ends within its arrays")
		}
		kind := KindOf(hal.H265, p[0]&0x3f<<1)
		var err error
		if p, err = c.sets(t, p[3:], int(binary.BigEndian.Uint16(p[1:])), kind); err != nil {
			return err
		}
	}
	return nil
}

// sets takes n parameter sets of a kind.
func (c *Config) sets(t *hal.Track, p []byte, n int, kind Kind) ([]byte, error) {
	for range n {
		if len(p) < 2 || len(p)-2 < int(binary.BigEndian.Uint16(p)) {
			return nil, errors.New("the list of parameter sets ends too early")
		}
		unit := p[2 : 2+int(binary.BigEndian.Uint16(p))]
		p = p[2+len(unit):]
		if len(unit) == 0 || KindOf(t.Codec, unit[0]) != kind {
			continue
		}
		switch named := Set(t, kind); {
		case named == nil:
		case *named != nil:
			c.Extra = Append(c.Extra, unit)
		case !Adopt(t, kind, unit):
			return nil, fmt.Errorf("a parameter set of %d bytes makes no sense", len(unit))
		}
	}
	return p, nil
}

func configAV1(t *hal.Track, p []byte) error {
	if len(p) < 4 {
		return errors.New("av1C is missing or too short")
	}
	for obus := p[4:]; len(obus) > 0; {
		u, ok := FirstOBU(obus)
		if !ok || !u.Sized {
			return errors.New("av1C holds no valid OBU")
		}
		if u.Kind == SequenceHeader && !Adopt(t, SPS, obus[:u.Len]) {
			return errors.New("the sequence header in av1C makes no sense")
		}
		obus = obus[u.Len:]
	}
	return nil
}

// Widened returns the length of an access unit once all its NAL units have lengths of 4 bytes and
// not of lengthSize. What passes the end is left out.
func Widened(unit []byte, lengthSize int) int {
	n := 0
	for len(unit) >= lengthSize {
		size := length(unit, lengthSize)
		if size > len(unit)-lengthSize {
			break
		}
		n += PrefixLen + size
		unit = unit[lengthSize+size:]
	}
	return n
}

// Widen writes an access unit to dst, which has its Widened length. lengthSize is less than 4.
func Widen(dst, unit []byte, lengthSize int) {
	for len(dst) > 0 {
		size := length(unit, lengthSize)
		clear(dst[:PrefixLen-lengthSize])
		copy(dst[PrefixLen-lengthSize:PrefixLen], unit)
		copy(dst[PrefixLen:], unit[lengthSize:lengthSize+size])
		dst, unit = dst[PrefixLen+size:], unit[lengthSize+size:]
	}
}

func length(p []byte, lengthSize int) int {
	n := 0
	for _, b := range p[:lengthSize] {
		n = n<<8 | int(b)
	}
	return n
}
