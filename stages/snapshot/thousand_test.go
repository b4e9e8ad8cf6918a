package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/snapshot"
	"github.com/millrace-video/millrace/stages/upload/s3"
	"github.com/millrace-video/millrace/stages/upload/s3test"
)

// keys is a driver of cameras that send one of a few key frames again and again, one a second:
// keys://3 sends the fourth. The bytes are shared by all cameras of a number.
type keys []hal.Frame

func (keys) Name() string         { return "keys" }
func (keys) Schemes() []string    { return []string{"keys"} }
func (keys) Check(*url.URL) error { return nil }

func (k keys) Open(_ context.Context, u *url.URL, o hal.Options) (hal.Source, error) {
	n, err := strconv.Atoi(u.Host)
	return &keySource{frame: k[n%len(k)], clock: o.Clock, closed: make(chan struct{})}, err
}

type keySource struct {
	frame  hal.Frame
	clock  *hal.Clock
	n      int
	once   sync.Once
	closed chan struct{}
}

func (s *keySource) Stream() *hal.Stream { return s.frame.Stream }
func (s *keySource) Live() bool          { return true }

func (s *keySource) Read(ctx context.Context) (hal.Frame, error) {
	if s.n > 0 {
		t := time.NewTimer(time.Second)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.closed:
			return hal.Frame{}, io.EOF
		case <-ctx.Done():
			return hal.Frame{}, ctx.Err()
		}
	}
	f := s.frame.Retain()
	f.Stamp = hal.Stamp{DTS: time.Duration(s.n) * time.Second, PTS: time.Duration(s.n) * time.Second, Mono: s.clock.Mono()}
	s.n++
	return f, nil
}

func (s *keySource) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// sixteen encodes as many key frames of different pictures.
func sixteen(t *testing.T, size string) keys {
	t.Helper()
	arena := pool.NewArena(pool.ArenaConfig{})
	var all keys
	for i := range 16 {
		c := clip(t, size, "-vf", fmt.Sprintf("hue=h=%d", 22*i), "-c:v", "libx264", "-frames:v", "1")
		all = append(all, c.Frame(t, arena, 0))
	}
	t.Cleanup(func() {
		for _, f := range all {
			f.Release()
		}
		require.Zero(t, arena.Stats().Held, "frames never released")
	})
	return all
}

// counting is a receiver that notes what arrived when.
type counting struct {
	snapshot.Receiver

	clock *hal.Clock
	mu    sync.Mutex
	all   []given
}

func (c *counting) Send(ctx context.Context, s snapshot.Snapshot) error {
	err := c.Receiver.Send(ctx, s)
	if err == nil {
		c.mu.Lock()
		c.all = append(c.all, given{c.clock.Mono(), s.Channel})
		c.mu.Unlock()
	}
	return err
}

func (c *counting) given() []given {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// fleet is channels on a real S3 server.
type fleet struct {
	service *snapshot.Service
	gateway *s3test.Gateway
	to      *counting
	eng     *pipeline.Engine
	threads *pool.Pool
	onEvent func(pipeline.Event)
}

func newFleet(t *testing.T, count int, size string) *fleet {
	t.Helper()
	f := &fleet{gateway: s3test.Start(t), service: service(t, nil), onEvent: func(pipeline.Event) {}}
	store, err := s3.Open(s3.Config{
		Endpoint: "http://" + f.gateway.Address, Region: s3test.Region, Bucket: s3test.Bucket,
		Credentials: s3.Credentials{AccessKey: s3test.Access, SecretKey: s3test.Secret},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	clock := hal.NewClock()
	f.to = &counting{Receiver: snapshot.ToStore(store), clock: clock}
	f.threads, err = pool.NewPool(0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.threads.Close(time.Minute)) })
	reg := hal.NewRegistry(sixteen(t, size), soft.Driver{})
	f.eng = pipeline.NewEngine(pipeline.Config{Clock: clock, OnEvent: func(e pipeline.Event) { f.onEvent(e) }})
	for i := range count {
		name := fmt.Sprint("c", i)
		_, err := f.eng.Add(pipeline.Define(name, acquire.From(reg, fmt.Sprintf("keys://%d", i%16))).
			Branch("snapshot", snapshot.Limit(), f.service.Camera(name, snapshot.CameraConfig{})))
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, f.eng.Exit(ctx))
	})
	return f
}

func (f *fleet) start(t *testing.T) {
	t.Helper()
	for _, ch := range f.eng.Channels() {
		require.NoError(t, ch.Start())
	}
}

// S2: JPEGs of the key frames of many channels in a real bucket; each is its own channel's.
func TestManyChannelsInARealBucket(t *testing.T) {
	const count = 48
	f := newFleet(t, count, "320x240")
	f.start(t)
	workers, err := f.threads.Reserve(8)
	require.NoError(t, err)
	todo, done := make(chan int, count), make(chan error, count)
	for i := range count {
		todo <- i
	}
	close(todo)
	for range 8 {
		require.NoError(t, workers.Go(func() error {
			for i := range todo {
				got, err := f.service.Snapshot(t.Context(), fmt.Sprint("c", i), 0)
				done <- errors.Join(err, f.to.Send(t.Context(), got))
			}
			return nil
		}, nil))
	}
	for range count {
		require.NoError(t, <-done)
	}
	workers.Wait()
	workers.Close()
	byChannel := map[string]string{}
	for key := range f.gateway.Objects(t) {
		file, err := os.ReadFile(filepath.Join(f.gateway.Folder, key))
		require.NoError(t, err)
		byChannel[strings.Split(key, "/")[1]] = string(file)
	}
	require.Len(t, byChannel, count)
	different := map[string]bool{}
	for i := range count {
		name := fmt.Sprint("c", i)
		decode(t, snapshot.Snapshot{Data: []byte(byChannel[name]), ContentType: "image/jpeg", Width: 320, Height: 240})
		require.Equal(t, byChannel[fmt.Sprint("c", i%16)], byChannel[name], "channel %s has another camera's picture", name)
		different[byChannel[name]] = true
	}
	require.Len(t, different, 16)
}

// S1, S2: 1,000 channels within a minute, evenly, on what cores there are.
func TestAThousandChannelsWithinAMinute(t *testing.T) {
	if os.Getenv("MILLRACE_TORTURE") == "" {
		t.Skip("takes over two minutes: set MILLRACE_TORTURE=1")
	}
	const count = 1000
	f := newFleet(t, count, "1280x720")
	s, err := snapshot.NewScheduler(f.threads, snapshot.SchedulerConfig{Interval: interval, Taker: f.service, Receiver: f.to, Clock: f.to.clock})
	require.NoError(t, err)
	f.onEvent = func(e pipeline.Event) { s.Set(e.Channel, e.To == pipeline.Running || e.To == pipeline.Degraded) }
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, s.Start(ctx))
	f.start(t)
	require.Eventually(t, func() bool { return s.Stats().Online == count && s.Stats().Left >= count-20 }, 2*time.Minute, time.Millisecond)
	skip := len(f.to.given())
	start, before := s.Stats(), cpu(t) // an interval after the one in which a thousand channels were started
	began := time.Now()
	require.Eventually(t, func() bool { return different(f.to.given()[skip:]) == count }, 4*time.Minute, 100*time.Millisecond, "%+v", s.Stats())
	took, used := time.Since(began), cpu(t)-before
	cancel()
	s.Wait()
	st := s.Stats()
	require.Equal(t, start.Failed+start.Dropped+start.NoPic+start.Missed, st.Failed+st.Dropped+st.NoPic+st.Missed, "%+v", st)
	all := f.to.given()[skip:]
	require.Less(t, len(all), count+count/20, "each once, and who has its next turn before the slowest upload has ended")
	require.GreaterOrEqual(t, len(f.gateway.Objects(t)), count)
	t.Logf("1,000 channels of 1280x720: %s from the first to the last, at most %d in a second (mean %.1f), %.2f cores over %s",
		time.Duration(all[len(all)-1].at-all[0].at).Round(time.Millisecond), mostInASecond(all), count/interval.Seconds(), used.Seconds()/took.Seconds(), took.Round(time.Second))
	require.Less(t, all[len(all)-1].at-all[0].at, minute+5*second)
}

// different counts channels.
func different(all []given) int {
	seen := map[string]bool{}
	for _, g := range all {
		seen[g.name] = true
	}
	return len(seen)
}

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
