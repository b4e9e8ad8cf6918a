package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/snapshot"
)

// desk takes snapshots by number, and receives them; it notes whose came when.
type desk struct {
	clock *hal.Clock
	begun int64

	mu   sync.Mutex
	all  []given
	fail func(channel string) error // of Send
	take func(channel string) error
	slow time.Duration
}

func (d *desk) Snapshot(_ context.Context, channel string, _ int) (snapshot.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.take != nil {
		if err := d.take(channel); err != nil {
			return snapshot.Snapshot{}, err
		}
	}
	d.all = append(d.all, given{d.clock.Mono() - d.begun, channel})
	return snapshot.Snapshot{Channel: channel, Data: []byte("picture"), ContentType: "image/jpeg"}, nil
}

func (d *desk) Send(ctx context.Context, s snapshot.Snapshot) error {
	if d.slow > 0 {
		select {
		case <-time.After(d.slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail(s.Channel)
	}
	return nil
}

func (d *desk) given() []given {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]given(nil), d.all...)
}

// scheduling runs a scheduler in a bubble until the test ends.
func scheduling(t *testing.T, d *desk, change func(*snapshot.SchedulerConfig)) *snapshot.Scheduler {
	t.Helper()
	d.clock = hal.NewClock()
	d.begun = d.clock.Mono()
	threads, err := pool.NewPool(0)
	require.NoError(t, err)
	cfg := snapshot.SchedulerConfig{Interval: interval, Taker: d, Receiver: d, Clock: d.clock}
	if change != nil {
		change(&cfg)
	}
	s, err := snapshot.NewScheduler(threads, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, s.Start(ctx))
	t.Cleanup(func() {
		cancel()
		s.Wait()
		require.NoError(t, threads.Close(time.Minute))
	})
	return s
}

// S1, S3: channels come and go at random; what comes to the receiver, and when, is what the naive
// reading of S1 and S3 says.
func TestTheSchedulerDoesWhatANaiveOneSays(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 9))
			d := &desk{}
			s := scheduling(t, d, nil)
			m := &naive{online: map[string]bool{}}
			var want []given
			for range 300 {
				<-time.After(time.Duration(rnd.Int64N(int64(5*time.Second))) + 1)
				synctest.Wait()
				now := d.clock.Mono() - d.begun
				want = append(want, m.give(now)...)
				name, on := fmt.Sprint(rnd.IntN(40)), rnd.IntN(3) > 0
				s.Set(name, on)
				m.set(now, name, on)
				synctest.Wait()
				want = append(want, m.give(now)...)
				require.Equal(t, want, d.given(), "seed %d", seed)
			}
			require.NotEmpty(t, want)
			st := s.Stats()
			require.Equal(t, []uint64{uint64(len(want)), uint64(len(want)), 0, uint64(7 * len(want))}, []uint64{st.Due, st.Sent, st.Missed, st.Bytes})
		})
	}
}

// Each trouble of a receiver is told once, and its end.
func TestAReceiversTroubleIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		down := errors.New("503 Service Unavailable")
		d := &desk{fail: func(string) error { return down }}
		s := scheduling(t, d, func(c *snapshot.SchedulerConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for i := range 10 {
			s.Set(fmt.Sprint(i), true)
		}
		<-time.After(5*interval + time.Second)
		synctest.Wait()
		st := s.Stats()
		require.Equal(t, st.Due, st.Failed)
		require.Equal(t, "503 Service Unavailable", st.Cause)
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		<-time.After(2*interval + time.Second)
		synctest.Wait()
		require.Empty(t, s.Stats().Cause)
		require.Equal(t, 1, strings.Count(log.String(), "does not take snapshots"))
		require.Equal(t, 1, strings.Count(log.String(), "takes snapshots again"))
	})
}

func TestAChannelWithoutAPictureIsToldOnceAndHurtsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := &desk{take: func(c string) error {
			if c == "b" {
				return snapshot.ErrNoKeyFrame
			}
			return nil
		}}
		s := scheduling(t, d, func(c *snapshot.SchedulerConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		s.Set("a", true)
		s.Set("b", true)
		<-time.After(4*interval + time.Second)
		synctest.Wait()
		st := s.Stats()
		require.Equal(t, []uint64{4, 4}, []uint64{st.Sent, st.NoPic})
		require.Equal(t, 1, strings.Count(log.String(), "no snapshot of a channel"))
		require.Empty(t, st.Cause, "the receiver is not to blame")
	})
}

// What a receiver is too slow for is dropped and counted; nothing gathers.
func TestATooSlowReceiverHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{slow: time.Hour}
		s := scheduling(t, d, func(c *snapshot.SchedulerConfig) { c.Parallel = 3 })
		for i := range 60 {
			s.Set(fmt.Sprint(i), true)
		}
		<-time.After(3*interval - time.Millisecond)
		synctest.Wait()
		st := s.Stats()
		require.EqualValues(t, 60+60+58, st.Due)
		require.LessOrEqual(t, st.Flying, 3)
		require.Equal(t, st.Due, st.Dropped+st.Failed+uint64(st.Flying))
		require.Greater(t, st.Dropped, uint64(100))
		require.NotEmpty(t, st.Cause)
	})
}

func TestASchedulerRefusesNonsense(t *testing.T) { // S1: at least a minute
	threads, err := pool.NewPool(0)
	require.NoError(t, err)
	defer func() { require.NoError(t, threads.Close(time.Minute)) }()
	d := &desk{}
	for _, cfg := range []snapshot.SchedulerConfig{
		{Interval: time.Minute - 1, Taker: d, Receiver: d},
		{Interval: time.Minute, Receiver: d},
		{Interval: time.Minute, Taker: d},
		{Interval: time.Minute, Taker: d, Receiver: d, Parallel: -1},
	} {
		_, err := snapshot.NewScheduler(threads, cfg)
		require.Error(t, err)
	}
}

type shelf map[string]string

func (s shelf) Put(_ context.Context, key, contentType string, body *io.SectionReader) error {
	b, err := io.ReadAll(body)
	s[key] = contentType + " " + string(b)
	return err
}

func TestInAStoreEachPictureHasAKeyOfItsOwn(t *testing.T) {
	s := shelf{}
	to := snapshot.ToStore(s)
	one, other := shot(), shot()
	other.Data = append([]byte{9}, other.Data...)
	require.NoError(t, to.Send(t.Context(), one))
	require.NoError(t, to.Send(t.Context(), one), "the same picture again")
	require.NoError(t, to.Send(t.Context(), other), "another one of the same time")
	require.Len(t, s, 2)
	require.Equal(t, "image/jpeg "+string(one.Data), s[one.Key()])
	require.Regexp(t, `^snapshots/gate/2026-11-21/14-10-07\.123Z-[0-9a-f]{8}\.jpg$`, one.Key())
}
