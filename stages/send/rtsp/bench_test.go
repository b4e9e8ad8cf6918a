package rtsp_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// bench is a mounted stage without a channel: frames are handed to it by the test.
type bench struct {
	server *rtsp.Server
	stage  pipeline.Stage
	s      *script
	wanted atomic.Bool
	wants  chan struct{}
}

func newBench(t testing.TB, tracks ...hal.Track) *bench {
	t.Helper()
	b := &bench{server: rtsp.NewServer(rtsp.Config{Listen: "127.0.0.1:0", UDP: rtsp.UDPOff}), wants: make(chan struct{}, 16)}
	require.NoError(t, b.server.Start())
	b.stage = b.server.Mount("gate")
	clock := hal.NewClock()
	b.s = &script{clock: clock, arena: pool.NewArena(pool.ArenaConfig{}), stream: &hal.Stream{Tracks: tracks}}
	require.NoError(t, b.stage.Open(t.Context(), pipeline.Env{
		Channel: "gate", Clock: clock, Log: discard(), RequestKeyFrame: func() {},
		Want: func(on bool) {
			b.wanted.Store(on)
			if on {
				b.wants <- struct{}{}
			}
		},
	}))
	t.Cleanup(func() {
		require.NoError(t, b.stage.Close())
		require.NoError(t, b.server.Close(context.Background()))
	})
	return b
}

// work hands picture n of size bytes to the stage, as the runner would.
func (b *bench) work(t testing.TB, n, size int) {
	buf, err := b.s.arena.Get(size)
	require.NoError(t, err)
	p := buf.Bytes()
	u := size - 4
	p[0], p[1], p[2], p[3], p[4] = byte(u>>24), byte(u>>16), byte(u>>8), byte(u), 0x41
	key := n%50 == 0
	if key {
		p[4] = 0x65
	}
	at := time.Duration(n) * 40 * time.Millisecond
	f := hal.Frame{Buf: buf, Stream: b.s.stream, Key: key, Stamp: hal.Stamp{DTS: at, PTS: at, Mono: b.s.clock.Mono()}}
	if err := b.stage.Work(context.Background(), f); err != nil {
		t.Fatal(err)
	}
	if err := b.stage.(pipeline.EndBatch).EndBatch(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// readers lets n players watch, each read to nowhere.
func (b *bench) readers(t testing.TB, n, size int) {
	t.Helper()
	url := "rtsp://" + b.server.Addr().String() + "/gate"
	stop := make(chan struct{})
	var left sync.WaitGroup
	left.Go(func() { // until all watch, key frames come
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for k := -1 << 20; ; k += 50 {
			select {
			case <-tick.C:
				b.work(t, k/50*50, size)
			case <-stop:
				return
			}
		}
	})
	for range n {
		p := dial(t, b.server.Addr().String())
		p.watch(url, 0)
		require.NoError(t, p.conn.SetDeadline(time.Time{}))
		go func() { _, _ = io.Copy(io.Discard, p.r) }()
	}
	close(stop)
	left.Wait()
}

func TestNoAllocationForAnAccessUnit(t *testing.T) {
	b := newBench(t, h264Track())
	b.readers(t, 3, 20000)
	n := 0
	for range 500 { // into the steady state
		b.work(t, n, 20000)
		n++
	}
	allocs := testing.AllocsPerRun(500, func() {
		b.work(t, n, 20000)
		n++
	})
	require.Less(t, allocs, 1.0, "allocations an access unit")
}
