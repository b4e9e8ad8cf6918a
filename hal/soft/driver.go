package soft

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-video/millrace/hal"
)

// Driver offers the software encoders. The zero value is ready.
type Driver struct {
	// OpenH264 and TurboJPEG are the names under which the libraries are looked for, the first
	// that loads is taken; nil means the usual ones. A name that is a path is taken as it is.
	OpenH264, TurboJPEG []string
	// FFmpeg is the program that decodes what no library here does; "" is the ffmpeg of the PATH.
	FFmpeg string
}

// Ranks: hardware stands at 100 and above.
const (
	rankLibrary = 50
	rankGo      = 10
)

// offer is an encoder that can be opened now, and how.
type offer struct {
	hal.EncoderInfo
	open func(cfg hal.EncoderConfig) (coder, error) // one for each picture at work at once
}

// Name implements hal.Driver.
func (Driver) Name() string { return "soft" }

// Encoders implements hal.EncoderDriver. A library that is missing is no error; one that is
// there and cannot be used is.
func (d Driver) Encoders(context.Context) ([]hal.EncoderInfo, error) {
	offers, err := d.offers()
	infos := make([]hal.EncoderInfo, 0, len(offers))
	for _, o := range offers {
		infos = append(infos, o.EncoderInfo)
	}
	return infos, err
}

func (d Driver) offers() ([]offer, error) {
	native, err := d.native()
	return append(native, goJPEG()), err
}

// OpenEncoder implements hal.EncoderDriver.
func (d Driver) OpenEncoder(_ context.Context, name string, cfg hal.EncoderConfig) (hal.Encoder, error) {
	offers, probed := d.offers()
	i := slices.IndexFunc(offers, func(o offer) bool { return o.Name == name })
	if i < 0 {
		return nil, errors.Join(fmt.Errorf("%w: software encoder %q: %s", hal.ErrNoDevice, name, advice(name)), probed)
	}
	o := offers[i]
	if err := check(o, cfg); err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrUnsupported, err)
	}
	e, err := newEncoder(o, withDefaults(cfg))
	if err != nil {
		return nil, fmt.Errorf("open %s (%s): %w", o.Name, o.Detail, err)
	}
	return e, nil
}

// advice says what to do about an encoder that is not there.
func advice(name string) string {
	switch name {
	case nameOpenH264:
		return "install Debian's libopenh264-7 (libopenh264.so)"
	case nameTurboJPEG:
		return "install Debian's libturbojpeg0 (libturbojpeg.so.0)"
	}
	return fmt.Sprintf("there is %s, %s and %s", nameOpenH264, nameTurboJPEG, nameGoJPEG)
}

const (
	nameOpenH264  = "openh264"
	nameTurboJPEG = "turbojpeg"
	nameGoJPEG    = "gojpeg"
)

func inputs() []hal.PixelFormat {
	return []hal.PixelFormat{hal.I420, hal.NV12, hal.YUYV, hal.UYVY, hal.NV21, hal.NM12, hal.YM12}
}

// check says what is wrong with a configuration.
func check(o offer, cfg hal.EncoderConfig) error {
	in := cfg.Input
	if cfg.Codec != o.Codec {
		return fmt.Errorf("%s encodes %s, not %s", o.Name, o.Codec, cfg.Codec)
	}
	if in.Codec != hal.Raw {
		return fmt.Errorf("%s encodes raw pictures, not %s", o.Name, in.Codec)
	}
	if _, err := hal.PackedLayout(hal.I420, in.Width, in.Height); err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	switch {
	case !slices.Contains(o.Inputs, in.Layout.Pixel):
		return fmt.Errorf("%s takes no pixel format %s: one of %v", o.Name, in.Layout.Pixel, o.Inputs)
	case cfg.Bitrate < 0 || cfg.Bitrate > 1<<30:
		return fmt.Errorf("a bit rate of %d: 0 to %d bits a second", cfg.Bitrate, 1<<30)
	case cfg.GOP < 0 || cfg.GOP > 1<<20:
		return fmt.Errorf("a key frame every %d pictures: 0 to %d", cfg.GOP, 1<<20)
	case cfg.Quality < 0 || cfg.Quality > 100:
		return fmt.Errorf("a quality of %d: 1 to 100, or 0 for 80", cfg.Quality)
	case cfg.Parallel < 0 || cfg.Parallel > 64:
		return fmt.Errorf("%d pictures at once: 0 to 64", cfg.Parallel)
	}
	return nil
}

func withDefaults(cfg hal.EncoderConfig) hal.EncoderConfig {
	if cfg.Parallel == 0 || cfg.Workers == nil || cfg.Codec != hal.MJPEG {
		cfg.Parallel = 1
	}
	return cfg.WithDefaults()
}
