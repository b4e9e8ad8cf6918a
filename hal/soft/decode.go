package soft

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/pool"
)

// maxDecoded bounds a picture that is decoded, by level 5.2 of H.264: 36,864 macroblocks.
const maxDecoded = 36_864 * 256

// DecodeKey makes a raw picture (I420, in the arena) of a key frame, which stays the caller's:
// H.264 by openh264. The picture has the key frame's Stamp and a stream of its own. What cannot
// be decoded here is hal.ErrUnsupported, a library that is missing hal.ErrNoDevice; every other
// error is the key frame's own. It is safe for concurrent use; ctx is asked before the work.
func (d Driver) DecodeKey(ctx context.Context, key hal.Frame, arena *pool.Arena) (hal.Frame, error) {
	t, room, err := prepare(ctx, key, arena)
	if err != nil {
		return hal.Frame{}, err
	}
	c, err := d.newLone()
	if err != nil {
		room.Release()
		return hal.Frame{}, err
	}
	defer c.close()
	f, err := c.lone(&t, key.Buf.Bytes(), room, arena)
	f.Stamp = key.Stamp
	return f, err
}

// prepare returns a key frame's track as its parameter sets describe it, if it is one for here, and
// memory for its picture: before the work, so that where there is none it need not be done twice.
func prepare(ctx context.Context, key hal.Frame, arena *pool.Arena) (t hal.Track, room pool.Buffer, err error) {
	if err = ctx.Err(); err != nil {
		return t, room, err
	}
	t = *key.Info()
	if t.Codec != hal.H264 {
		return t, room, fmt.Errorf("%w: key frames of %s are not decoded here", hal.ErrUnsupported, t.Codec)
	}
	if err = describedBy(&t, key.Buf.Bytes()); err != nil {
		return t, room, err
	}
	layout, err := hal.PackedLayout(hal.I420, t.Width&^1, t.Height&^1)
	if err != nil {
		layout.Size = 0 // nothing describes it yet
	}
	room, err = arena.Get(layout.Size)
	return t, room, err
}

// describedBy lets t follow its own parameter sets, and those that stand in an access unit, for they
// hold and not the track's.
func describedBy(t *hal.Track, unit []byte) error {
	if err := described(t, t.SPS); err != nil {
		return err
	}
	for walk := nal.Prefixed(unit); ; {
		u, ok := walk.Next()
		if !ok {
			return nil
		}
		if nal.KindOf(hal.H264, u[0]) == nal.SPS {
			if err := described(t, u); err != nil {
				return err
			}
		}
	}
}

// described lets t follow a sequence parameter set, if there is one. What would take the library
// too much memory, or cannot be told, does not get there.
func described(t *hal.Track, sps []byte) error {
	if len(sps) == 0 {
		return nil
	}
	if _, ok := nal.Describe(t, sps); !ok {
		return errors.New("the key frame's sequence parameter set makes no sense")
	}
	if t.Width*t.Height > maxDecoded {
		return fmt.Errorf("%w: pictures of %dx%d are not decoded here: at most %d pixels", hal.ErrUnsupported, t.Width, t.Height, maxDecoded)
	}
	return nil
}
