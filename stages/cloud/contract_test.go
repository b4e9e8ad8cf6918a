package cloud_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/cloud"
)

var errDown = errors.New("no link")

func down(string) error { return errDown }

// packages feeds n packages of 4 s, each of that many bytes, and the key frame after them.
func (s *site) packages(n, size int) {
	s.t.Helper()
	for range 4 * n {
		s.second(size / 4)
	}
}

// begins are the packages in the bucket, by what they hold: the second that they begin with.
func (b *bucket) begins() (all []string) {
	for _, key := range b.keys("/media/") {
		body := b.object(key)
		_, rest, _ := strings.Cut(body, "picture ")
		begin, _, _ := strings.Cut(rest, "/")
		all = append(all, begin)
	}
	return all
}

// C1: calls before init and after exit, a second init, a second exit.
func TestOutOfOrder(t *testing.T) {
	s := build(t, newBucket(), cloud.Config{}, cloud.ChannelConfig{})
	_, err := s.cloud.Exit(t.Context(), false)
	require.ErrorIs(t, err, cloud.ErrNotInit)
	require.ErrorIs(t, s.ch.Serve(cloud.Notice{On: true}), cloud.ErrNotInit)
	require.ErrorIs(t, s.branch.Open(t.Context(), s.env()), cloud.ErrNotInit)
	var got error
	s.ch.Record(cloud.Window{Event: 1, Over: true}, func(err error) { got = err })
	require.ErrorIs(t, got, cloud.ErrNotInit)
	s.open()
	require.ErrorIs(t, s.cloud.Init(t.Context()), cloud.ErrInit)
	s.exit()
	_, err = s.cloud.Exit(t.Context(), true)
	require.ErrorIs(t, err, cloud.ErrExited)
	require.ErrorIs(t, s.ch.Serve(cloud.Notice{On: true}), cloud.ErrExited)
	s.open() // and once more
	s.exit()
}

// C1: without force what was accepted is up; when its time is over it is a forced one, which
// says what was left.
func TestGentleExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.stop = make(chan struct{})
		s := start(t, b, cloud.Config{}, cloud.ChannelConfig{FullTime: true})
		s.packages(3, 40_000)
		s.stop()
		go func() {
			time.Sleep(3 * time.Second) //nolint:forbidigo // of the bubble
			close(b.stop)
		}()
		left, err := s.cloud.Exit(t.Context(), false)
		require.NoError(t, err)
		require.False(t, left.Any())
		require.Equal(t, []string{"0", "4", "8"}, b.begins())

		b.set(func(b *bucket) { b.stop = make(chan struct{}) })
		s.open()
		s.packages(2, 40_000)
		s.stop()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		left, err = s.cloud.Exit(ctx, false)
		require.ErrorIs(t, err, cloud.ErrForced)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, left.Packages, 2)
		require.False(t, left.Spooled)
	})
}

// C1: who is being told of an upload has heard it before the exit returns: what the call uses is
// not closed under it.
func TestExitWaitsForWhoIsBeingTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newBucket(), cloud.Config{Dir: t.TempDir(), Spool: true}, cloud.ChannelConfig{Event: true})
		s.film(6)
		telling, hear, heard := make(chan struct{}), make(chan struct{}), false
		s.tell(cloud.Window{Event: 7, From: s.clock.Mono() - int64(5*time.Second), To: s.clock.Mono(), Over: true}, func(error) {
			close(telling)
			<-hear
			heard = true
		})
		s.film(10)
		<-telling
		s.stop()
		time.AfterFunc(500*time.Millisecond, func() { close(hear) }) //nolint:forbidigo // of the bubble
		_, err := s.cloud.Exit(t.Context(), false)
		require.NoError(t, err)
		require.True(t, heard)
	})
}

// C1: a forced exit stops at once; one during a gentle one makes that a forced one.
func TestForcedExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.stop = make(chan struct{})
		s := start(t, b, cloud.Config{Dir: t.TempDir(), Spool: true}, cloud.ChannelConfig{FullTime: true})
		s.packages(3, 40_000)
		s.stop()
		first := make(chan error)
		go func() {
			_, err := s.cloud.Exit(t.Context(), false)
			first <- err
		}()
		synctest.Wait()
		_, err := s.cloud.Exit(t.Context(), false)
		require.ErrorIs(t, err, cloud.ErrExiting, "a second exit while exiting says so")
		began := time.Now() //nolint:forbidigo // of the bubble
		left, err := s.cloud.Exit(t.Context(), true)
		require.NoError(t, err)
		require.Less(t, time.Since(began), time.Second) //nolint:forbidigo // of the bubble
		require.Len(t, left.Packages, 3)
		require.True(t, left.Spooled)
		require.ErrorIs(t, <-first, cloud.ErrForced)

		b.set(func(b *bucket) { b.stop = nil })
		s.open() // what was left goes up
		s.exit()
		require.Equal(t, []string{"0", "4", "8"}, b.begins())
	})
}

// C3: at most three packages wait in memory: the fourth drops the oldest, and it is counted.
func TestFourthDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.fault = down
		s := start(t, b, cloud.Config{}, cloud.ChannelConfig{FullTime: true, Bytes: cloud.DefaultBytes})
		for range 24 { // packages come in their time, and no attempt is under way for long
			s.second(10_000)
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		}
		s.stop()
		synctest.Wait()
		st := s.ch.Status()
		require.Equal(t, 3, st.Waiting)
		require.EqualValues(t, 3, st.Dropped)
		require.Len(t, s.lost, 3)
		require.Equal(t, s.lost, st.Lost)
		require.True(t, st.UploadFullTime)
		require.Contains(t, st.Why, "no link")
		b.set(func(b *bucket) { b.fault = nil })
		left, err := s.cloud.Exit(t.Context(), false)
		require.NoError(t, err)
		require.False(t, left.Any())
		require.Equal(t, []string{"12", "16", "20"}, b.begins())
		list := b.object(b.keys("/full/")[0])
		require.NotContains(t, list, "DISCONTINUITY")
	})
}

// C3: where their sum passes three times the set size the oldest goes; a single package larger
// than that is kept and sent, with one warning that names the setting.
func TestLargePackages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.fault = down
		s := start(t, b, cloud.Config{}, cloud.ChannelConfig{FullTime: true, Bytes: 100_000})
		for _, size := range []int{40_000, 40_000, 40_000, 40_000, 30_000, 30_000, 30_000, 30_000, 20_000, 20_000, 20_000, 20_000} {
			s.second(size)
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		}
		s.second(10_000)
		require.EqualValues(t, 1, s.ch.Status().Dropped, "160 + 120 + 80 KB are more than 300")
		require.NotContains(t, s.log.String(), "package_bytes")
		for range 12 {
			s.second(100_000)
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		}
		s.second(100_000)
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		require.Equal(t, 1, s.ch.Status().Waiting)
		require.Equal(t, 1, strings.Count(s.log.String(), "cloud.package_bytes"))
		b.set(func(b *bucket) { b.fault = nil })
		s.exit()
		require.NotEmpty(t, b.begins())
	})
}

// C3: 0 measures the size of a package from the stream.
func TestMeasuredSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newBucket(), cloud.Config{}, cloud.ChannelConfig{FullTime: true})
		require.EqualValues(t, cloud.DefaultBytes, s.ch.Status().SetSize)
		for range 9 {
			s.second(300_000)
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		}
		require.InEpsilon(t, 1_200_000, s.ch.Status().SetSize, 0.01)
		s.exit()
		require.NotContains(t, s.log.String(), "package_bytes")
	})
}

// C4, C5: services are switched while it runs: callbacks and statuses as they change.
func TestServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		var notices []cloud.Notice
		s := build(t, b, cloud.Config{Callbacks: cloud.Callbacks{Notice: func(n cloud.Notice) { notices = append(notices, n) }}}, cloud.ChannelConfig{})
		s.open()
		require.Empty(t, s.wanted)
		expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		require.NoError(t, s.ch.Serve(cloud.Notice{Service: cloud.FullTime, On: true, Expires: expires}))
		require.NoError(t, s.ch.Serve(cloud.Notice{Service: cloud.Event, On: true}))
		require.Equal(t, []bool{true}, s.wanted, "start-stream, once")
		require.Equal(t, []cloud.Notice{{Channel: "gate", Service: cloud.FullTime, On: true, Expires: expires}, {Channel: "gate", Service: cloud.Event, On: true}}, notices)
		st := s.ch.Status()
		require.True(t, st.FullTime.On)
		require.Equal(t, expires, *st.FullTime.Expires)
		require.True(t, st.Event.On)
		s.packages(1, 10_000)
		require.NoError(t, s.ch.Serve(cloud.Notice{Service: cloud.FullTime}))
		require.NoError(t, s.ch.Serve(cloud.Notice{Service: cloud.Event}))
		require.Equal(t, []bool{true, false}, s.wanted, "stop-stream")
		require.NoError(t, s.branch.Mark(t.Context(), pipeline.Asked))
		synctest.Wait()
		require.Equal(t, []string{"0"}, b.begins(), "what came while it was wanted")
		s.exit()
	})
}
