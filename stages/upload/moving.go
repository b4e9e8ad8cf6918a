package upload

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Decoders opens what makes pictures of an inter-coded stream (H.264, H.265). soft.Driver is one.
type Decoders interface {
	OpenDecoder(ctx context.Context, track hal.Track, cfg hal.DecoderConfig) (hal.Decoder, error)
}

// moving decodes the units of an inter-coded stream, one after the other. What cannot be decoded is
// passed over up to the next key frame.
type moving struct {
	decoders Decoders
	quality  int
	log      *slog.Logger
	askKey   func()

	decoder hal.Decoder
	codec   hal.Codec
	lost    bool  // until the next key frame
	said    bool  // that units cannot be decoded, since the last that could
	key     int64 // Mono of the latest key frame; 0: none
	apart   int64 // ns between the two latest key frames
}

// lone says whether the stream's key frames come so often that they do, where pictures are wanted
// only so far apart: nothing else is then decoded. It is asked once for each unit.
func (m *moving) lone(in hal.Frame, apart int64) bool {
	if in.Key {
		m.apart = 0
		if m.key != 0 && in.Stamp.Mono > m.key {
			m.apart = in.Stamp.Mono - m.key
		}
		m.key = in.Stamp.Mono
	}
	return apart > 0 && m.apart > 0 && m.apart <= apart+apart/20
}

// decode hands each the pictures that are ready; with alone the unit's own is. It returns false
// where the unit was passed over. An error is each's own, or says that there is no decoder.
func (m *moving) decode(ctx context.Context, in hal.Frame, alone bool, each func(hal.Frame) error) (bool, error) {
	if m.lost && !in.Key {
		return false, nil
	}
	if err := m.ready(ctx, in.Info()); err != nil {
		return false, err
	}
	var own error
	hand := func(f hal.Frame) error {
		own = each(f)
		return own
	}
	err := m.decoder.Decode(ctx, in, hand)
	if err == nil && alone {
		err = m.decoder.Drain(ctx, hand)
	}
	switch {
	case own != nil:
		return false, own
	case err == nil:
		m.lost, m.said = false, false
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	}
	m.lost = true
	m.askKey()
	if !m.said {
		m.said = true
		m.log.Warn("pictures cannot be decoded: it goes on at the next key frame", "codec", m.codec.String(), "cause", err.Error())
	}
	return false, nil
}

// ready sees to it that there is a decoder for the codec.
func (m *moving) ready(ctx context.Context, t *hal.Track) error {
	if m.decoder != nil && m.codec == t.Codec {
		return nil
	}
	if err := m.close(); err != nil {
		return err
	}
	if m.decoders == nil {
		return fmt.Errorf("%w: pictures of %s, and no decoder", hal.ErrUnsupported, t.Codec)
	}
	d, err := m.decoders.OpenDecoder(ctx, *t, hal.DecoderConfig{Quality: m.quality, Log: m.log})
	if err != nil {
		return fmt.Errorf("pictures of %s: %w", t.Codec, err)
	}
	m.decoder, m.codec = d, t.Codec
	return nil
}

// drain hands over what the decoder holds back.
func (m *moving) drain(ctx context.Context, each func(hal.Frame) error) error {
	m.key, m.apart = 0, 0
	if m.decoder == nil {
		return nil
	}
	m.lost = true
	return m.decoder.Drain(ctx, each)
}

func (m *moving) close() error {
	if m.decoder == nil {
		return nil
	}
	err := m.decoder.Close()
	m.decoder = nil
	return err
}

// unit takes a unit of an inter-coded stream.
func (f *Frames) unit(ctx context.Context, in hal.Frame) error {
	apart := int64(0)
	if f.cfg.PerSecond > 0 {
		apart = int64(float64(time.Second) / f.cfg.PerSecond)
	}
	alone := f.moving.lone(in, apart)
	if alone && (!in.Key || !f.wanted(in.Stamp)) {
		f.skipped.Add(1)
		return nil
	}
	went, err := f.moving.decode(ctx, in, alone, func(picture hal.Frame) error { return f.picture(ctx, picture, alone) })
	if !went {
		f.undecoded.Add(1)
	}
	return err
}

// picture takes a decoded picture, which is its own; with sure it is one that goes up.
func (f *Frames) picture(ctx context.Context, in hal.Frame, sure bool) error {
	defer in.Release()
	if !sure && !f.wanted(in.Stamp) {
		f.skipped.Add(1)
		return nil
	}
	file, err := f.jpeg.picture(ctx, in)
	if err != nil {
		return err
	}
	f.submit(in.Stamp, file)
	return nil
}

// rest takes the pictures that the decoder holds back when a run ends.
func (f *Frames) rest(ctx context.Context) error {
	var own error
	err := f.moving.drain(ctx, func(picture hal.Frame) error {
		own = f.picture(ctx, picture, false)
		return own
	})
	if own == nil && err != nil {
		f.log.Warn("the last pictures of a stream cannot be decoded", "cause", err.Error())
		return nil
	}
	return own
}
