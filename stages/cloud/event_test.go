package cloud_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/cloud"
)

// film feeds seconds as they pass.
func (s *site) film(seconds int) {
	s.t.Helper()
	for range seconds {
		s.second(8_000)
		time.Sleep(time.Second) //nolint:forbidigo // of the bubble
	}
}

// tell gives the channel a window, and the branch its mark.
func (s *site) tell(w cloud.Window, stored func(error)) {
	s.t.Helper()
	before := s.marks
	s.ch.Record(w, stored)
	if s.marks > before {
		require.NoError(s.t, s.branch.Mark(s.t.Context(), pipeline.Asked))
	}
}

// begun is when the packages of a playlist begin, in s of the film.
func (b *bucket) begun(list string) (all []string) {
	for _, uri := range uris([]byte(b.object(list))) {
		if !strings.HasSuffix(uri, ".m4s") {
			continue
		}
		for i, key := range b.keys("/media/") {
			if strings.HasSuffix(key, uri[strings.LastIndexByte(uri, '/'):]) {
				all = append(all, b.begins()[i])
			}
		}
	}
	return all
}

// C7, C9: an event's playlist has the packages from before its trigger until its end, and no other
// goes up where the full-time service is off.
func TestEventFootage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := start(t, b, cloud.Config{Dir: t.TempDir(), Spool: true}, cloud.ChannelConfig{Event: true, Pre: 5 * time.Second})
		zero := s.clock.Mono()
		at := func(seconds float64) int64 { return zero + int64(seconds*float64(time.Second)) }
		s.film(22)
		require.Empty(t, b.begins(), "nothing is wanted")
		var result []error
		w := cloud.Window{Event: 7, Part: 1, From: at(22 - 5), To: at(30)}
		s.tell(w, nil)
		require.True(t, s.ch.Status().UploadEvent || len(b.begins()) > 0)
		s.film(6)
		w.To = at(33) // prolonged
		s.tell(w, nil)
		s.film(3)
		w.Over = true
		s.tell(w, func(err error) { result = append(result, err) })
		s.film(10)
		synctest.Wait()
		require.Equal(t, []error{nil}, result)
		lists := b.keys("/events/")
		require.Len(t, lists, 1)
		require.Contains(t, lists[0], "-event-7.m3u8")
		require.Equal(t, []string{"16", "20", "24", "28", "32"}, b.begun(lists[0]))
		require.Len(t, b.begins(), 5)
		require.Empty(t, b.keys("/full/"))
		require.False(t, s.ch.Status().UploadEvent)
		for _, key := range b.keys("/media/") {
			require.Equal(t, cloud.EventClass, b.classes[key])
		}
		s.exit()
	})
}

// C7: an event that comes while full-time is on shares its packages: each is uploaded once.
func TestEventSharesPackages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := start(t, b, cloud.Config{}, cloud.ChannelConfig{FullTime: true, Event: true, Pre: 5 * time.Second})
		zero := s.clock.Mono()
		s.film(22)
		result := errors.New("not yet")
		s.tell(cloud.Window{Event: 1, Part: 1, From: zero + int64(17*time.Second), To: zero + int64(25*time.Second), Over: true}, func(err error) { result = err })
		s.film(20)
		synctest.Wait()
		require.NoError(t, result)
		require.Equal(t, []string{"16", "20", "24"}, b.begun(b.keys("/events/")[0]))
		s.exit()
		require.Len(t, b.begun(b.keys("/full/")[0]), 11)
		puts := map[string]int{}
		for _, key := range b.puts {
			if strings.Contains(key, "/media/") {
				puts[key]++
			}
		}
		require.Len(t, puts, 11)
		for key, n := range puts {
			require.Equal(t, 1, n, key)
		}
	})
}

// C7: what cannot be kept is said: the service is off, nothing was filmed, a part was given up.
func TestEventWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := start(t, b, cloud.Config{}, cloud.ChannelConfig{FullTime: true})
		var got error
		note := func(err error) { got = err }
		s.tell(cloud.Window{Event: 1, Part: 1, Over: true}, note)
		require.ErrorIs(t, got, cloud.ErrOff)
		require.NoError(t, s.ch.Serve(cloud.Notice{Service: cloud.Event, On: true}))
		now := s.clock.Mono()
		got = nil
		s.tell(cloud.Window{Event: 2, Part: 1, From: now, To: now + int64(5*time.Second), Over: true}, note)
		time.Sleep(time.Minute) //nolint:forbidigo // of the bubble
		synctest.Wait()
		require.ErrorIs(t, got, cloud.ErrNoFootage)
		b.set(func(b *bucket) { b.fault = down })
		now = s.clock.Mono()
		s.tell(cloud.Window{Event: 3, Part: 1, From: now, To: now + int64(20*time.Second), Over: true}, note)
		s.film(40)
		b.set(func(b *bucket) { b.fault = nil })
		s.exit()
		require.ErrorIs(t, got, cloud.ErrLost)
	})
}
