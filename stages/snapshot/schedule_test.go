package snapshot_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/snapshot"
)

const (
	interval = time.Minute
	minute   = int64(interval)
	second   = int64(time.Second)
)

// given is one turn.
type given struct {
	at   int64
	name string
}

// serve takes every turn up to an instant, as each is due.
func serve(s *snapshot.Schedule, until int64) (all []given) {
	for {
		due, ok := s.Next()
		if !ok || due > until {
			return all
		}
		for {
			name, ok := s.Take(due)
			if !ok {
				break
			}
			all = append(all, given{due, name})
		}
	}
}

func names(all []given) (out []string) {
	for _, g := range all {
		out = append(out, g.name)
	}
	return out
}

func gaps(all []given) (out []time.Duration) {
	for i := 1; i < len(all); i++ {
		out = append(out, time.Duration(all[i].at-all[i-1].at))
	}
	return out
}

// grace is how long the first channel of all waits for others.
const grace = 2 * second

// online returns a schedule whose first interval, of these channels, is over at minute.
func online(names ...string) *snapshot.Schedule {
	s := snapshot.NewSchedule(interval)
	for _, n := range names {
		s.Set(-grace, n, true)
	}
	serve(s, minute-1)
	return s
}

func four() *snapshot.Schedule { return online("a", "b", "c", "d") }

func TestEachOnlineChannelHasItsTurnOnceAnIntervalEvenlySpread(t *testing.T) { // S1
	s := four()
	got := serve(s, 3*minute-1)
	require.Equal(t, []string{"a", "b", "c", "d", "a", "b", "c", "d"}, names(got))
	for _, gap := range gaps(got) {
		require.Equal(t, 15*time.Second, gap)
	}
}

func TestWhoIsOfflineIsSkippedAndTheSpacingWidens(t *testing.T) { // S1
	s := four()
	s.Set(minute-1, "b", false)
	got := serve(s, 2*minute-1)
	require.Equal(t, []string{"a", "c", "d"}, names(got))
	require.Equal(t, []time.Duration{20 * time.Second, 20 * time.Second}, gaps(got), "reckoned when the interval starts")

	require.Equal(t, []string{"a"}, names(serve(s, 2*minute)))
	s.Set(2*minute+second, "c", false)
	got = serve(s, 3*minute-1)
	require.Equal(t, []given{{2*minute + 30*second, "d"}}, got, "reckoned again as they change")
}

func TestWhoComesHasItsTurnAtTheNextIntervalAtTheLatest(t *testing.T) { // S3
	s := four()
	require.Len(t, serve(s, minute+16*second), 2)
	s.Set(minute+16*second, "e", true)
	require.NotContains(t, names(serve(s, 2*minute-1)), "e", "there is no room without a closer spacing")
	got := serve(s, 3*minute-1)
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, names(got))
	require.Equal(t, 12*time.Second, gaps(got)[3])
}

func TestWhoComesTakesThePlaceOfWhoWent(t *testing.T) { // S3
	s := four()
	serve(s, minute)
	s.Set(minute+second, "c", false)
	s.Set(minute+2*second, "e", true)
	got := serve(s, 2*minute-1)
	require.Equal(t, []string{"b", "d", "e"}, names(got))
	require.Equal(t, []time.Duration{15 * time.Second, 15 * time.Second}, gaps(got))
}

func TestWhoGoesAndComesBackHasNoSecondTurn(t *testing.T) { // S1
	s := four()
	require.Equal(t, []string{"a"}, names(serve(s, minute)))
	s.Set(minute+second, "a", false)
	s.Set(minute+2*second, "a", true)
	s.Set(minute+2*second, "b", false)
	s.Set(minute+3*second, "b", true)
	require.Equal(t, []string{"b", "c", "d"}, names(serve(s, 2*minute-1)))
}

func TestTheFirstInterval(t *testing.T) {
	s := snapshot.NewSchedule(interval)
	for i, n := range []string{"a", "b", "c", "d"} {
		s.Set(int64(i)*second/2, n, true)
	}
	got := serve(s, minute)
	require.Equal(t, []string{"a", "b", "c", "d"}, names(got), "who comes up with the first one is in its interval")
	require.Equal(t, given{grace, "a"}, got[0])
	require.Equal(t, 15*time.Second, gaps(got)[0])
}

func TestTheFirstChannelOfAllBegins(t *testing.T) {
	s := snapshot.NewSchedule(interval)
	_, ok := s.Next()
	require.False(t, ok, "nobody is online: no timer runs")
	s.Set(7*second, "a", true)
	s.Set(8*second, "b", true)
	s.Set(8*second, "b", false)
	require.Equal(t, []given{{9 * second, "a"}, {9*second + minute, "a"}}, serve(s, 9*second+minute))
	s.Set(80*second, "a", false)
	require.Empty(t, serve(s, 10*minute))
	_, ok = s.Next()
	require.False(t, ok)
	s.Forget(80*second, "a")
	s.Set(11*minute, "a", true)
	require.Equal(t, []string{"a"}, names(serve(s, 11*minute+grace)))
	s.Set(11*minute+3*second, "a", false)
	serve(s, 13*minute)
	s.Set(13*minute, "c", true)
	s.Set(13*minute+second, "c", false)
	require.Empty(t, serve(s, 14*minute), "it went before it began")
	s.Set(14*minute, "c", true)
	require.Equal(t, []given{{14*minute + grace, "c"}}, serve(s, 14*minute+grace))
}

// A machine that slept, or a worker that was held up, makes no burst of what it missed.
func TestWhatWasMissedMakesNoBurst(t *testing.T) { // S1
	var all []string
	for i := range 600 {
		all = append(all, fmt.Sprint(i))
	}
	s := online(all...)
	begun := serve(s, minute+10*second)
	require.Len(t, begun, 101)
	at := minute + 30*second
	n := 0
	for {
		if _, ok := s.Take(at); !ok {
			break
		}
		n++
	}
	require.Equal(t, 2, n, "twenty seconds of turns at once")
	got := serve(s, 2*minute-1)
	require.Less(t, mostInASecond(got), 12)
	_, _, missed := s.Counts()
	require.EqualValues(t, 600-101-2-len(got), missed+uint64(remaining(s)))
}

func remaining(s *snapshot.Schedule) int {
	_, left, _ := s.Counts()
	return left
}

// mostInASecond is the most turns in any window of one second.
func mostInASecond(all []given) int {
	most, begin := 0, 0
	for i := range all {
		for all[i].at-all[begin].at >= second {
			begin++
		}
		most = max(most, i-begin+1)
	}
	return most
}

// naive is S1 and S3 as they are written, without a thought for speed: sets of names, and every
// figure reckoned anew each time.
type naive struct {
	known  []string
	online map[string]bool
	member map[string]bool // whose turn is still to come, in the order of late and then known
	had    map[string]bool
	late   []string
	passed map[string]bool // who was behind when the latest turn was given
	waits  bool            // for who comes with the first one, until anchor
	begun  int             // how many were online when the interval began; 0: none runs
	end    int64
	last   int64 // the latest turn; −1: none in this interval, and the next is due at restart
	anchor int64
}

func (m *naive) set(now int64, name string, on bool) {
	if !slices.Contains(m.known, name) {
		m.known = append(m.known, name)
	}
	if m.online[name] == on {
		return
	}
	m.online[name] = on
	if !on {
		delete(m.member, name)
		return
	}
	if m.waits {
		return
	}
	if m.begun == 0 {
		m.waits, m.anchor = true, now+grace
		return
	}
	space := minute / int64(m.begun)
	next := now
	if m.last >= 0 {
		next = max(now, m.last+space)
	}
	if m.had[name] || next+int64(len(m.member)+1)*space > m.end {
		return
	}
	m.member[name] = true
	if m.passed[name] {
		m.late = append(m.late, name)
	}
	if m.due() < now {
		m.last, m.anchor = -1, now
	}
}

func (m *naive) start(at int64) {
	m.member, m.had, m.passed, m.late, m.begun = map[string]bool{}, map[string]bool{}, map[string]bool{}, nil, 0
	for n, on := range m.online {
		if on {
			m.member[n] = true
			m.begun++
		}
	}
	m.end, m.last, m.anchor = at+minute, -1, at
}

func (m *naive) due() int64 {
	switch {
	case len(m.member) == 0:
		return m.end
	case m.last < 0:
		return m.anchor
	}
	return m.last + (m.end-m.last)/int64(len(m.member)+1)
}

// give gives the turns up to an instant.
func (m *naive) give(until int64) (all []given) {
	for m.waits && m.anchor <= until || m.begun > 0 && m.due() <= until {
		if m.waits {
			m.waits = false
			m.start(m.anchor)
			continue
		}
		if len(m.member) == 0 {
			m.start(m.end)
			continue
		}
		m.last = m.due()
		all = append(all, given{m.last, m.whose()})
	}
	return all
}

func (m *naive) whose() string {
	for _, n := range m.known {
		if m.passed[n] {
			continue
		}
		m.passed[n] = true
		if m.member[n] {
			delete(m.member, n)
			m.had[n] = true
			return n
		}
	}
	for _, n := range m.late {
		if m.member[n] {
			delete(m.member, n)
			m.had[n] = true
			return n
		}
	}
	panic("nobody")
}

// S1, S3: a thousand worlds of channels that come and go at random; the schedule says what the
// naive one does.
func TestTheScheduleAgreesWithANaiveOne(t *testing.T) {
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		s := snapshot.NewSchedule(interval)
		m := &naive{online: map[string]bool{}}
		channels := 1 + rnd.IntN(12)
		now := int64(0)
		for range 150 {
			now += rnd.Int64N(minute / 8)
			require.Equal(t, m.give(now), serve(s, now), "seed %d", seed)
			name, on := fmt.Sprint(rnd.IntN(channels)), rnd.IntN(3) > 0
			s.Set(now, name, on)
			m.set(now, name, on)
		}
		require.Equal(t, m.give(now+3*minute), serve(s, now+3*minute), "seed %d", seed)
	}
}
