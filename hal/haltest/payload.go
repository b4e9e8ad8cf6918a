package haltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
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
	if t.Codec != hal.H264 && t.Codec != hal.H265 {
		return nil
	}
	for _, ps := range []struct {
		name string
		unit []byte
		kind nal.Kind
	}{{"VPS", t.VPS, nal.VPS}, {"SPS", t.SPS, nal.SPS}, {"PPS", t.PPS, nal.PPS}} {
		if ps.unit != nil && (len(ps.unit) == 0 || nal.KindOf(t.Codec, ps.unit[0]) != ps.kind) {
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

// nalUnits checks an access unit of H.264 or H.265.
func nalUnits(t *hal.Track, b []byte, key bool) error {
	var start nal.Start
	slices, messages, size := false, false, 0
	walk := nal.Prefixed(b)
	for u, ok := walk.Next(); ok; u, ok = walk.Next() {
		k := nal.KindOf(t.Codec, u[0])
		if err := unwanted(t, k, u); err != nil {
			return err
		}
		slices, messages = slices || k.IsSlice(), messages || k == nal.SEI
		start.Add(t.Codec, k, u)
		size += nal.PrefixLen + len(u)
	}
	switch {
	case len(walk) >= nal.PrefixLen:
		return fmt.Errorf("a NAL unit of %d bytes where %d are left", binary.BigEndian.Uint32(walk), len(walk)-nal.PrefixLen)
	case len(walk) > 0:
		return fmt.Errorf("%d bytes after the last NAL unit", len(walk))
	case size != len(b):
		return errors.New("a NAL unit of 0 bytes")
	case !slices:
		return errors.New("an access unit without a picture")
	case start.Key() && !key:
		return errors.New("a decoder can start here, but the frame is not marked as key")
	case key && !start.Key() && !messages: // a recovery point of any kind is an SEI message
		return errors.New("marked as key, but no decoder can start here")
	}
	return nil
}

// unwanted says which unit a frame must not carry.
func unwanted(t *hal.Track, k nal.Kind, unit []byte) error {
	switch {
	case k == nal.Delimiter:
		return errors.New("an access unit delimiter")
	case k.IsSet() && nal.StandingOf(t, k, unit) == nal.Named:
		return fmt.Errorf("the NAL unit that begins with % x is a parameter set that the stream names", unit[:min(4, len(unit))])
	}
	return nil
}

// obus checks a temporal unit of AV1: every OBU has its size, none is a temporal delimiter.
func obus(b []byte) error {
	for len(b) > 0 {
		u, ok := nal.FirstOBU(b)
		switch {
		case !ok:
			return errors.New("an OBU that makes no sense, or is longer than its frame")
		case !u.Sized:
			return errors.New("an OBU without its size")
		case u.Kind == nal.TemporalDelimiter:
			return errors.New("a temporal delimiter")
		}
		b = b[u.Len:]
	}
	return nil
}
