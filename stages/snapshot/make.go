package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/pixel"
	"github.com/millrace-video/millrace/pool"
)

const jpegType = "image/jpeg"

// make makes a picture of a shot, which the caller has to itself: the best that can be had.
func (s *Service) make(ctx context.Context, sh *shot, width int) (Snapshot, error) {
	if !sh.key.Buf.IsZero() && sh.key.Info().Codec == hal.MJPEG {
		if t := sh.key.Info(); width == 0 || t.Width > 0 && t.Width <= width {
			return Snapshot{Data: bytes.Clone(sh.key.Buf.Bytes()), ContentType: jpegType, Width: t.Width, Height: t.Height, Time: sh.time, Way: Passed}, nil
		}
	}
	err := s.decode(ctx, sh)
	if err == nil {
		var got Snapshot
		if got, err = s.jpeg(ctx, sh, width); err == nil {
			return got, nil
		}
	}
	if isOurs(ctx, err) {
		return Snapshot{}, err
	}
	if url := sh.camera.cfg.URL; url != "" {
		got, pageErr := s.page(ctx, url)
		if pageErr == nil {
			got.Cause = err.Error()
			return got, nil
		}
		err = errors.Join(err, fmt.Errorf("the camera's snapshot URL: %w", pageErr))
	}
	if isOurs(ctx, err) || sh.key.Buf.IsZero() {
		return Snapshot{}, err
	}
	got, movieErr := movie(sh.key)
	if movieErr != nil {
		return Snapshot{}, errors.Join(err, movieErr)
	}
	got.Time, got.Way, got.Cause = sh.time, KeyFrame, err.Error()
	return got, nil
}

// decode sees to it that the shot has a raw picture; it is tried once.
func (s *Service) decode(ctx context.Context, sh *shot) error {
	if !sh.raw.Buf.IsZero() || sh.failed != nil {
		return sh.failed
	}
	s.count(func(st *Stats) { st.Decodes++ })
	var errs []error
	for _, d := range s.decoders(sh.key.Info().Codec) {
		raw, err := s.decodeBy(ctx, d, sh.key)
		if err == nil {
			sh.raw, sh.way = raw, Decoded
			sh.key.Release() // the picture takes its place
			sh.key.Buf = pool.Buffer{}
			return nil
		}
		if isOurs(ctx, err) {
			return err
		}
		errs = append(errs, err)
	}
	sh.failed = errors.Join(errs...)
	if sh.failed == nil {
		sh.failed = fmt.Errorf("%w: nothing here decodes %s", hal.ErrUnsupported, sh.key.Info().Codec)
	}
	return sh.failed
}

func (s *Service) decoders(c hal.Codec) []Decoder {
	if c == hal.MJPEG {
		return []Decoder{jpegDecoder{s.shelf}}
	}
	return s.cfg.Decoders
}

// decodeBy makes room where a decoder finds none.
func (s *Service) decodeBy(ctx context.Context, d Decoder, key hal.Frame) (hal.Frame, error) {
	for {
		raw, err := d.DecodeKey(ctx, key, s.shelf.pictures)
		if !errors.Is(err, pool.ErrArenaFull) {
			return raw, err
		}
		if !s.shelf.evict() {
			return hal.Frame{}, fmt.Errorf("%w: no memory is left for a picture", ErrBusy)
		}
	}
}

// jpeg makes a JPEG of the shot's raw picture.
func (s *Service) jpeg(ctx context.Context, sh *shot, width int) (Snapshot, error) {
	t := sh.raw.Info()
	picture := sh.raw
	if width &^= 1; width != 0 && width < t.Width {
		narrow, err := s.scale(sh.raw, width, max(2, t.Height*width/t.Width&^1))
		if err != nil {
			return Snapshot{}, err
		}
		defer narrow.Release()
		picture = narrow
	}
	file, err := s.press.print(ctx, picture)
	if err != nil {
		return Snapshot{}, err
	}
	t = picture.Info()
	return Snapshot{Data: file, ContentType: jpegType, Width: t.Width, Height: t.Height, Time: sh.time, Way: sh.way}, nil
}

func (s *Service) scale(raw hal.Frame, width, height int) (hal.Frame, error) {
	from, err := pixel.View(raw.Info(), raw.Buf)
	if err != nil {
		return hal.Frame{}, err
	}
	scaler, err := pixel.NewScaler(from.Width, from.Height, width, height)
	if err != nil {
		return hal.Frame{}, err
	}
	return s.shelf.picture(raw, width, height, func(dst pixel.Picture) error { return scaler.Scale(dst, from) })
}

// jpegDecoder decodes a camera's JPEG, to make a narrower one of it.
type jpegDecoder struct{ shelf *shelf }

const maxPixels = 20 << 20

// DecodeKey implements Decoder.
func (d jpegDecoder) DecodeKey(_ context.Context, key hal.Frame, _ *pool.Arena) (hal.Frame, error) {
	file := key.Buf.Bytes()
	c, err := jpeg.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return hal.Frame{}, fmt.Errorf("the camera's JPEG: %w", err)
	}
	if c.Width*c.Height > maxPixels {
		return hal.Frame{}, fmt.Errorf("the camera's JPEG has %dx%d pixels: at most %d", c.Width, c.Height, maxPixels)
	}
	img, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return hal.Frame{}, fmt.Errorf("the camera's JPEG: %w", err)
	}
	full := key
	track := *key.Info()
	track.Colour.FullRange = true
	full.Stream = &hal.Stream{Tracks: []hal.Track{track}}
	return d.shelf.picture(full, c.Width&^1, c.Height&^1, func(dst pixel.Picture) error { return sample(dst, img) })
}
