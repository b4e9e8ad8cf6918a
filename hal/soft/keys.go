package soft

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// loneDecoder makes pictures of key frames, one of each.
type loneDecoder interface {
	// lone owns room, which is of the arena and may do for the picture.
	lone(t *hal.Track, unit []byte, room pool.Buffer, arena *pool.Arena) (hal.Frame, error)
	close()
}

// Keys is a Driver's DecodeKey for many: a few decoders stay open for a while, each for key frames of
// the parameter sets it had before. Two thirds of the work of a 720p key frame is the memory that a new
// decoder takes. One that failed is closed, so that no broken stream meets the next. It is safe for
// concurrent use.
type Keys struct {
	driver Driver

	mu     sync.Mutex
	idle   []idleDecoder // the one used last at the end
	timer  *time.Timer
	used   bool // since the timer was set
	closed bool
}

type idleDecoder struct {
	sets    string
	decoder loneDecoder
}

const (
	keysKept = 4
	keysTime = 10 * time.Second // without use, until all are closed
)

// NewKeys returns decoders of d's library.
func NewKeys(d Driver) *Keys { return &Keys{driver: d} }

// DecodeKey is Driver's.
func (k *Keys) DecodeKey(ctx context.Context, key hal.Frame, arena *pool.Arena) (hal.Frame, error) {
	t, room, err := prepare(ctx, key, arena)
	if err != nil {
		return hal.Frame{}, err
	}
	sets := string(t.SPS) + "/" + string(t.PPS)
	c := k.take(sets)
	if c.decoder == nil {
		if c.decoder, err = k.driver.newLone(); err != nil {
			room.Release()
			return hal.Frame{}, err
		}
	}
	f, err := c.decoder.lone(&t, key.Buf.Bytes(), room, arena)
	if err != nil {
		c.decoder.close()
		return hal.Frame{}, err
	}
	k.giveBack(c)
	f.Stamp = key.Stamp
	return f, nil
}

// take returns an idle decoder that had those parameter sets, or a place for one.
func (k *Keys) take(sets string) idleDecoder {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, one := range slices.Backward(k.idle) {
		if one.sets == sets {
			k.idle = slices.Delete(k.idle, i, i+1)
			return one
		}
	}
	return idleDecoder{sets: sets}
}

// giveBack keeps a decoder, and closes the one used the longest ago where there are too many.
func (k *Keys) giveBack(one idleDecoder) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used = true
	k.idle = append(k.idle, one)
	if len(k.idle) > keysKept || k.closed {
		k.idle[0].decoder.close()
		k.idle = slices.Delete(k.idle, 0, 1)
	}
	if k.timer == nil && !k.closed {
		k.timer = time.AfterFunc(keysTime, k.rest)
	}
}

// rest closes what nobody has used for a while.
func (k *Keys) rest() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.used && !k.closed {
		k.used = false
		k.timer.Reset(keysTime)
		return
	}
	k.timer = nil
	k.drop()
}

// drop closes the idle ones. The caller holds mu.
func (k *Keys) drop() {
	for _, one := range k.idle {
		one.decoder.close()
	}
	k.idle = nil
}

// Close closes what is idle; what is in use is closed when it is done.
func (k *Keys) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if k.timer != nil {
		k.timer.Stop()
	}
	k.drop()
}
