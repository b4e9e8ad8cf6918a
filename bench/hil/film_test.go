//go:build hil

package hil_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/record"
)

// film is a channel that records where the host will look at it.
type film struct {
	*pipeline.Channel

	dir string
	rec *record.Recorder
	eng *pipeline.Engine

	files uint64 // that there must be
	lost  int    // pictures that the source says it lost

	mu     sync.Mutex
	events []pipeline.Event
}

// newFilm starts a channel from the first of these sources that works, which returns to a better one
// when that has settled; 0 is the channel's default.
func newFilm(t *testing.T, settle time.Duration, reg *hal.Registry, urls ...string) *film {
	t.Helper()
	f := &film{dir: filepath.Join("/host/out", t.Name())}
	f.rec = record.To(f.dir, record.Config{FragmentDuration: 200 * time.Millisecond})
	f.eng = pipeline.NewEngine(pipeline.Config{OnEvent: func(e pipeline.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	}})
	origin := acquire.From(reg, urls...)
	origin.Settle = settle
	var err error
	f.Channel, err = f.eng.Add(pipeline.Define("gate", origin).Branch("disk", record.Ring{Fragment: 200 * time.Millisecond}, f.rec))
	require.NoError(t, err)
	require.NoError(t, f.Start())
	return f
}

// records waits until the channel is on this source, which it was not before, and n of its pictures
// are in a new file. It returns how long the channel took to be on it.
func (f *film) records(t *testing.T, url string, n int) (took time.Duration) {
	t.Helper()
	begin := time.Now()
	until(t, "the channel on "+url, func() bool { return f.Status().Source == url })
	took = time.Since(begin)
	f.files++
	until(t, "a file of "+url, func() bool { return f.recorded(t).Segments == f.files })
	enough := f.recorded(t).Frames + uint64(n)
	until(t, "a recording of "+url, func() bool { return f.recorded(t).Frames >= enough })
	return took
}

// causes returns why the channel changed its state.
func (f *film) causes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, e := range f.events {
		if e.Cause != "" {
			all = append(all, fmt.Sprintf("%v → %v: %s", e.From, e.To, e.Cause))
		}
	}
	return all
}

func (f *film) recorded(t *testing.T) record.Stats {
	t.Helper()
	s, ok := f.rec.Stats().(record.Stats)
	require.True(t, ok)
	return s
}

// finish ends the recording, which must have this many breaks.
func (f *film) finish(t *testing.T, breaks int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, f.eng.Exit(ctx))
	want, err := json.Marshal(hil.Want{Case: t.Name(), Width: hil.Width, Height: hil.Height, Pictures: int(f.recorded(t).Frames), Breaks: breaks, Lost: f.lost})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, hil.WantFile), want, 0o600))
}

// The rig itself: what is recorded inside, the host decodes.
func TestTheHostDecodesARecording(t *testing.T) {
	nothingLeft(t)
	f := newFilm(t, 0, hal.NewRegistry(rtsp.Driver{}), fallback(t))
	f.records(t, fallback(t), 50)
	f.finish(t, 0)
}
