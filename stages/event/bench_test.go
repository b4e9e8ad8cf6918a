package event_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/event"
)

// The cost of a trigger call in an open event, from every core at once.
func BenchmarkTrigger(b *testing.B) {
	p, err := pool.NewPool(16)
	require.NoError(b, err)
	w, err := p.Reserve(3)
	require.NoError(b, err)
	clock := hal.NewClock()
	h := event.NewHandling(event.HandlingConfig{Clock: clock})
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(b, w.Go(func() error { return h.Run(ctx, w) }, nil))
	ch := event.NewChannel(h, "gate")
	require.NoError(b, ch.Init(ctx, event.Config{}, event.Ends{}))
	require.NoError(b, ch.Serve(event.Notice{Service: event.EventService, On: true}))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := ch.Trigger(event.Motion.Bit(), clock.Now().UnixMilli()); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	_, err = ch.Exit(ctx, false)
	require.NoError(b, err)
	cancel()
	w.Wait()
	w.Close()
	require.NoError(b, p.Close(time.Minute))
}
