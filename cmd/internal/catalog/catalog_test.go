package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
	"github.com/millrace-video/millrace/stages/record"
)

const minute = time.Minute

func TestWhatWasEnteredIsOnTheTimeLine(t *testing.T) { // R6
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}})
	base := h.cfg.Clock.Mono()
	h.Enter(record.Entry{Kind: record.Missing, Channel: "gate", Gap: &record.Gap{To: h.at(base, 2*time.Second), Cause: record.Starting}})
	h.record("gate", h.segment("gate", 1, h.at(base, 2*time.Second), minute, 100))
	from, to := h.at(base, 2*time.Second+minute), h.at(base, 3*minute)
	h.Enter(record.Entry{Kind: record.Missing, Channel: "gate", Gap: &record.Gap{After: 1, From: from, To: to, Cause: record.SourceLost, Detail: "no answer"}})
	h.record("gate", h.segment("gate", 2, to, minute, 200))
	h.flush()

	line := h.all("gate")
	require.Len(t, line.Segments, 2)
	require.Equal(t, filepath.Join(h.cfg.Data, "gate", line.Segments[0].File), line.Segments[0].Path)
	require.Equal(t, []time.Duration{minute, minute}, []time.Duration{line.Segments[0].Length, line.Segments[1].Length})
	require.Equal(t, record.Starting, line.Gaps[0].Cause)
	require.Equal(t, record.SourceLost, line.Gaps[1].Cause)
	require.Equal(t, 2*minute-2*time.Second, line.Gaps[1].Length)

	part, err := h.Timeline("gate", to.Time(), to.Time().Add(time.Second))
	require.NoError(t, err)
	require.Len(t, part.Segments, 1, "only what overlaps")
	require.Empty(t, part.Gaps)
	_, err = h.Timeline("yard", to.Time(), to.Time())
	require.ErrorIs(t, err, catalog.ErrNoChannel)

	before := h.dump()
	h = h.again()
	require.Equal(t, before, h.dump(), "nothing is lost by closing")
}

func TestSecondProgram(t *testing.T) {
	h := open(t, catalog.Config{})
	_, err := catalog.Open(h.cfg)
	require.ErrorIs(t, err, catalog.ErrInUse)
}

func TestAccountGoesOnAfterARestart(t *testing.T) { // R6: not running, then starting
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}})
	base := h.cfg.Clock.Mono()
	h.record("gate", h.segment("gate", 1, h.at(base, -10*minute), minute, 100))
	h = h.again()
	now := h.cfg.Clock.Mono()
	h.Enter(record.Entry{Kind: record.Missing, Channel: "gate", Gap: &record.Gap{After: 1, To: h.at(now, time.Second), Cause: record.Starting}})
	h.record("gate", h.segment("gate", 2, h.at(now, time.Second), minute, 100))
	h.flush()
	gaps := h.all("gate").Gaps
	require.Equal(t, []record.Cause{record.NotRunning, record.Starting}, []record.Cause{gaps[0].Cause, gaps[1].Cause})
	require.Equal(t, h.at(base, -9*minute).Mono, gaps[0].From.Mono, "from the last end")
	require.Equal(t, gaps[0].To, gaps[1].From)
	require.Equal(t, h.at(now, time.Second).Mono, gaps[1].To.Mono)
}

func TestDamagedDatabaseIsMadeAnew(t *testing.T) { // R6
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}})
	base := h.cfg.Clock.Mono()
	for n := range uint64(20) {
		h.record("gate", h.segment("gate", n+1, h.at(base, time.Duration(n)*minute), minute, 100))
	}
	h.flush()
	before := h.dump()
	h.close()
	require.NoError(t, os.WriteFile(filepath.Join(h.cfg.Data, "catalog.db"), []byte(strings.Repeat("no database", 5000)), 0o600))
	h = open(t, h.cfg)
	require.Equal(t, before, h.dump())
	require.Contains(t, h.logs.String(), "damaged and set aside")
}

func TestTornLine(t *testing.T) {
	h := open(t, catalog.Config{Channels: []catalog.Channel{{Name: "gate"}}})
	h.record("gate", h.segment("gate", 1, h.at(h.cfg.Clock.Mono(), 0), minute, 100))
	h.flush()
	before := h.dump()
	h.close()
	f, err := os.OpenFile(filepath.Join(h.cfg.Data, "gate", "journal-00000001.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`89abcdef {"kind":"gap","ga`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	h = open(t, h.cfg)
	require.Equal(t, before, h.dump())
	require.Contains(t, h.logs.String(), "torn and is cut off")
}
