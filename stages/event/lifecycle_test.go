package event_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/event"
)

// C1: "Calls before init and after exit return their own error".
func TestCallsBeforeInitAndAfterExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		refused := func() {
			require.ErrorIs(t, d.ch.Trigger(1, 0), event.ErrNotRunning)
			require.ErrorIs(t, d.ch.Serve(event.Notice{}), event.ErrNotRunning)
			for _, force := range []bool{false, true} {
				_, err := d.ch.Exit(d.Context(), force)
				require.ErrorIs(t, err, event.ErrNotRunning)
			}
			require.Equal(t, event.Status{}, d.ch.Status())
		}
		refused()
		for range 2 {
			require.NoError(t, d.ch.Init(d.Context(), event.Config{}, d.ends()))
			require.ErrorIs(t, d.ch.Init(d.Context(), event.Config{}, d.ends()), event.ErrExists)
			require.ErrorIs(t, d.ch.Trigger(1, d.now()), event.ErrOff, "services begin switched off")
			left, err := d.ch.Exit(d.Context(), false)
			require.NoError(t, err)
			require.False(t, left.Any())
			refused()
		}
		require.ErrorContains(t, d.ch.Init(d.Context(), event.Config{Interval: 1}, d.ends()), "events of channel gate: event interval 1ns")
		ends := d.ends()
		ends.Uploader = nil
		require.ErrorContains(t, d.ch.Init(d.Context(), event.Config{}, ends), "pictures without an uploader")
	})
}

// Events are numbered on where the run before ended.
func TestEventsAreNumberedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		ends := d.ends()
		ends.Last = func(context.Context) (uint64, error) {
			require.True(t, d.ch.Status().Initialising) // C4: "event handling initialising"
			require.ErrorIs(t, d.ch.Trigger(1, 0), event.ErrNotRunning)
			return 41, nil
		}
		require.NoError(t, d.ch.Init(d.Context(), event.Config{}, ends))
		require.False(t, d.ch.Status().Initialising)
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService, On: true}))
		d.trigger(event.Motion)
		require.Equal(t, uint64(42), d.messages[0].Event)
		_, err := d.ch.Exit(d.Context(), false)
		require.NoError(t, err)
		ends.Last = func(context.Context) (uint64, error) { return 0, errors.New("the disk is gone") }
		require.ErrorContains(t, d.ch.Init(d.Context(), event.Config{}, ends), "the last one's number: the disk is gone")
		require.False(t, d.ch.Status().Initialising)
	})
}

// C1: "Exit without force finishes what is under way".
func TestGentleExitFinishesWhatIsUnderWay(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		start := d.now()
		path := d.picture("a.jpg")
		d.keep()
		d.trigger(event.Motion)
		d.pass(2 * time.Second)
		ended := make(chan error, 1)
		go func() {
			left, err := d.ch.Exit(d.Context(), false)
			if left.Any() {
				err = errors.New("something was left")
			}
			ended <- err
		}()
		d.pass(time.Second)
		require.True(t, d.ch.Status().Exiting)
		require.ErrorIs(t, d.ch.Trigger(1, d.now()), event.ErrExiting)
		require.ErrorIs(t, d.ch.Serve(event.Notice{}), event.ErrExiting)
		require.Equal(t, [][2]float64{{0, 2}}, d.recorded(start), "recording ends at once")
		_, err := d.ch.Exit(d.Context(), false)
		require.ErrorIs(t, err, event.ErrExiting, "a second exit while exiting says so")
		d.write(path, 5000)
		d.pass(time.Second)
		require.Empty(t, ended)
		d.release(nil)
		require.NoError(t, <-ended)
		require.Equal(t, []event.Code{event.Uploaded}, d.codes())
	})
}

// C1: "with force it stops at once and says what was left".
func TestForcedExitSaysWhatWasLeft(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		path := d.picture("a.jpg")
		d.keep()
		d.trigger(event.Motion)
		d.trigger(event.Person)
		before := d.now()
		left, err := d.ch.Exit(d.Context(), true)
		require.NoError(t, err)
		require.LessOrEqual(t, d.now()-before, int64(1000))
		require.Equal(t, event.Left{Messages: 2, Pictures: []string{path}, Windows: 1}, left)
		require.Equal(t, []event.Code{event.TimedOut}, d.codes(), "its one result")
		require.ErrorIs(t, d.ch.Trigger(1, 0), event.ErrNotRunning)
		d.release(nil) // answers that come too late
		require.NoError(t, d.ch.Init(d.Context(), event.Config{}, d.ends()))
		require.Len(t, d.results, 1)
	})
}

// C1: "a forced one turns the one under way into a forced one".
func TestForcedExitForcesTheOneUnderWay(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		d.keep()
		d.trigger(event.Motion)
		ended := make(chan error, 1)
		go func() {
			left, err := d.ch.Exit(d.Context(), false)
			if left.Messages != 1 {
				err = errors.New("it does not say what was left")
			}
			ended <- err
		}()
		d.pass(time.Second)
		left, err := d.ch.Exit(d.Context(), true)
		require.NoError(t, err)
		require.Equal(t, event.Left{Messages: 1, Windows: 1}, left)
		require.ErrorIs(t, <-ended, event.ErrForced)
	})
	at(t, event.Config{}, func(d *desk) { // and so does the end of its context
		d.keep()
		d.trigger(event.Motion)
		ctx, cancel := context.WithTimeout(d.Context(), 5*time.Second)
		defer cancel()
		before := d.now()
		left, err := d.ch.Exit(ctx, false)
		require.ErrorIs(t, err, event.ErrForced)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, int64(5000), d.now()-before)
		require.Equal(t, 1, left.Messages)
	})
}

// A path that a capture returns after a forced exit gets its result too.
func TestAPictureThatComesAfterAForcedExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		held := make(chan struct{})
		ends := d.ends()
		ends.Capture = func(event.Picture) string { <-held; return "/late.jpg" }
		require.NoError(t, d.ch.Init(t.Context(), event.Config{}, ends))
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService, On: true}))
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.PictureService, On: true}))
		d.trigger(event.Motion)
		left, err := d.ch.Exit(t.Context(), true)
		require.NoError(t, err)
		require.Empty(t, left.Pictures, "there is none yet")
		close(held)
		synctest.Wait()
		require.Len(t, d.results, 1)
		require.Equal(t, "/late.jpg", d.results[0].Path)
		require.Equal(t, event.TimedOut, d.results[0].Code)
	})
}

// C4: "creating an event (its picture and message going up), uploading event video (its waiting
// list not empty)"; each service "is on or off".
func TestStatus(t *testing.T) {
	at(t, event.Config{Interval: 30 * time.Second}, func(d *desk) {
		d.keep()
		path := d.picture("a.jpg")
		d.write(path, 5000)
		require.Equal(t, event.Status{Event: true, Picture: true}, d.ch.Status())
		d.trigger(event.Person)
		s := d.ch.Status()
		require.True(t, s.Creating && s.Recording && s.Open && !s.Uploading)
		require.Equal(t, []event.Source{event.Person}, s.Fired)
		require.Equal(t, []int{1, 1, 0}, []int{s.Messages, s.Pictures, s.Waiting})
		d.release(nil)
		require.False(t, d.ch.Status().Creating)
		d.keep()
		d.pass(8 * time.Second)
		s = d.ch.Status()
		require.True(t, s.Uploading && !s.Recording && s.Open && !s.Creating)
		require.Equal(t, 1, s.Waiting)
		d.release(nil)
		require.False(t, d.ch.Status().Uploading)
		require.Equal(t, event.Counters{Triggers: 1, Events: 1, Messages: 1, Pictures: 1, Results: [4]uint64{1}}, d.ch.Status().Counters)
	})
}

// C5: "Start-stream and stop-stream callbacks tell the application when the cloud wants data; a
// service-notification callback passes on a service's kind and expiry".
func TestCallbacksOfStreamAndServices(t *testing.T) {
	at(t, event.Config{Interval: 4 * time.Second, Minimum: 4 * time.Second}, func(d *desk) {
		require.Len(t, d.notices, 2)
		expires := d.clock.Now().Add(time.Hour)
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService, On: true, Expires: expires}))
		synctest.Wait()
		require.Equal(t, event.Notice{Service: event.EventService, On: true, Expires: expires}, d.notices[2])
		require.Error(t, d.ch.Serve(event.Notice{Service: 2}))
		d.trigger(event.Motion)
		require.Equal(t, []bool{true}, d.stream)
		d.pass(3 * time.Second)
		d.trigger(event.Motion)
		d.pass(2 * time.Second)
		d.trigger(event.Motion) // another event, before the first one's recording has ended
		d.pass(3500 * time.Millisecond)
		require.Equal(t, []bool{true}, d.stream)
		d.pass(time.Second)
		require.Equal(t, []bool{true, false}, d.stream)
	})
}

// A service that goes off ends the event and its recording at once; what was on its way goes on.
func TestServiceOffDuringAnEvent(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		start := d.now()
		path := d.picture("a.jpg")
		d.trigger(event.Motion)
		d.pass(2 * time.Second)
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService}))
		d.write(path, 5000)
		d.pass(time.Second)
		require.Equal(t, [][2]float64{{0, 2}}, d.recorded(start))
		require.Equal(t, []event.Code{event.Uploaded}, d.codes())
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService, On: true}))
		d.trigger(event.Motion)
		require.Equal(t, uint64(2), d.messages[1].Event, "a new event")
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.PictureService}))
		d.trigger(event.Source(0))
		d.pass(180 * time.Second)
		d.trigger(event.Motion)
		require.Len(t, d.captured, 2, "no picture while that service is off")
	})
}

// The time of a trigger is believed where it is of the last minute; else the instant of the call
// counts, and the message tells both.
func TestTimesOfTriggers(t *testing.T) {
	for _, tc := range []struct{ named, believed int64 }{{0, 0}, {-3000, -3000}, {-60_000, -60_000}, {-60_001, 0}, {1, 0}, {8 * 3600_000, 0}, {-1_800_000_000_000, 0}} {
		at(t, event.Config{Pre: 5 * time.Second}, func(d *desk) {
			start := d.now()
			require.NoError(t, d.ch.Trigger(1, start+tc.named))
			d.pass(time.Minute)
			require.Equal(t, []int64{tc.named, tc.believed}, []int64{d.messages[0].At - start, d.messages[0].Time.UTC - start})
			seconds := float64(tc.believed) / 1000
			require.Equal(t, [][2]float64{{seconds - 5, seconds + 8}}, d.recorded(start))
		})
	}
	at(t, event.Config{}, func(d *desk) { // out of order: an older one neither moves the start nor shortens
		start := d.now()
		d.trigger(event.Motion)
		require.NoError(t, d.ch.Trigger(event.Person.Bit(), start-4000))
		d.pass(time.Minute)
		require.Equal(t, [][2]float64{{0, 8}}, d.recorded(start))
		require.Equal(t, uint64(1), d.messages[1].Event)
	})
}

// What fails or panics behind an event costs that alone.
func TestWhatFailsIsCounted(t *testing.T) {
	at(t, event.Config{Interval: 4 * time.Second}, func(d *desk) {
		d.fails(errors.New("no link"))
		d.trigger(event.Motion)
		d.pass(time.Minute)
		c := d.ch.Status().Counters
		require.Equal(t, []uint64{1, 1}, []uint64{c.Lost, c.Unstored})
		require.False(t, d.ch.Status().Creating)
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		require.NoError(t, d.ch.Init(d.Context(), event.Config{Interval: 4 * time.Second}, event.Ends{
			Recorder: panics{}, Messages: panics{}, Uploader: panics{},
			Callbacks: event.Callbacks{
				Capture: func(event.Picture) string { panic("capture") }, Stream: func(bool) { panic("stream") },
				Notice: func(event.Notice) { panic("notice") },
			},
		}))
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService, On: true}))
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.PictureService, On: true}))
		d.trigger(event.Motion)
		d.pass(time.Minute)
		d.trigger(event.Motion)
		d.pass(time.Minute)
		require.Equal(t, event.Counters{Triggers: 2, Events: 2, Messages: 2, Lost: 2, Unstored: 2}, d.ch.Status().Counters)
		left, err := d.ch.Exit(d.Context(), false)
		require.NoError(t, err)
		require.False(t, left.Any())
	})
}

// Who answers twice is heard once.
func TestTheFirstAnswerCounts(t *testing.T) {
	at(t, event.Config{Interval: 4 * time.Second, Waiting: 1}, func(d *desk) {
		d.keep()
		d.trigger(event.Motion)
		d.trigger(event.Person)
		d.held[0](nil)
		d.held[0](errors.New("after all not"))
		s := d.ch.Status()
		require.Equal(t, []uint64{1, 0}, []uint64{uint64(s.Messages), s.Counters.Lost})
		d.pass(time.Minute)
		require.ErrorIs(t, d.ch.Trigger(1, d.now()), event.ErrFull, "the other one still waits")
		d.release(nil)
	})
}

type panics struct{}

func (panics) Record(event.Window, func(error))                   { panic("record") }
func (panics) Send(context.Context, event.Message, func(error))   { panic("send") }
func (panics) Upload(context.Context, event.Picture, func(error)) { panic("upload") }
