package encode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// session is one encoder from its opening to its end.
type session struct {
	hal.Encoder
	info hal.EncoderInfo
	fit  *fitter

	written   uint64        // pictures taken by Write; the stage's own
	delivered atomic.Uint64 // frames read
	missed    atomic.Uint64 // frames that were counted as lost
	dropped   atomic.Bool   // the stage closes it: what Read says then is no failure
	done      chan struct{} // closed by the reader when nothing more comes out, unless it panics
	err       error         // why, before done: nil at the end of the input
	passing   error         // env.Out's
}

// read passes on what the encoder yields until it ends. What fails is closed, so that nobody
// waits at its other side.
func (s *session) read(ctx context.Context, o *outlet) {
	over := false
	defer func() {
		if !over { // a panic, which ends the reader as a whole
			_ = s.Close() //nolint:errcheck // the panic is what counts
			return
		}
		close(s.done)
	}()
	s.copy(ctx, o)
	over = true
}

// copy is read's loop.
func (s *session) copy(ctx context.Context, o *outlet) {
	for {
		f, err := s.Read(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.Is(err, pool.ErrArenaFull): // this frame is lost, the next may be not
			s.missed.Add(1)
			o.count.lost.Add(1)
			continue
		case err != nil:
			if !s.dropped.Load() {
				s.err = err
				_ = s.Close() //nolint:errcheck // it has failed already
			}
			return
		}
		s.delivered.Add(1)
		if err := o.picture(f); err != nil {
			s.passing = fmt.Errorf("pass on: %w", err)
			_ = s.Close() //nolint:errcheck // what is wrong is behind us
			return
		}
	}
}

// ended says whether the reader has left.
func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
