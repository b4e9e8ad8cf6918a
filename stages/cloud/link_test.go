package cloud_test

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/cloud"
)

// link carries so many bytes a second, of all that are under way together.
type link struct {
	mu      sync.Mutex
	rate    int // 0: it is down
	free    time.Time
	carried int
	asked   int
	refuse  int // one in so many; 0: none
}

var errRefused = errors.New("come again later")

// fault is what an attempt meets before it sends anything.
func (l *link) fault(string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	switch {
	case l.rate == 0:
		return errDown
	case l.refuse > 0 && l.asked%l.refuse == 0:
		return errRefused
	}
	return nil
}

func (l *link) carry(n int) {
	l.mu.Lock()
	now := time.Now() //nolint:forbidigo // of the bubble
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	l.carried += n
	wait := l.free.Sub(now)
	l.mu.Unlock()
	time.Sleep(wait) //nolint:forbidigo // of the bubble
}

func (l *link) be(rate, refuse int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.refuse = rate, refuse
}

func (l *link) sofar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carried
}

// Issue 5, must show 3, C3: the link is down for 2 h, then slow, then refuses one in five: nothing is lost,
// nothing twice, each channel's playlists are in order; the backlog takes at least 90 % of the
// link while what is of the present is up within 10 s.
func TestLinkComesBack(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "millrace-") //nolint:usetesting // thousands of syncs: in memory
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	synctest.Test(t, func(t *testing.T) {
		l := &link{rate: 40_000}
		b := newBucket()
		b.fault, b.pace = l.fault, l.carry
		gate := build(t, b, cloud.Config{Dir: dir, Spool: true}, cloud.ChannelConfig{FullTime: true})
		door := gate.beside("door", cloud.ChannelConfig{FullTime: true})
		gate.open()
		require.NoError(t, door.branch.Open(t.Context(), door.env()))
		film := func(d time.Duration, until func() bool) {
			for range int(d / time.Second) {
				gate.second(4_000)
				door.second(4_000)
				time.Sleep(time.Second) //nolint:forbidigo // of the bubble
				if until != nil && until() {
					return
				}
			}
		}
		backlog := func() int { return gate.ch.Status().Backlog + door.ch.Status().Backlog }
		late := 0 // packages that were of the present and became backlog while the link was up
		film(time.Minute, nil)
		l.be(0, 0)
		film(2*time.Hour, nil)
		require.Greater(t, backlog(), 3500, "two hours of both")
		b.set(func(b *bucket) { require.Less(t, len(b.puts), 2000, "who is not there is not hammered") })
		measured := func(d time.Duration, rate int, until func() bool) {
			film(20*time.Second, nil)              // it is noticed that the link is back
			began, before := time.Now(), l.sofar() //nolint:forbidigo // of the bubble
			least := backlog()
			film(d, func() bool {
				now := backlog()
				if now > least {
					late++ // it is older than 10 s
				}
				least = now
				return until != nil && until()
			})
			took := time.Since(began).Seconds() //nolint:forbidigo // of the bubble
			used := float64(l.sofar()-before) / took / float64(rate)
			t.Logf("%.0f s at %d bytes/s: %.1f %% of the link", took, rate, 100*used)
			require.GreaterOrEqual(t, used, 0.90)
		}
		l.be(12_000, 0)
		measured(20*time.Minute, 12_000, nil)
		l.be(60_000, 5)
		measured(time.Hour, 60_000, func() bool { return backlog() == 0 })
		require.Zero(t, late, "a package of the present was not up within 10 s")
		for _, s := range []*site{gate, door} {
			s.stop()
		}
		l.be(1_000_000, 0)
		left, err := gate.cloud.Exit(t.Context(), false)
		require.NoError(t, err)
		require.False(t, left.Any())
		require.Empty(t, gate.lost)
		for _, s := range []*site{gate, door} {
			name := map[*site]string{gate: "gate", door: "door"}[s]
			made := int(s.ch.Status().Packages)
			require.Len(t, b.keys(name+"/media/"), made)
			var listed []string
			for _, list := range b.keys(name + "/full/") {
				listed = append(listed, uris([]byte(b.object(list)))[1:]...)
			}
			require.Len(t, listed, made, "each once")
			require.True(t, slices.IsSortedFunc(listed, cmp.Compare[string]), "in order")
			require.Greater(t, strings.Count(strings.Join(b.puts, " "), name+"/media/"), made, "some were refused")
		}
		require.Empty(t, b.missing)
		classes := map[cloud.Class]int{}
		for _, c := range b.classes {
			classes[c]++
		}
		require.Greater(t, classes[cloud.BackfillClass], 3500)
		require.Greater(t, classes[cloud.FullTimeClass], 1000, "the present is not backlog")
	})
}
