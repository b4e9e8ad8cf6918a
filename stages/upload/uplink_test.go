package upload_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/upload"
)

// wire is the network behind a governor: it takes all it gets at once and notes when.
type wire struct {
	mu    sync.Mutex
	order []string // class of each request, as its last byte came
	ended map[string]time.Time
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name := r.URL.Path
	w.order = append(w.order, name)
	if w.ended == nil {
		w.ended = map[string]time.Time{}
	}
	w.ended[name] = time.Now()
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func send(ctx context.Context, rt http.RoundTripper, c upload.Class, name string, size int) error {
	r, err := http.NewRequestWithContext(upload.WithClass(ctx, c), http.MethodPut, "http://store/"+name, strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func uplink(t *testing.T, cfg upload.UplinkConfig) *upload.Uplink {
	t.Helper()
	u, err := upload.NewUplink(cfg, nil)
	require.NoError(t, err)
	return u
}

// No more leaves than the limit says, whoever sends.
func TestBytesPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uplink(t, upload.UplinkConfig{BytesPerSecond: 1_000_000})
		rt := u.Transport(&wire{})
		began := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { require.NoError(t, send(t.Context(), rt, upload.Snapshot, "a", 1_000_000)) })
		}
		all.Wait()
		took := time.Since(began)
		require.InDelta(t, 10, took.Seconds(), 0.2)
		stats := u.Stats()
		require.EqualValues(t, 10_000_000, stats.Classes[upload.Snapshot].Sent)
		require.Positive(t, stats.Classes[upload.Snapshot].Waited)
	})
}

// Issue 5: event before full-time before snapshot before backfill, also where the less important
// have begun; within a class who asked first.
func TestTheMoreImportantGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uplink(t, upload.UplinkConfig{BytesPerSecond: 100_000})
		w := &wire{}
		rt := u.Transport(w)
		var all sync.WaitGroup
		for _, c := range []upload.Class{upload.Backfill, upload.Snapshot, upload.FullTime, upload.Event} {
			all.Go(func() { require.NoError(t, send(t.Context(), rt, c, c.String(), 500_000)) })
			time.Sleep(time.Second) //nolint:forbidigo // simulated
		}
		synctest.Wait()
		stats := u.Stats()
		require.Equal(t, "the limit of bytes a second", stats.Classes[upload.Event].Why)
		require.Equal(t, "behind event", stats.Classes[upload.FullTime].Why)
		require.Equal(t, 1, stats.Classes[upload.Backfill].Waiting)
		began := time.Now()
		all.Wait()
		require.Equal(t, []string{"/event", "/full-time", "/snapshot", "/backfill"}, w.order)
		require.InDelta(t, 4, w.ended["/event"].Sub(began).Seconds(), 0.3)
		require.Zero(t, u.Stats().Classes[upload.Backfill].Waiting)
	})
}

func TestWhoGivesUpWaitingTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uplink(t, upload.UplinkConfig{BytesPerSecond: 10_000})
		rt := u.Transport(&wire{})
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("no more")
		gone := make(chan error, 1)
		go func() { gone <- send(ctx, rt, upload.Event, "a", 1_000_000) }()
		synctest.Wait()
		cancel(why)
		require.ErrorIs(t, <-gone, why)
		require.Zero(t, u.Stats().Classes[upload.Event].Waiting)
		require.NoError(t, send(t.Context(), rt, upload.Backfill, "b", 1000))
	})
}

// The hours of the day: in them another limit holds, and what is held waits for their end. In
// synctest the day begins at midnight UTC.
func TestHoursOfTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		midnight := time.Now().Truncate(24 * time.Hour)
		offset := time.Duration(0)
		if _, zone := time.Now().In(time.Local).Zone(); zone != 0 { //nolint:gosmopolitan // the schedule is in local time
			offset = time.Duration(zone) * time.Second
		}
		at := func(h int) time.Duration {
			return (time.Duration(h)*time.Hour + offset + 24*time.Hour) % (24 * time.Hour)
		}
		u := uplink(t, upload.UplinkConfig{Hours: []upload.Hours{
			{From: at(8), To: at(18), BytesPerSecond: 50_000, Hold: []upload.Class{upload.Snapshot, upload.Backfill}},
			{From: at(22), To: at(6), BytesPerSecond: 1_000_000},
		}})
		rt := u.Transport(&wire{})
		s := &slow{}
		up := uploader(t, s, upload.Config{Uplink: u})

		time.Sleep(time.Until(midnight.Add(9 * time.Hour))) //nolint:forbidigo // simulated
		held := up.Submit(pictures(3)...)
		event := up.Submit(upload.Object{Key: "e", Body: upload.Bytes([]byte("e")), Class: upload.Event})
		<-event.Done()
		synctest.Wait()
		require.Equal(t, upload.GroupState{Objects: 3, Waiting: 3, Sealed: true}, held.State())
		require.Contains(t, u.Stats().Classes[upload.Snapshot].Why, "held by the hours until ")
		require.EqualValues(t, 50_000, u.Stats().BytesPerSecond)
		began := time.Now()
		require.NoError(t, send(t.Context(), rt, upload.Event, "e", 500_000))
		require.InDelta(t, 9, time.Since(began).Seconds(), 1)
		require.NoError(t, send(t.Context(), rt, upload.Backfill, "b", 1000), "a request that waits for other hours")
		require.WithinDuration(t, midnight.Add(18*time.Hour), time.Now(), time.Minute)
		<-held.Done()
		require.WithinDuration(t, midnight.Add(18*time.Hour), time.Now(), time.Minute)
		require.Zero(t, u.Stats().BytesPerSecond, "no limit between the hours")
		time.Sleep(time.Until(midnight.Add(26 * time.Hour))) //nolint:forbidigo // simulated
		require.EqualValues(t, 1_000_000, u.Stats().BytesPerSecond, "over midnight")
	})
}

// A3.
func TestWrongUplinks(t *testing.T) {
	for want, cfg := range map[string]upload.UplinkConfig{
		"at least 1000":         {BytesPerSecond: 10},
		"from 00:00 to 24:00":   {Hours: []upload.Hours{{From: 25 * time.Hour}}},
		"end when they begin":   {Hours: []upload.Hours{{From: time.Hour, To: time.Hour}}},
		"hold names who waits":  {Hours: []upload.Hours{{To: time.Hour, BytesPerSecond: 1}}},
		"a class that does not": {Hours: []upload.Hours{{To: time.Hour, Hold: []upload.Class{9}}}},
	} {
		_, err := upload.NewUplink(cfg, nil)
		require.ErrorContains(t, err, want)
	}
}
