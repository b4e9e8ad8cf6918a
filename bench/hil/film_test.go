//go:build hil

package hil_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// film is a channel that records. The host is shown it when it is finished: until then a busy disk of
// the host holds up nobody.
type film struct {
	*watched

	dir  string
	rec  *record.Recorder
	book *book
	lost int // pictures that the source says it lost
}

// book is the recording's account.
type book struct {
	mu   sync.Mutex
	gaps []record.Gap
}

// Enter implements record.Catalog.
func (b *book) Enter(e record.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Kind == record.Missing {
		b.gaps = append(b.gaps, *e.Gap)
	}
}

// newFilm makes a channel from the first of these sources that works, which is not started.
func newFilm(t *testing.T, reg *hal.Registry, urls ...string) *film {
	t.Helper()
	dir := t.TempDir()
	account := &book{}
	rec := record.To(dir, record.Config{FragmentDuration: 200 * time.Millisecond, Catalog: account})
	return &film{dir: dir, rec: rec, book: account, watched: watch(t, pipeline.Define("gate", acquire.From(reg, urls...)).
		Branch("disk", record.Ring{Fragment: 200 * time.Millisecond}, rec))}
}

// switches makes the channel go over to this source by what is done, and waits until n of its
// pictures are in a new file. It returns how long the channel took to be on it from then on.
func (f *film) switches(t *testing.T, by func(*testing.T), url string, n int) (took time.Duration) {
	t.Helper()
	files := f.recorded(t).Segments
	by(t)
	begin := time.Now()
	until(t, "the channel on "+url, func() bool { return f.Status().Source == url })
	took = time.Since(begin)
	until(t, "a file of "+url, func() bool { return f.recorded(t).Segments > files })
	enough := f.recorded(t).Frames + uint64(n)
	until(t, "a recording of "+url, func() bool { return f.recorded(t).Frames >= enough })
	return took
}

// requireLosses checks that each loss of a source says why, where an operator looks: in the channel's
// events, and in the one gap of the recording that it made.
func (f *film) requireLosses(t *testing.T, why error, losses int) {
	t.Helper()
	said := slices.DeleteFunc(f.causes(), func(c string) bool {
		return !strings.HasPrefix(c, pipeline.Running.String()) || !strings.Contains(c, why.Error())
	})
	require.Len(t, said, losses, "%q", f.causes())
	f.book.mu.Lock()
	defer f.book.mu.Unlock()
	gaps := slices.DeleteFunc(slices.Clone(f.book.gaps), func(g record.Gap) bool {
		return g.After == 0 || g.Cause != record.SourceLost || !strings.Contains(g.Detail, why.Error())
	})
	require.Len(t, gaps, losses, "%+v", f.book.gaps)
	for i, g := range gaps[1:] {
		require.Greater(t, g.After, gaps[i].After, "one gap each: %+v", gaps)
	}
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
	f.end(t)
	want, err := json.Marshal(hil.Want{Case: t.Name(), Width: hil.Width, Height: hil.Height, Pictures: int(f.recorded(t).Frames), Breaks: breaks, Lost: f.lost})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, hil.WantFile), want, 0o600))
	require.NoError(t, os.CopyFS(filepath.Join("/host/out", t.Name()), os.DirFS(f.dir)))
}

// The rig itself: what is recorded inside, the host decodes.
func TestTheHostDecodesARecording(t *testing.T) {
	nothingLeft(t)
	f := newFilm(t, hal.NewRegistry(rtsp.Driver{}), fallback(t))
	f.switches(t, f.start, fallback(t), 50)
	f.finish(t, 0)
}
