package soft

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/hal"
)

// errUndecoded says that a decoder can make nothing of a unit.
var errUndecoded = errors.New("not decoded")

// OpenDecoder returns a decoder of all pictures of a track: H.264 by openh264, and by an ffmpeg
// process where that is missing or cannot; H.265 and AV1 by an ffmpeg process, which gives JPEG.
// hal.ErrNoDevice says what to install, hal.ErrUnsupported that nothing here decodes the codec. ctx
// bounds the opening alone.
func (d Driver) OpenDecoder(_ context.Context, track hal.Track, cfg hal.DecoderConfig) (hal.Decoder, error) {
	cfg = cfg.WithDefaults()
	switch track.Codec { //nolint:exhaustive // the others are not inter-coded, or sound
	case hal.H264:
		native, err := d.openH264(cfg)
		if err == nil {
			return &either{Decoder: native, next: func() (hal.Decoder, error) { return d.openFFmpeg(cfg) }, cfg: cfg}, nil
		}
		other, missing := d.openFFmpeg(cfg)
		if missing != nil {
			return nil, errors.Join(err, missing)
		}
		return other, nil
	case hal.H265, hal.AV1:
		return d.openFFmpeg(cfg)
	}
	return nil, fmt.Errorf("%w: %s is not decoded here", hal.ErrUnsupported, track.Codec)
}

// either is a decoder, and another that takes its place at the first key frame that it cannot decode.
type either struct {
	hal.Decoder
	next func() (hal.Decoder, error) // nil: there is no other, or not any more
	cfg  hal.DecoderConfig
}

// Decode implements hal.Decoder.
func (e *either) Decode(ctx context.Context, f hal.Frame, each func(hal.Frame) error) error {
	err := e.Decoder.Decode(ctx, f, each)
	if e.next == nil || !f.Key || !errors.Is(err, errUndecoded) && !errors.Is(err, hal.ErrUnsupported) {
		return err
	}
	other, missing := e.next()
	if missing != nil {
		return errors.Join(err, missing)
	}
	e.cfg.Log.Info("a stream is decoded by ffmpeg", "cause", err.Error())
	closed := e.Close()
	e.Decoder, e.next = other, nil
	return errors.Join(closed, other.Decode(ctx, f, each))
}
