package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// press turns raw pictures into JPEG files. A few encoders stay open, for channels are often of
// one size.
type press struct {
	encoders Encoders
	quality  int
	clock    *hal.Clock

	mu   sync.Mutex
	idle []openEncoder // the one used last at the end
}

type openEncoder struct {
	size format
	enc  hal.Encoder
}

// format is what an encoder was opened for.
type format struct {
	width, height int
	layout        hal.Layout
	full          bool
}

const maxIdle = 4

func newPress(cfg Config) *press {
	return &press{encoders: cfg.Encoders, quality: cfg.Quality, clock: cfg.Clock}
}

// print returns the JPEG file of a raw picture, which stays the caller's.
func (p *press) print(ctx context.Context, raw hal.Frame) ([]byte, error) {
	t := raw.Info()
	size := format{t.Width, t.Height, t.Layout, t.Colour.FullRange}
	enc := p.take(size)
	if enc == nil {
		var err error
		if enc, _, err = p.encoders.OpenEncoder(ctx, hal.EncoderConfig{
			Input: *t, Codec: hal.MJPEG, Quality: p.quality, Prefer: []string{"turbojpeg", "gojpeg"}, Clock: p.clock,
		}); err != nil {
			return nil, fmt.Errorf("JPEG: %w", err)
		}
	}
	file, err := encode(ctx, enc, raw)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("JPEG: %w", err), enc.Close())
	}
	return file, p.giveBack(openEncoder{size, enc})
}

func encode(ctx context.Context, enc hal.Encoder, raw hal.Frame) ([]byte, error) {
	if err := enc.Write(ctx, raw.Retain()); err != nil {
		return nil, err
	}
	f, err := enc.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	return bytes.Clone(f.Buf.Bytes()), nil
}

// take returns an idle encoder of that format, or nil.
func (p *press) take(size format) hal.Encoder {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range slices.Backward(p.idle) {
		if o.size == size {
			p.idle = slices.Delete(p.idle, i, i+1)
			return o.enc
		}
	}
	return nil
}

// giveBack keeps an encoder open, and closes the one used the longest ago where there are too many.
func (p *press) giveBack(o openEncoder) error {
	p.mu.Lock()
	p.idle = append(p.idle, o)
	var old hal.Encoder
	if len(p.idle) > maxIdle {
		old = p.idle[0].enc
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	p.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

func (p *press) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, o := range idle {
		_ = o.enc.Close() //nolint:errcheck // nothing is in it
	}
}
