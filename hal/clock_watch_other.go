//go:build !linux

package hal

import (
	"context"
	"time"
)

// Watch keeps the map true until ctx is done, by a look every second. stepped, which may be
// nil, is called after each step.
func (c *Clock) Watch(ctx context.Context, stepped func()) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		if c.Sync() && stepped != nil {
			stepped()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}
