package haltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// Track says what a track lacks that its codec needs.
func Track(t hal.Track) error {
	switch {
	case t.Codec == hal.CodecUnknown:
		return errors.New("a track without a codec")
	case t.TimeScale == 0:
		return fmt.Errorf("%v: no time scale", t)
	case t.Codec.IsVideo():
		return pictureTrack(t)
	default:
		return soundTrack(t)
	}
}

func soundTrack(t hal.Track) error {
	switch {
	case t.SampleRate < 1 || t.Channels < 1:
		return fmt.Errorf("%v: no sample rate or channels", t)
	case t.Codec == hal.AAC && len(t.AudioConfig) < 2:
		return fmt.Errorf("%v: no AudioSpecificConfig", t)
	case t.Codec == hal.LPCM && (t.BitDepth < 8 || t.BitDepth%8 != 0):
		return fmt.Errorf("%v: a bit depth of %d", t, t.BitDepth)
	}
	return nil
}

func pictureTrack(t hal.Track) error {
	switch {
	case t.Width < 1 || t.Height < 1:
		return fmt.Errorf("%v: no size", t)
	case t.Codec == hal.Raw && (t.Layout.Size < t.Width*t.Height || t.Layout.Pixel == hal.PixelUnknown):
		return fmt.Errorf("%v: no layout", t)
	}
	return parameterSets(t)
}

func parameterSets(t hal.Track) error {
	vps, sps, pps := 32, 33, 34 // of H.265
	if t.Codec == hal.H264 {
		vps, sps, pps = -2, 7, 8 // there is no VPS
	}
	if t.Codec != hal.H264 && t.Codec != hal.H265 {
		return nil
	}
	for _, ps := range []struct {
		name string
		unit []byte
		typ  int
	}{{"VPS", t.VPS, vps}, {"SPS", t.SPS, sps}, {"PPS", t.PPS, pps}} {
		if ps.unit != nil && nalType(t.Codec, ps.unit) != ps.typ {
			return fmt.Errorf("%v: its %s begins with % x", t, ps.name, ps.unit[:min(4, len(ps.unit))])
		}
	}
	return nil
}

// Payload says what is wrong with a frame's bytes, by what hal.Frame promises of its codec.
func Payload(f hal.Frame) error {
	t, b := f.Info(), f.Buf.Bytes()
	if len(b) == 0 {
		return fmt.Errorf("%v: an empty frame", *t)
	}
	switch t.Codec {
	case hal.H264, hal.H265:
		return nalUnits(t, b, f.Key)
	case hal.MJPEG:
		return jpeg(b)
	case hal.AV1:
		return obus(b)
	case hal.AAC:
		if len(b) > 2 && b[0] == 0xFF && b[1]&0xF6 == 0xF0 {
			return errors.New("AAC with an ADTS header")
		}
	case hal.LPCM:
		return wholeSamples(b, t.Channels*t.BitDepth/8)
	case hal.G711A, hal.G711U:
		return wholeSamples(b, t.Channels)
	case hal.Raw:
		return picture(t, f)
	case hal.Opus, hal.FWHT, hal.CodecUnknown:
	}
	return nil
}

func jpeg(b []byte) error {
	const tail = 1024 // cameras pad
	if !bytes.HasPrefix(b, []byte{0xFF, 0xD8, 0xFF}) || !bytes.Contains(b[max(0, len(b)-tail):], []byte{0xFF, 0xD9}) {
		return errors.New("not a whole JPEG file")
	}
	return nil
}

func wholeSamples(b []byte, size int) error {
	if size < 1 || len(b)%size != 0 {
		return fmt.Errorf("%d bytes are no whole samples of %d bytes", len(b), size)
	}
	return nil
}

func picture(t *hal.Track, f hal.Frame) error {
	for i, p := range t.Layout.Planes {
		if p.Memory >= f.Buf.Planes() || p.Offset+p.Stride > len(f.Buf.Plane(p.Memory)) {
			return fmt.Errorf("plane %d of %v lies outside of the buffer", i, *t)
		}
	}
	size := 0
	for i := range f.Buf.Planes() {
		size += len(f.Buf.Plane(i))
	}
	if size < t.Layout.Size {
		return fmt.Errorf("%v in %d bytes: its layout needs %d", *t, size, t.Layout.Size)
	}
	return nil
}

func nalType(c hal.Codec, unit []byte) int {
	switch {
	case len(unit) == 0:
		return -1
	case c == hal.H264:
		return int(unit[0] & 31)
	default:
		return int(unit[0] >> 1 & 63)
	}
}

// nalUnits checks an access unit of H.264 or H.265.
func nalUnits(t *hal.Track, b []byte, key bool) error {
	var slices, starts, messages int
	for len(b) > 0 {
		unit, rest, err := nextUnit(b)
		if err != nil {
			return err
		}
		b = rest
		if err := unwanted(t, unit); err != nil {
			return err
		}
		slice, start, sei := kind(t.Codec, nalType(t.Codec, unit))
		slices += count(slice)
		starts += count(start)
		messages += count(sei)
	}
	switch {
	case slices == 0:
		return errors.New("an access unit without a picture")
	case starts > 0 && !key:
		return errors.New("a decoder can start here, but the frame is not marked as key")
	case starts == 0 && key && messages == 0: // a recovery point is an SEI message
		return errors.New("marked as key, but no decoder can start here")
	}
	return nil
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// nextUnit splits off a NAL unit.
func nextUnit(b []byte) (unit, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, fmt.Errorf("%d bytes after the last NAL unit", len(b))
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n < 1 || n > uint64(len(b)-4) {
		return nil, nil, fmt.Errorf("a NAL unit of %d bytes where %d are left", n, len(b)-4)
	}
	return b[4 : 4+n], b[4+n:], nil
}

// unwanted says which unit a frame must not carry.
func unwanted(t *hal.Track, unit []byte) error {
	typ := nalType(t.Codec, unit)
	if t.Codec == hal.H264 && typ == 9 || t.Codec == hal.H265 && typ == 35 {
		return errors.New("an access unit delimiter")
	}
	for _, ps := range [...][]byte{t.VPS, t.SPS, t.PPS} {
		if bytes.Equal(ps, unit) {
			return fmt.Errorf("the NAL unit of type %d is a parameter set that the stream names", typ)
		}
	}
	return nil
}

// kind tells slices, slices of a picture to start at, and SEI messages.
func kind(c hal.Codec, typ int) (slice, start, sei bool) {
	if c == hal.H264 {
		return typ >= 1 && typ <= 5, typ == 5, typ == 6
	}
	return typ >= 0 && typ <= 31, typ >= 16 && typ <= 23, typ == 39
}

// obus checks a temporal unit of AV1: every OBU has its size, none is a temporal delimiter.
func obus(b []byte) error {
	for len(b) > 0 {
		header := b[0]
		head := 1 + int(header>>2&1)
		switch {
		case header&2 == 0:
			return errors.New("an OBU without its size")
		case header>>3&15 == 2:
			return errors.New("a temporal delimiter")
		case len(b) < head:
			return errors.New("a cut OBU")
		}
		size, n := binary.Uvarint(b[head:]) // leb128 is the same
		if n <= 0 || size > uint64(len(b)-head-n) {
			return errors.New("an OBU longer than its frame")
		}
		b = b[head+n+int(size):]
	}
	return nil
}
