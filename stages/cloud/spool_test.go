package cloud_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/cloud"
)

// files are the packages in a spool.
func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "gate", "packages", "*"))
	require.NoError(t, err)
	return all
}

// C3: with a spool nothing is dropped while the link is down, and it is on disk; a run that was
// killed is followed by one that brings all of it up, with the playlist of its hour and of its event.
func TestSpoolOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := newBucket()
		s := start(t, b, cloud.Config{Dir: dir, Spool: true}, cloud.ChannelConfig{FullTime: true, Event: true})
		s.film(9) // two are up
		b.set(func(b *bucket) { b.fault = down })
		now := s.clock.Mono()
		s.tell(cloud.Window{Event: 5, Part: 1, From: now, To: now + int64(time.Hour)}, nil)
		s.film(32)
		require.Len(t, files(t, dir), 8)
		require.Zero(t, s.ch.Status().Dropped)
		_, err := s.cloud.Exit(t.Context(), true) // as far as its files go, a kill
		require.NoError(t, err)
		require.NoError(t, s.branch.Close())
		require.Len(t, files(t, dir), 8)

		b.set(func(b *bucket) { b.fault = nil })
		next := start(t, b, cloud.Config{Dir: dir, Spool: true}, cloud.ChannelConfig{FullTime: true})
		next.next = 100
		next.film(9)
		next.exit()
		require.Empty(t, files(t, dir))
		require.Equal(t, strings.Fields("0 4 8 12 16 20 24 28 32 36 100 104 108"), append(b.begins(), []string{}...)[:13])
		lists := b.keys("/full/")
		require.Len(t, lists, 1, "the hour goes on")
		require.Equal(t, strings.Fields("0 4 8 12 16 20 24 28 32 36 100 104 108"), b.begun(lists[0]))
		require.Equal(t, 1, strings.Count(b.object(lists[0]), "DISCONTINUITY"))
		events := b.keys("/events/")
		require.Len(t, events, 1)
		require.Equal(t, strings.Fields("8 12 16 20 24 28 32 36"), b.begun(events[0]))
		require.Empty(t, b.missing)
		rest, err := os.ReadDir(filepath.Join(dir, "gate", "events"))
		require.NoError(t, err)
		require.Empty(t, rest, "nothing more is to be done for it")
	})
}

// C3: at the spool's limit the oldest of the least important goes, and is told.
func TestSpoolLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := newBucket()
		b.fault = down
		s := start(t, b, cloud.Config{Dir: dir, Spool: true, SpoolBytes: 1_000_000}, cloud.ChannelConfig{FullTime: true, Event: true})
		now := s.clock.Mono()
		s.tell(cloud.Window{Event: 1, Part: 1, From: now, To: now + int64(8*time.Second), Over: true}, func(error) {})
		for range 41 {
			s.second(50_000)        // 200 KB a package
			time.Sleep(time.Second) //nolint:forbidigo // of the bubble
		}
		require.Len(t, files(t, dir), 4)
		st := s.ch.Status()
		require.EqualValues(t, 6, st.Dropped)
		for i, l := range s.lost {
			require.False(t, l.Event, "package %d", i)
			require.Equal(t, "the spool was full", l.Cause)
		}
		b.set(func(b *bucket) { b.fault = nil })
		s.exit()
		require.Equal(t, strings.Fields("0 4 32 36 40"), b.begins())
		require.Equal(t, 1, strings.Count(b.object(b.keys("/full/")[0]), "DISCONTINUITY"), "a gap is a seam")
	})
}

// C9: names sort by their numbers when the wall clock steps back, and another hour begins.
func TestClockStepsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		cfg := cloud.Config{Dir: t.TempDir(), Spool: true}
		s := start(t, b, cfg, cloud.ChannelConfig{FullTime: true})
		s.film(9)
		s.clock.Observe(s.clock.Mono(), s.clock.Now().Add(-3*time.Hour))
		s.film(9)
		s.exit()
		require.Len(t, b.keys("/full/"), 2)
		require.Equal(t, strings.Fields("0 4 8 12 16"), b.begins(), "keys sort by time")

		again := build(t, b, cfg, cloud.ChannelConfig{FullTime: true}) // in a machine that believes it is a day earlier
		again.clock.Observe(again.clock.Mono(), again.clock.Now().Add(-24*time.Hour))
		again.next = 100
		again.open()
		again.film(5)
		again.exit()
		require.Equal(t, strings.Fields("0 4 8 12 16 100 104"), b.begins(), "keys sort by time")
	})
}
