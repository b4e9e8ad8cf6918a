package v4l2

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-video/millrace/hal"
)

var _ hal.EncoderDriver = Driver{}

// Encoders implements hal.EncoderDriver: the stateful memory-to-memory encoders of this machine.
// Each is named by its card and its place, as v4l2:vicodec@platform:vicodec.
func (Driver) Encoders(ctx context.Context) ([]hal.EncoderInfo, error) {
	if !builtIn() {
		return nil, nil
	}
	return machineEncoders().infos(ctx)
}

// OpenEncoder implements hal.EncoderDriver. The name is one that Encoders gave, or a device node
// as v4l2:video11.
func (Driver) OpenEncoder(ctx context.Context, name string, cfg hal.EncoderConfig) (hal.Encoder, error) {
	if !builtIn() {
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, errNotBuiltIn())
	}
	return machineEncoders().openEncoder(ctx, name, cfg)
}

// infos describes the encoders.
func (e encoders) infos(ctx context.Context) ([]hal.EncoderInfo, error) {
	all, err := e.find(ctx)
	var infos []hal.EncoderInfo
	for i := range all {
		m := &all[i]
		for _, c := range m.codecs {
			infos = append(infos, hal.EncoderInfo{
				Name: m.name, Codec: c.codec, Inputs: m.inputs(), Rank: rankEncoder, Hardware: true, Detail: m.detail,
			})
		}
	}
	return infos, err
}

// openEncoder opens one by its name.
func (e encoders) openEncoder(ctx context.Context, name string, cfg hal.EncoderConfig) (*encoder, error) {
	all, failed := e.find(ctx)
	i := slices.IndexFunc(all, func(m m2m) bool {
		return m.name == name || Scheme+":"+filepath.Base(m.path) == name
	})
	if i < 0 {
		names := make([]string, 0, len(all))
		for _, m := range all {
			names = append(names, m.name)
		}
		there := "there is none"
		if len(names) > 0 {
			there = "there is " + strings.Join(names, ", ")
		}
		return nil, errors.Join(fmt.Errorf("%w: hardware encoder %q: %s", hal.ErrNoDevice, name, there), failed)
	}
	m := all[i]
	cfg = cfg.WithDefaults()
	coded, err := m.check(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	n, err := e.open(m.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, openError(err))
	}
	enc, err := newEncoder(n, &m, coded, cfg)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", m.detail, err)
	}
	return enc, nil
}

// check says what is wrong with a configuration.
func (m *m2m) check(cfg hal.EncoderConfig) (codedFormat, error) {
	in := cfg.Input
	i := slices.IndexFunc(m.codecs, func(c codedFormat) bool { return c.codec == cfg.Codec })
	if i < 0 {
		return codedFormat{}, fmt.Errorf("%s does not encode %s", m.name, cfg.Codec)
	}
	if in.Codec != hal.Raw {
		return codedFormat{}, fmt.Errorf("%s encodes raw pictures, not %s", m.name, in.Codec)
	}
	if _, err := hal.PackedLayout(hal.I420, in.Width, in.Height); err != nil {
		return codedFormat{}, fmt.Errorf("%s: %w", m.name, err)
	}
	_, takes := m.choose(in.Layout.Pixel)
	switch {
	case !takes || in.Layout.Pixel == hal.PixelUnknown:
		return codedFormat{}, fmt.Errorf("%s takes no pixel format %s: one of %v", m.name, in.Layout.Pixel, m.inputs())
	case cfg.Bitrate < 0 || cfg.Bitrate > 1<<30:
		return codedFormat{}, fmt.Errorf("a bit rate of %d: 0 to %d bits a second", cfg.Bitrate, 1<<30)
	case cfg.GOP < 0 || cfg.GOP > 1<<20:
		return codedFormat{}, fmt.Errorf("a key frame every %d pictures: 0 to %d", cfg.GOP, 1<<20)
	case cfg.Quality < 0 || cfg.Quality > 100:
		return codedFormat{}, fmt.Errorf("a quality of %d: 1 to 100, or 0 for 80", cfg.Quality)
	case !slices.Contains(profileNames(cfg.Codec), cfg.Profile):
		return codedFormat{}, fmt.Errorf("profile %q of %s: one of %q", cfg.Profile, cfg.Codec, profileNames(cfg.Codec))
	}
	return m.codecs[i], nil
}
