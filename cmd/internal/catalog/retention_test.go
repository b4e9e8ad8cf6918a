package catalog_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/record"
)

// numbers are those of the segments of a channel, whose files must be there.
func (h *house) numbers(channel string) []uint64 {
	h.t.Helper()
	var all []uint64
	for _, s := range h.all(channel).Segments {
		require.FileExists(h.t, s.Path, "the catalog never names what is not there")
		all = append(all, s.Number)
	}
	return all
}

// files counts the recordings in a channel's folder.
func (h *house) files(channel string) int {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.cfg.Data, channel, "*.mp4"))
	require.NoError(h.t, err)
	return len(found)
}

func TestChannelKeepsItsBytes(t *testing.T) { // R7
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate", Limits: catalog.Limits{MaxBytes: 500}}, {Name: "yard"}}})
	base := h.cfg.Clock.Mono()
	at := func(n uint64) record.Instant { return h.at(base, time.Duration(n)*minute) }
	require.NoError(t, h.Pin("gate", at(2).Time(), at(3).Time(), time.Time{}, "somebody came"))
	for n := range uint64(10) {
		h.record("gate", h.segment("gate", n+1, at(n+1), minute, 100))
		h.record("yard", h.segment("yard", n+1, at(n+1), minute, 100))
		h.flush()
	}
	require.Equal(t, []uint64{2, 7, 8, 9, 10}, h.numbers("gate"), "the oldest go first, what is pinned last")
	require.Equal(t, 5, h.files("gate"))
	require.Len(t, h.numbers("yard"), 10)

	line := h.all("gate")
	require.True(t, line.Segments[0].Pinned)
	var removed int
	for _, g := range line.Gaps {
		if g.Cause == record.Removed {
			removed++
		}
	}
	require.Equal(t, 4, removed, "what lay between is a gap")
	sum := h.Account(line)
	require.Equal(t, 5*minute, sum.Recorded)
	require.Equal(t, 4*minute, sum.Missing[record.Removed])

	before := h.dump()
	h.rebuilt(before)
}

// R6, R7: where each segment goes before the next one is there, as on a disk that is full, the gap
// before the last that went does not stay behind it as a beginning with a hole.
func TestWhatWentOneByOneLeavesNoHole(t *testing.T) {
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate", Limits: catalog.Limits{MaxBytes: 50}}}})
	base := h.cfg.Clock.Mono()
	at := func(n int) record.Instant { return h.at(base, time.Duration(n)*minute) }
	for n := range 2 {
		h.record("gate", h.segment("gate", uint64(n+1), at(2*n), minute, 100))
		if n == 0 {
			h.Enter(record.Entry{Kind: record.Missing, Channel: "gate", Gap: &record.Gap{After: 1, From: at(1), To: at(2), Cause: record.Stopped}})
		}
		h.flush()
		require.Empty(t, h.numbers("gate"))
	}
	h.record("gate", h.segment("gate", 3, at(3), minute, 10))
	h.flush()
	sum := h.Account(h.all("gate"))
	require.Equal(t, minute, sum.Recorded)
	require.Equal(t, minute, sum.Elapsed)
	require.Zero(t, sum.Unaccounted)
	h.rebuilt(h.dump())
}

// rebuilt makes the catalog anew and compares it with what it was.
func (h *house) rebuilt(before string) {
	h.t.Helper()
	h.close()
	made, err := catalog.Rebuild(h.cfg, nil)
	require.NoError(h.t, err)
	require.NoError(h.t, made.Close())
	again := open(h.t, h.cfg)
	require.Equal(h.t, before, again.dump())
	again.close()
}

func TestAgeWaitsForATrustedClock(t *testing.T) { // R7
	clock := hal.NewClock()
	clock.Observe(clock.Mono(), time.Unix(1000, 0)) // a board without a battery
	right := false
	h := open(t, catalog.Config{
		Clock: clock, Synchronised: func() bool { return right }, Budget: catalog.Budget{Tick: 10 * time.Millisecond},
		Channels: []catalog.Channel{{Name: "gate", Limits: catalog.Limits{Keep: 30 * minute}}},
	})
	base := clock.Mono()
	for n := range uint64(6) {
		h.record("gate", h.segment("gate", n+1, h.at(base, (time.Duration(n)-60)*minute), minute, 100))
	}
	h.flush()
	require.Len(t, h.numbers("gate"), 6)
	require.Less(t, h.all("gate").Segments[0].Start.Time().Year(), 1971)

	now := time.Now()
	require.True(t, clock.Observe(clock.Mono(), now)) // NTP arrives
	h.record("gate", h.segment("gate", 7, h.at(clock.Mono(), 0), minute, 100))
	require.Eventually(t, func() bool { return len(h.all("gate").Segments) == 1 }, time.Minute, 10*time.Millisecond, "what this boot recorded before is an hour old")
	require.Equal(t, []uint64{7}, h.numbers("gate"))
}

func TestLabelsAreSetRightWhenTheTimeIsKnown(t *testing.T) { // R6, issue 4.9
	clock := hal.NewClock()
	clock.Observe(clock.Mono(), time.Unix(1000, 0))
	h := open(t, catalog.Config{Clock: clock, Synchronised: func() bool { return false }, Budget: catalog.Budget{Tick: time.Hour}, Channels: []catalog.Channel{{Name: "gate"}}})
	base := clock.Mono()
	h.record("gate", h.segment("gate", 1, h.at(base, 0), minute, 100))
	h.flush()
	now := time.Now()
	clock.Observe(base, now)
	s := h.segment("gate", 2, h.at(base, minute), minute, 100)
	h.record("gate", s)
	h.flush() // with the first that is entered after the step, not when the power may be gone again
	line, err := h.Timeline("gate", now.Add(-time.Second), now.Add(2*minute))
	require.NoError(t, err)
	require.Len(t, line.Segments, 2)
	require.WithinDuration(t, now, line.Segments[0].Start.Time(), time.Millisecond)
	require.Contains(t, line.Segments[0].File, "-19700101T", "files keep their names")
	old, err := h.Timeline("gate", time.Unix(0, 0), time.Unix(100_000, 0))
	require.NoError(t, err)
	require.Empty(t, old.Segments)
	h.rebuilt(h.dump())
}

func TestStepsOfTheClockReorderNothing(t *testing.T) { // issue 4.9
	clock := hal.NewClock()
	h := open(t, catalog.Config{Clock: clock, Channels: []catalog.Channel{{Name: "gate"}}})
	base := clock.Mono()
	for n, step := range []time.Duration{0, -time.Hour, 2 * time.Hour, -90 * minute} {
		at := base + int64(n)*int64(minute)
		clock.Observe(at, clock.Wall(at).Add(step))
		h.record("gate", h.segment("gate", uint64(n+1), h.at(at, 0), minute, 100))
	}
	h.flush()
	require.Equal(t, []uint64{1, 2, 3, 4}, h.numbers("gate"))
	line := h.all("gate")
	require.Equal(t, 4*minute, h.Account(catalog.Timeline{Segments: line.Segments}).Recorded)
	for _, s := range line.Segments {
		one, err := h.Timeline("gate", s.Start.Time(), s.End().Time())
		require.NoError(t, err)
		require.Contains(t, one.Segments, s, "each is found where its label says")
	}
	h = h.again() // the clock is trusted now: labels are set right
	require.Equal(t, []uint64{1, 2, 3, 4}, h.numbers("gate"))
	h.rebuilt(h.dump())
}

// Whatever is entered, pinned, merged, given up and lost: the journals make the same catalog.
func TestRebuildHasTheSameContent(t *testing.T) { // R6
	for seed := range uint64(6) {
		dice := rand.New(rand.NewPCG(seed, 3))
		channels := []catalog.Channel{{Name: "gate", Limits: catalog.Limits{MaxBytes: 3000}}, {Name: "yard"}}
		h := open(t, catalog.Config{Channels: channels, Budget: catalog.Budget{MaxBytes: 6000}})
		var number uint64
		for program := range 3 {
			if program > 0 {
				h = h.again()
			}
			now := h.cfg.Clock.Mono()
			for range 15 {
				number++
				channel := channels[dice.IntN(2)].Name
				s := h.segment(channel, number, h.at(now, 0), minute, 50+dice.IntN(200))
				h.record(channel, s)
				switch dice.IntN(6) {
				case 0:
					require.NoError(t, h.Pin(channel, h.at(now, 0).Time(), h.at(now, minute).Time(), time.Time{}, "an event"))
				case 1:
					h.Enter(record.Entry{Kind: record.Missing, Channel: channel, Gap: &record.Gap{After: number, From: h.at(now, minute), To: h.at(now, 2*minute), Cause: record.Idle}})
					now += int64(minute)
				case 2:
					m := s
					m.File = s.File[:len(s.File)-4] + ".merged.mp4"
					require.NoError(t, os.WriteFile(filepath.Join(h.cfg.Data, channel, m.File), make([]byte, 99), 0o600))
					m.Bytes = 99
					h.Enter(record.Entry{Kind: record.Merged, Channel: channel, Segment: &m, Parts: []uint64{number}, Kept: dice.IntN(2) == 0})
				case 3:
					h.flush()
				}
				now += int64(minute)
			}
		}
		h.flush()
		h.flush()
		before := h.dump()
		h.rebuilt(before)
	}
}

func TestReclaimGivesUpTheOldest(t *testing.T) { // R7
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}, {Name: "yard"}}})
	base := h.cfg.Clock.Mono()
	for n := range uint64(4) {
		h.record([]string{"gate", "yard"}[n%2], h.segment([]string{"gate", "yard"}[n%2], n+1, h.at(base, time.Duration(n)*minute), minute, 1<<20))
	}
	h.flush()
	require.NoError(t, h.Reclaim(filepath.Join(h.cfg.Data, "yard"), 1), "there is room: nothing goes")
	require.Equal(t, 2, h.files("gate"))
	err := h.Reclaim(filepath.Join(h.cfg.Data, "yard"), 1<<60)
	require.NoError(t, err, "something was given up")
	require.Zero(t, h.files("gate")+h.files("yard"))
	require.ErrorIs(t, h.Reclaim(filepath.Join(h.cfg.Data, "yard"), 1<<60), catalog.ErrNoRoom)
	require.Contains(t, h.logs.String(), "the disk budget cannot be held")
	u, err := h.Usage()
	require.NoError(t, err)
	require.Contains(t, u.Alarm, "nothing is left to give up")
}
