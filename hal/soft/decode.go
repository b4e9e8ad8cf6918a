package soft

import (
	"context"
	"fmt"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/pool"
)

// maxDecoded bounds a picture that is decoded, by level 5.2 of H.264: 36,864 macroblocks.
const maxDecoded = 36_864 * 256

// DecodeKey makes a raw picture (I420, in the arena) of one key frame of a track, as hal.Frame
// describes its bytes: H.264 by openh264. Its track names the colours of t. What cannot be
// decoded here is hal.ErrUnsupported, a library that is missing hal.ErrNoDevice; every other
// error is the key frame's own. It is safe for concurrent use; ctx is asked before the work.
func (d Driver) DecodeKey(ctx context.Context, t *hal.Track, unit []byte, arena *pool.Arena) (hal.Frame, error) {
	if err := ctx.Err(); err != nil {
		return hal.Frame{}, err
	}
	if t.Codec != hal.H264 {
		return hal.Frame{}, fmt.Errorf("%w: key frames of %s are not decoded here", hal.ErrUnsupported, t.Codec)
	}
	named, largest := *t, t.Width*t.Height
	for walk := nal.Prefixed(unit); ; { // a set that stands in the frame holds, not the track's
		u, ok := walk.Next()
		if !ok {
			break
		}
		if nal.KindOf(hal.H264, u[0]) == nal.SPS {
			nal.Describe(&named, u)
			largest = max(largest, named.Width*named.Height)
		}
	}
	if largest < 1 || largest > maxDecoded {
		return hal.Frame{}, fmt.Errorf("%w: a picture of %d pixels is not decoded here: at most %d", hal.ErrUnsupported, largest, maxDecoded)
	}
	return d.decodeKeyH264(&named, unit, arena)
}
