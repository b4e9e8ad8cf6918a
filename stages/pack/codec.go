package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image/jpeg"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/millrace-video/millrace/hal"
)

// ErrNoParameters says that a decoder would not know the pictures yet: neither the stream nor
// the frame has the parameter sets. A later key frame may bring them.
var ErrNoParameters = errors.New("no parameter sets yet")

const (
	videoScale = 90000 // holds 25, 30, 50, 60 and 30000/1001 frames a second exactly
	opusScale  = 48000 // RFC 7845, whatever the encoder was fed
	maxRate    = 65535 // a sample entry has 16 bits for the rate
	maxSet     = 65535 // and as many for the length of a parameter set
)

// entry says how MP4 holds a track: its sample entry and its time scale.
func entry(t *hal.Track, key []byte) (codecs.Codec, uint32, error) { //nolint:ireturn // as mediacommon wants it
	switch t.Codec {
	case hal.H264, hal.H265, hal.AV1:
		c, err := interEntry(t, key)
		return c, videoScale, err
	case hal.MJPEG:
		c, err := jpegEntry(t, key)
		return c, videoScale, err
	case hal.AAC:
		return aacEntry(t)
	case hal.Opus:
		if t.Channels < 1 || t.Channels > 2 {
			return nil, 0, fmt.Errorf("opus with %d channels: 1 or 2 can be stored", t.Channels)
		}
		return &codecs.Opus{ChannelCount: t.Channels}, opusScale, nil
	case hal.G711A, hal.G711U:
		return pcmEntry(t, 16)
	case hal.LPCM:
		return pcmEntry(t, t.BitDepth)
	case hal.FWHT:
		return nil, 0, errors.New("MP4 knows no fwht")
	case hal.Raw, hal.CodecUnknown:
	}
	return nil, 0, fmt.Errorf("MP4 cannot hold %s: encode it first", t.Codec)
}

func interEntry(t *hal.Track, key []byte) (codecs.Codec, error) { //nolint:ireturn // as mediacommon wants it
	vps, sps, pps := t.VPS, t.SPS, t.PPS
	if len(sps) == 0 {
		vps, sps, pps = parameterSets(t.Codec, key)
	}
	if len(vps) > maxSet || len(sps) > maxSet || len(pps) > maxSet {
		return nil, fmt.Errorf("a parameter set of more than %d bytes", maxSet)
	}
	complete := len(sps) > 0
	var c codecs.Codec
	switch t.Codec { //nolint:exhaustive // those that interEntry is called for
	case hal.H264:
		complete = complete && len(pps) > 0
		c = &codecs.H264{SPS: sps, PPS: pps}
	case hal.H265:
		complete = complete && len(pps) > 0 && len(vps) > 0
		c = &codecs.H265{VPS: vps, SPS: sps, PPS: pps}
	default:
		c = &codecs.AV1{SequenceHeader: withoutSize(sps)}
	}
	if !complete {
		return nil, ErrNoParameters
	}
	return c, nil
}

// parameterSets finds them in a key frame: the first of each kind.
func parameterSets(c hal.Codec, key []byte) (vps, sps, pps []byte) {
	if c == hal.AV1 {
		return nil, sequenceHeader(key), nil
	}
	for len(key) >= 4 {
		n := int(binary.BigEndian.Uint32(key))
		if key = key[4:]; n < 1 || n > len(key) {
			break
		}
		var unit []byte
		unit, key = key[:n], key[n:]
		set := (*[]byte)(nil)
		switch {
		case c == hal.H264 && unit[0]&31 == 7, c == hal.H265 && unit[0]>>1&63 == 33:
			set = &sps
		case c == hal.H264 && unit[0]&31 == 8, c == hal.H265 && unit[0]>>1&63 == 34:
			set = &pps
		case c == hal.H265 && unit[0]>>1&63 == 32:
			set = &vps
		}
		if set != nil && *set == nil {
			*set = bytes.Clone(unit)
		}
	}
	return vps, sps, pps
}

// sequenceHeader finds the OBU of that type in a temporal unit and returns it with its size.
func sequenceHeader(unit []byte) []byte {
	for len(unit) >= 2 {
		_, end := obu(unit)
		if end == 0 {
			return nil
		}
		if unit[0]>>3&15 == 1 {
			return bytes.Clone(unit[:end])
		}
		unit = unit[end:]
	}
	return nil
}

// withoutSize returns an OBU as mediacommon wants it: its header says that no size follows.
func withoutSize(unit []byte) []byte {
	body, end := obu(unit)
	if end == 0 {
		return nil
	}
	return append([]byte{unit[0] &^ 2}, append(bytes.Clone(unit[1:1+int(unit[0]>>2&1)]), unit[body:end]...)...)
}

// obu returns where the first OBU's payload begins and ends; 0 where that cannot be told.
func obu(unit []byte) (body, end int) {
	const hasExtension, hasSize = 4, 2
	if len(unit) < 2 || unit[0]&hasSize == 0 {
		return 0, 0
	}
	at := 1
	if unit[0]&hasExtension != 0 {
		at = 2
	}
	var size av1.LEB128
	n, err := size.Unmarshal(unit[at:])
	if err != nil || uint64(at+n)+uint64(size) > uint64(len(unit)) {
		return 0, 0
	}
	return at + n, at + n + int(size)
}

func jpegEntry(t *hal.Track, key []byte) (codecs.Codec, error) { //nolint:ireturn // as mediacommon wants it
	w, h := t.Width, t.Height
	if w == 0 || h == 0 {
		cfg, err := jpeg.DecodeConfig(bytes.NewReader(key))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoParameters, err)
		}
		w, h = cfg.Width, cfg.Height
	}
	return &codecs.MJPEG{Width: w, Height: h}, nil
}

func aacEntry(t *hal.Track) (codecs.Codec, uint32, error) { //nolint:ireturn // as mediacommon wants it
	var cfg mpeg4audio.AudioSpecificConfig
	if err := cfg.Unmarshal(t.AudioConfig); err != nil {
		return nil, 0, fmt.Errorf("AAC's AudioSpecificConfig: %w", err)
	}
	if cfg.SampleRate < 1 || cfg.SampleRate > maxRate {
		return nil, 0, fmt.Errorf("AAC at %d Hz: at most %d can be stored", cfg.SampleRate, maxRate)
	}
	return &codecs.MPEG4Audio{Config: cfg}, uint32(cfg.SampleRate), nil
}

func pcmEntry(t *hal.Track, depth int) (codecs.Codec, uint32, error) { //nolint:ireturn // as mediacommon wants it
	switch {
	case depth != 16 && depth != 24 && depth != 32:
		return nil, 0, fmt.Errorf("samples of %d bits: 16, 24 or 32 can be stored", depth)
	case t.SampleRate < 1 || t.SampleRate > maxRate:
		return nil, 0, fmt.Errorf("sound at %d Hz: at most %d can be stored", t.SampleRate, maxRate)
	case t.Channels < 1 || t.Channels > 255:
		return nil, 0, fmt.Errorf("sound of %d channels", t.Channels)
	}
	c := &codecs.LPCM{BitDepth: depth, SampleRate: t.SampleRate, ChannelCount: t.Channels}
	return c, uint32(t.SampleRate), nil
}

// nominal returns how long a frame lasts by its own account, in the track's units; 0 where the
// frame does not say.
func nominal(t *hal.Track, scale uint32, b []byte) int64 {
	switch t.Codec {
	case hal.AAC:
		return mpeg4audio.SamplesPerAccessUnit
	case hal.Opus:
		return opus.PacketDuration2(b)
	case hal.G711A, hal.G711U: // as decoded
		return int64(len(b) / (2 * t.Channels))
	case hal.LPCM:
		return int64(len(b) / (t.BitDepth / 8 * t.Channels))
	case hal.Raw, hal.MJPEG, hal.H264, hal.H265, hal.AV1, hal.FWHT:
		if t.FrameRate > 0 {
			return int64(float64(scale)/t.FrameRate + 0.5)
		}
	case hal.CodecUnknown:
	}
	return 0
}
