//go:build linux && (386 || amd64 || arm || arm64 || loong64 || riscv64) && !android

package soft

import (
	"context"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/pool"
)

// reordered is more than H.264 lets a picture wait for others (16), and than the library holds.
const reordered = 64

// h264Stream decodes all pictures of a stream by the library's decoder.
type h264Stream struct {
	*h264Decoder
	cfg    hal.DecoderConfig
	track  hal.Track   // as the last sequence parameter set describes it
	stream *hal.Stream // of the pictures
	unit   []byte      // as the library wants it
	number uint64      // of the unit
	stamps [reordered]hal.Stamp
	lost   bool // until the next key frame
}

var _ hal.Decoder = (*h264Stream)(nil)

// openH264 begins a stream.
func (d Driver) openH264(cfg hal.DecoderConfig) (hal.Decoder, error) {
	c, err := d.newH264Decoder()
	if err != nil {
		return nil, err
	}
	return &h264Stream{h264Decoder: c, cfg: cfg, lost: true}, nil
}

// Decode implements hal.Decoder.
func (s *h264Stream) Decode(ctx context.Context, f hal.Frame, each func(hal.Frame) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.this == nil {
		return ErrClosed
	}
	unit := f.Buf.Bytes()
	switch {
	case f.Key:
		if err := s.Drain(ctx, each); err != nil {
			return err
		}
		s.track = *f.Info()
		s.unit = appendAnnexB(s.unit[:0], &s.track, unit)
		s.lost = false
	case s.lost:
		return nil
	default:
		s.unit = appendAnnexB(s.unit[:0], nil, unit)
	}
	err := describedBy(&s.track, unit)
	if err == nil {
		err = s.push(f.Stamp)
	}
	if err == nil {
		err = s.hand(each)
	}
	s.lost = err != nil
	return err
}

// push has the library decode the unit.
func (s *h264Stream) push(stamp hal.Stamp) error {
	if len(s.unit) < nal.PrefixLen {
		return fmt.Errorf("%w: an access unit without a byte", errUndecoded)
	}
	s.number++
	s.stamps[s.number%reordered] = stamp
	s.info.setNumber(s.number)
	r := s.call(decodeNoDelay, uintptr(unsafe.Pointer(unsafe.SliceData(s.unit))), uintptr(len(s.unit)),
		uintptr(unsafe.Pointer(&s.planes)), uintptr(unsafe.Pointer(&s.info)))
	runtime.KeepAlive(s.unit)
	if r != 0 {
		return fmt.Errorf("%w: openh264 cannot decode an access unit: %#x", errUndecoded, uint32(r)) //nolint:gosec // flags
	}
	return nil
}

// hand passes the picture on that the library gives, if it gives one.
func (s *h264Stream) hand(each func(hal.Frame) error) error {
	if ready, _, _, _ := s.info.picture(); !ready {
		return nil
	}
	picture, err := s.collect(&s.track, pool.Buffer{}, s.cfg.Arena)
	if err != nil {
		return err
	}
	if t := picture.Info(); s.stream != nil && s.stream.Tracks[0].Equal(*t) {
		picture.Stream = s.stream
	}
	s.stream = picture.Stream
	n := s.info.number()
	if n > s.number || s.number-n >= reordered {
		n = s.number // the library lost it: the latest is next to it
	}
	picture.Stamp = s.stamps[n%reordered]
	return each(picture)
}

// Drain implements hal.Decoder.
func (s *h264Stream) Drain(_ context.Context, each func(hal.Frame) error) error {
	s.lost = true
	for range reordered {
		if s.this == nil || s.number == 0 {
			return nil
		}
		s.info = decodedPicture{} // which the library leaves as it is where it has nothing
		s.call(decodeFlush, uintptr(unsafe.Pointer(&s.planes)), uintptr(unsafe.Pointer(&s.info)), 0, 0)
		if ready, _, _, _ := s.info.picture(); !ready {
			return nil
		}
		if err := s.hand(each); err != nil {
			return err
		}
	}
	return nil
}

// Close implements hal.Decoder.
func (s *h264Stream) Close() error {
	s.close()
	return nil
}
