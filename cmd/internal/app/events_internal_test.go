package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/api"
	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/stages/event"
)

// pins notes what is to be kept.
type pins struct {
	all []string
	err error
}

func (p *pins) Pin(channel string, from, to, until time.Time, why string) error {
	p.all = append(p.all, strings.Join([]string{channel, from.UTC().Format("05.0"), to.UTC().Format("05.0"), until.Sub(to).String(), why}, " "))
	return p.err
}

func handling(t *testing.T) (*events, *eventChannel) {
	t.Helper()
	cfg := config.Default()
	cfg.Data = t.TempDir()
	cfg.Channels = []config.Channel{config.DefaultChannel("gate", config.FromURL("synth://"))}
	e := newEvents(cfg, nil, soft.NewKeys(soft.Driver{}), hal.NewClock(), slog.New(slog.DiscardHandler))
	c := e.channels["gate"]
	_, err := c.journal.open()
	require.NoError(t, err)
	return e, c
}

// C7, R7: what was recorded of an event is kept longer, each stretch said once.
func TestAnEventPinsItsRecording(t *testing.T) {
	e, c := handling(t)
	kept := &pins{}
	e.pins = kept
	at := func(seconds int64) event.Instant { return event.Instant{UTC: 1_800_000_000_000 + seconds*1000} }
	stored := 0
	done := func(err error) { require.NoError(t, err); stored++ }
	c.Record(event.Window{Event: 1, Part: 1, From: at(0), To: at(13)}, nil)
	c.Record(event.Window{Event: 1, Part: 1, From: at(0), To: at(20)}, nil)
	c.Record(event.Window{Event: 1, Part: 1, From: at(0), To: at(20), Over: true}, done)
	c.Record(event.Window{Event: 2, Part: 1, From: at(18), To: at(31)}, nil)
	kept.err = errors.New("the catalog is closed")
	c.Record(event.Window{Event: 2, Part: 1, From: at(18), To: at(40), Over: true}, done)
	require.Equal(t, []string{
		"gate 00.0 13.0 720h0m0s event 1", "gate 13.0 20.0 720h0m0s event 1", "gate 18.0 31.0 720h0m0s event 2", "gate 31.0 40.0 720h0m0s event 2",
	}, kept.all)
	require.Equal(t, 2, stored, "a pin that fails costs no video")
	require.Len(t, c.journal.latest(), 2)
}

func TestJournalOfEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gate", "events.jsonl")
	j := newEventJournal(path)
	last, err := j.open()
	require.NoError(t, err)
	require.Zero(t, last)
	require.Empty(t, j.latest())
	for n := range uint64(150) {
		require.NoError(t, j.write(api.EventLine{Kind: api.EventMessage, Event: n + 1, Source: "motion"}))
	}
	require.Len(t, j.latest(), maxRecent)
	require.Equal(t, uint64(150), j.latest()[0].Event, "the newest first")

	// A line that a kill cut off costs itself alone.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"kind":"message","event":99`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	again := newEventJournal(path)
	last, err = again.open()
	require.NoError(t, err)
	require.Equal(t, uint64(150), last)
	require.NoError(t, again.write(api.EventLine{Kind: api.EventMessage, Event: 151}))
	again = newEventJournal(path)
	last, err = again.open()
	require.NoError(t, err)
	require.Equal(t, uint64(151), last)

	// A long one is put aside, and still says where the numbers go on.
	again.file.limit = 1
	require.NoError(t, again.write(api.EventLine{Kind: api.EventRecording, Event: 151}))
	require.FileExists(t, path+".1")
	require.NoError(t, os.Remove(path))
	last, err = newEventJournal(path).open()
	require.NoError(t, err)
	require.Equal(t, uint64(151), last)
}

func TestAJournalThatCannotBeWritten(t *testing.T) {
	_, c := handling(t)
	c.journal.file.path = "/proc/nowhere/events.jsonl"
	var told error
	c.Send(t.Context(), event.Message{Event: 1}, func(err error) { told = err })
	require.ErrorContains(t, told, "write the journal of events: mkdir /proc/nowhere")
}
