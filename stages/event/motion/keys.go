package motion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Decoder makes a raw picture, in the arena, of a key frame, which stays the caller's. It is
// safe for concurrent use. What it cannot decode at all is hal.ErrUnsupported or ErrNoDevice.
type Decoder interface {
	DecodeKey(ctx context.Context, key hal.Frame, arena *pool.Arena) (hal.Frame, error)
}

// Keys decodes key frames for the watches of all channels, a few at once.
type Keys struct {
	decoders []Decoder
	slots    chan struct{}
	pictures *pool.Arena
}

// pictureBytes is room for one picture of level 5.2 of H.264, in I420.
const pictureBytes = 16 << 20

// NewKeys returns what decodes key frames by the first of the decoders that can, so many at once
// (0: one): no more cores than that are ever at work for motion in key frames.
func NewKeys(atOnce int, decoders ...Decoder) *Keys {
	atOnce = max(1, atOnce)
	return &Keys{decoders: decoders, slots: make(chan struct{}, atOnce), pictures: pool.NewArena(pool.ArenaConfig{Max: max(64<<20, 2*atOnce*pictureBytes)})}
}

// decode returns the picture of a key frame and how long that took, without the wait for its
// turn. The error is hal.ErrUnsupported or hal.ErrNoDevice where no decoder is one for it.
func (k *Keys) decode(ctx context.Context, key hal.Frame, clock *hal.Clock) (hal.Frame, time.Duration, error) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return hal.Frame{}, 0, context.Cause(ctx)
	}
	began := clock.Mono()
	var errs []error
	var broken error
	for _, d := range k.decoders {
		picture, err := d.DecodeKey(ctx, key, k.pictures)
		if err == nil {
			return picture, time.Duration(clock.Mono() - began), nil
		}
		errs = append(errs, err)
		if !cannot(err) {
			broken = errors.Join(broken, err)
		}
	}
	if broken != nil {
		errs = []error{broken}
	}
	if len(errs) == 0 {
		errs = []error{fmt.Errorf("%w: nothing here decodes %s", hal.ErrUnsupported, key.Info().Codec)}
	}
	return hal.Frame{}, time.Duration(clock.Mono() - began), errors.Join(errs...)
}

// cannot says that another key frame will fare no better.
func cannot(err error) bool {
	return errors.Is(err, hal.ErrUnsupported) || errors.Is(err, hal.ErrNoDevice)
}
