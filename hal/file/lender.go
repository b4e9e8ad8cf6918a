package file

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millrace-video/millrace/pool"
)

// lender hands out the arena's memory and waits where there is none: a file can be held back.
type lender struct {
	arena *pool.Arena
	done  <-chan struct{} // closed when the source is

	impatient bool // do not wait: there are samples to hand out first
}

// get returns a buffer of n bytes.
func (l *lender) get(ctx context.Context, n int) (pool.Buffer, error) {
	for {
		buf, err := l.arena.Get(n)
		if err == nil {
			return buf, nil
		}
		if err = l.wait(ctx, n, err); err != nil {
			return pool.Buffer{}, err
		}
	}
}

// reserve makes sure that the builder's next n bytes need no further memory.
func (l *lender) reserve(ctx context.Context, b *pool.Builder, n int) error {
	for {
		at := b.Len()
		_, err := b.Grow(n)
		if err == nil {
			b.Truncate(at)
			return nil
		}
		if err = l.wait(ctx, at+n, err); err != nil {
			return err
		}
	}
}

// wait returns when memory came home. Where nothing is on loan nothing will, and the limit is
// simply too small.
func (l *lender) wait(ctx context.Context, n int, cause error) error {
	if !errors.Is(cause, pool.ErrArenaFull) {
		return cause
	}
	if !l.arena.Due() {
		return fmt.Errorf("a frame of %d bytes: %w: raise the limit of the memory for frames", n, cause)
	}
	if l.impatient {
		return errNoRoom
	}
	select {
	case <-l.arena.Freed():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return os.ErrClosed
	}
}
