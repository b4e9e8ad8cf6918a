package pack

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
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
	if !nal.Complete(&hal.Track{Codec: t.Codec, VPS: vps, SPS: sps, PPS: pps}) {
		return nil, ErrNoParameters
	}
	var c codecs.Codec
	switch t.Codec { //nolint:exhaustive // those that interEntry is called for
	case hal.H264:
		c = &codecs.H264{SPS: sps, PPS: pps}
	case hal.H265:
		c = &codecs.H265{VPS: vps, SPS: sps, PPS: pps}
	default:
		c = &codecs.AV1{SequenceHeader: withoutSize(sps)}
	}
	return c, nil
}

// parameterSets finds them in a key frame: the first of each kind.
func parameterSets(c hal.Codec, key []byte) (vps, sps, pps []byte) {
	if c == hal.AV1 {
		return nil, sequenceHeader(key), nil
	}
	t := hal.Track{Codec: c}
	walk := nal.Prefixed(key)
	for u, ok := walk.Next(); ok; u, ok = walk.Next() {
		if set := nal.Set(&t, nal.KindOf(c, u[0])); set != nil && *set == nil {
			*set = bytes.Clone(u)
		}
	}
	return t.VPS, t.SPS, t.PPS
}

// sequenceHeader finds the OBU of that type in a temporal unit and returns it with its size.
func sequenceHeader(unit []byte) []byte {
	for {
		u, ok := nal.FirstOBU(unit)
		switch {
		case !ok || !u.Sized:
			return nil
		case u.Kind == nal.SequenceHeader:
			return bytes.Clone(unit[:u.Len])
		}
		unit = unit[u.Len:]
	}
}

// withoutSize returns an OBU as mediacommon wants it: its header says that no size follows.
func withoutSize(obu []byte) []byte {
	if u, ok := nal.FirstOBU(obu); ok && u.Sized {
		return u.Unsized()
	}
	return nil
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
