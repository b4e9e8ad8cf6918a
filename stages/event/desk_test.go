package event_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/event"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// desk is a channel's event handling with an application around it that notes all it is told.
type desk struct {
	*testing.T

	ch      *event.Channel
	clock   *hal.Clock
	dir     string
	handler *event.Handling

	mu       sync.Mutex
	messages []event.Message
	windows  []event.Window
	captured []event.Picture
	uploads  []event.Picture
	results  []event.Result
	stream   []bool
	notices  []event.Notice
	paths    []string // for the pictures to come; none left: empty
	hold     bool     // messages, uploads and videos wait in held
	held     []func(error)
	fail     error
}

// at runs a test in virtual time, with a channel that has both services on.
func at(t *testing.T, cfg event.Config, do func(d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		require.NoError(t, d.ch.Init(t.Context(), cfg, d.ends()))
		for _, s := range []event.Service{event.EventService, event.PictureService} {
			require.NoError(t, d.ch.Serve(event.Notice{Service: s, On: true}))
		}
		synctest.Wait()
		do(d)
		if d.ch.Status().Last > 0 || d.ch.Status().Event {
			_, err := d.ch.Exit(t.Context(), true)
			require.NoError(t, err)
		}
	})
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	p, err := pool.NewPool(16)
	require.NoError(t, err)
	w, err := p.Reserve(3)
	require.NoError(t, err)
	d := &desk{T: t, clock: hal.NewClock(), dir: t.TempDir()}
	d.handler = event.NewHandling(event.HandlingConfig{Clock: d.clock})
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, w.Go(func() error { return d.handler.Run(ctx, w) }, func(err error) { require.NoError(t, err) }))
	d.ch = event.NewChannel(d.handler, "gate")
	t.Cleanup(func() {
		cancel()
		w.Wait()
		w.Close()
		require.NoError(t, p.Close(time.Minute))
	})
	return d
}

func (d *desk) ends() event.Ends {
	return event.Ends{Recorder: d, Messages: d, Uploader: d, Callbacks: event.Callbacks{
		Capture: d.capture,
		Result:  func(r event.Result) { note(d, &d.results, r) },
		Stream:  func(on bool) { note(d, &d.stream, on) },
		Notice:  func(n event.Notice) { note(d, &d.notices, n) },
	}}
}

func note[T any](d *desk, list *[]T, what T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	*list = append(*list, what)
}

func (d *desk) capture(p event.Picture) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.captured = append(d.captured, p)
	if len(d.paths) == 0 {
		return ""
	}
	path := d.paths[0]
	d.paths = d.paths[1:]
	return path
}

// answer calls done now, or keeps it.
func (d *desk) answer(done func(error)) {
	d.mu.Lock()
	if d.hold {
		d.held = append(d.held, done)
		d.mu.Unlock()
		return
	}
	err := d.fail
	d.mu.Unlock()
	done(err)
}

// keep has all answers wait for release.
func (d *desk) keep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = true
}

// fails has every answer be err.
func (d *desk) fails(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// Record implements event.Recorder.
func (d *desk) Record(w event.Window, stored func(error)) {
	note(d, &d.windows, w)
	if w.Over {
		d.answer(stored)
	}
}

// Send implements event.Messages.
func (d *desk) Send(_ context.Context, m event.Message, sent func(error)) {
	note(d, &d.messages, m)
	d.answer(sent)
}

// Upload implements event.Uploader.
func (d *desk) Upload(_ context.Context, p event.Picture, done func(error)) {
	note(d, &d.uploads, p)
	d.answer(done)
}

// release answers all that waits.
func (d *desk) release(err error) {
	d.mu.Lock()
	held := d.held
	d.held, d.hold = nil, false
	d.mu.Unlock()
	for _, done := range held {
		done(err)
	}
	synctest.Wait()
}

func (d *desk) now() int64 { return d.clock.Now().UnixMilli() }

// trigger is a call at this instant, whose follow-ups are waited for.
func (d *desk) trigger(s event.Source) {
	d.Helper()
	require.NoError(d, d.ch.Trigger(s.Bit(), d.now()))
	synctest.Wait()
}

// pass lets time pass.
func (d *desk) pass(t time.Duration) {
	d.mu.Lock()   // what was read before comes before what is noted now
	d.mu.Unlock() //nolint:staticcheck // as above
	timer := time.NewTimer(t)
	<-timer.C
	synctest.Wait()
}

// picture has the next capture return a path, and returns it.
func (d *desk) picture(name string) string {
	path := filepath.Join(d.dir, name)
	note(d, &d.paths, path)
	return path
}

func (d *desk) write(path string, size int) {
	d.Helper()
	require.NoError(d, os.WriteFile(path, make([]byte, size), 0o600))
}

// recorded returns the windows that are over, in seconds from an instant.
func (d *desk) recorded(from int64) (all [][2]float64) {
	for _, w := range d.windows {
		if w.Over {
			all = append(all, [2]float64{float64(w.From.UTC-from) / 1000, float64(w.To.UTC-from) / 1000})
		}
	}
	return all
}

func (d *desk) codes() (all []event.Code) {
	for _, r := range d.results {
		all = append(all, r.Code)
	}
	return all
}

func (d *desk) asked() (all []event.Source) {
	for _, p := range d.captured {
		all = append(all, p.Source)
	}
	return all
}
