package hal

import (
	"context"
	"time"
)

// Wait returns after d, or earlier with why ctx ended. It is for who has nothing else to hear of
// meanwhile.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
