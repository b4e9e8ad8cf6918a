package event_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/event"
)

// Every test here quotes the sentence that it proves.

// C6: "32 trigger sources, one bit each: 0 motion, 1 person, 2 abnormal sound, 3 linkage, 4–15
// reserved, 16–31 the user's".
func TestSources(t *testing.T) {
	for s, name := range map[event.Source]string{0: "motion", 1: "person", 2: "sound", 3: "linkage", 4: "reserved-4", 15: "reserved-15", 16: "user-16", 31: "user-31"} {
		require.Equal(t, name, s.String())
		require.Equal(t, uint32(1)<<s, s.Bit())
		for _, text := range []string{name, fmt.Sprint(int(s))} {
			parsed, err := event.ParseSource(text)
			require.NoError(t, err, text)
			require.Equal(t, s, parsed)
		}
	}
	for _, text := range []string{"", "32", "-1", "+1", "user-", "user-3", "user-32", "reserved-3", "reserved-16", "Motion", "user-reserved-4", "1.0"} {
		_, err := event.ParseSource(text)
		require.ErrorContains(t, err, "is no source of triggers: motion, person", text)
	}
	at(t, event.Config{}, func(d *desk) {
		for s := range event.Source(32) {
			d.trigger(s)
		}
		require.Len(t, d.messages, 32)
	})
}

// C6: "A trigger call names exactly one source and its UTC time in ms".
func TestATriggerNamesOneSource(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		for _, set := range []uint32{0, 3, 1<<31 | 1, math.MaxUint32} {
			require.ErrorIs(t, d.ch.Trigger(set, d.now()), event.ErrSource)
		}
		synctest.Wait()
		require.Empty(t, d.messages)
		when := d.now() - 1234
		require.NoError(t, d.ch.Trigger(event.Person.Bit(), when))
		synctest.Wait()
		require.Equal(t, when, d.messages[0].At)
		require.Equal(t, when, d.messages[0].Time.UTC)
	})
}

// C6: "it may be called from anywhere, at any rate".
func TestTriggersFromAnywhereAtAnyRate(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() { //nolint:forbidigo // the application's
				for range 2000 {
					if err := d.ch.Trigger(event.Source(n%4).Bit(), d.now()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		synctest.Wait()
		require.Len(t, d.messages, 4)
		require.Equal(t, uint64(32_000), d.ch.Status().Counters.Triggers)
		require.Zero(t, testing.AllocsPerRun(1000, func() { _ = d.ch.Trigger(1, d.now()) }), "a trigger that is not new holds no memory")
	})
}

// A callback that hangs holds up neither a trigger call nor another channel.
func TestATriggerNeverBlocks(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		stuck := make(chan struct{})
		other := event.NewChannel(d.handler, "yard")
		ends := d.ends()
		ends.Capture = func(event.Picture) string { <-stuck; return "" }
		require.NoError(t, other.Init(d.Context(), event.Config{}, ends))
		require.NoError(t, other.Serve(event.Notice{Service: event.EventService, On: true}))
		require.NoError(t, other.Serve(event.Notice{Service: event.PictureService, On: true}))
		require.NoError(t, other.Trigger(1, d.now()))
		synctest.Wait()
		for range 10 {
			require.NoError(t, other.Trigger(2, d.now()))
			d.trigger(event.Person)
		}
		require.Equal(t, "yard", d.messages[0].Channel)
		require.Equal(t, "gate", d.messages[1].Channel)
		_, err := other.Exit(d.Context(), true)
		require.NoError(t, err, "a forced exit does not wait for it")
		close(stuck)
		synctest.Wait()
	})
}

// C6: "with the event service off it returns its own error and has no effect".
func TestTriggerWithTheServiceOff(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService}))
		synctest.Wait()
		d.picture("a.jpg")
		require.ErrorIs(t, d.ch.Trigger(1, d.now()), event.ErrOff)
		require.ErrorIs(t, d.ch.Trigger(3, d.now()), event.ErrOff)
		d.pass(time.Hour)
		require.Empty(t, d.messages)
		require.Empty(t, d.windows)
		require.Empty(t, d.captured)
		require.Equal(t, event.Status{Picture: true, Counters: event.Counters{Refused: 2}}, d.ch.Status())
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService, On: true}))
		d.trigger(event.Motion)
		require.Len(t, d.messages, 1)
	})
}

// C7: "An event opens with its first trigger and closes when the event interval (≥ 4 s, default
// 180 s) has passed; the next trigger opens a new one".
func TestAnEventClosesAfterItsInterval(t *testing.T) {
	for _, interval := range []time.Duration{0, 4 * time.Second, time.Minute} {
		cfg := event.Config{Interval: interval}
		if interval == 0 {
			interval = 180 * time.Second
		}
		at(t, cfg, func(d *desk) {
			d.trigger(event.Motion)
			d.pass(interval - time.Millisecond)
			require.True(t, d.ch.Status().Open)
			d.trigger(event.Motion)
			require.Len(t, d.messages, 1)
			d.pass(time.Millisecond)
			require.False(t, d.ch.Status().Open)
			d.trigger(event.Motion)
			require.Len(t, d.messages, 2)
			require.Equal(t, []uint64{1, 2}, []uint64{d.messages[0].Event, d.messages[1].Event})
			require.True(t, d.messages[1].Opens)
		})
	}
	require.ErrorContains(t, event.Config{Interval: 4*time.Second - 1}.Validate(), "event interval 3.999999999s: 4s to 24h0m0s")
}

// C7: "Within an event each source makes one event message; again triggered, it only prolongs
// the recording".
func TestOneMessageForEachSourceInAnEvent(t *testing.T) {
	at(t, event.Config{Interval: 20 * time.Second}, func(d *desk) {
		start := d.now()
		for range 4 {
			d.trigger(event.Motion)
			d.trigger(event.Source(20))
			d.pass(3 * time.Second)
		}
		require.Len(t, d.messages, 2)
		require.Equal(t, []bool{true, false}, []bool{d.messages[0].Opens, d.messages[1].Opens})
		require.Len(t, d.captured, 1, "nor does it ask for another picture")
		d.pass(time.Minute)
		require.Equal(t, [][2]float64{{0, 9 + 8}}, d.recorded(start))
	})
}

// C7: "Recording runs until the last trigger + minimum recording time (≥ 4 s, ≤ the interval,
// default 8 s)".
func TestRecordingRunsUntilTheLastTriggerAndMore(t *testing.T) {
	at(t, event.Config{Interval: 10 * time.Second, Minimum: 6 * time.Second}, func(d *desk) {
		start := d.now()
		d.trigger(event.Motion)
		d.pass(5900 * time.Millisecond)
		d.trigger(event.Motion)
		require.True(t, d.ch.Status().Recording)
		d.pass(4 * time.Second)
		d.trigger(event.Motion) // in the last tenth of the interval
		d.pass(5900 * time.Millisecond)
		require.True(t, d.ch.Status().Recording, "longer than the interval")
		d.pass(200 * time.Millisecond)
		require.False(t, d.ch.Status().Recording)
		require.Equal(t, [][2]float64{{0, 15.9}}, d.recorded(start))
	})
	at(t, event.Config{}, func(d *desk) {
		start := d.now()
		d.trigger(event.Motion)
		d.pass(time.Minute)
		require.Equal(t, [][2]float64{{0, 8}}, d.recorded(start))
		d.trigger(event.Motion) // of the same event: a second part of its recording
		d.pass(time.Minute)
		require.Equal(t, [][2]float64{{0, 8}, {60, 68}}, d.recorded(start))
		require.Equal(t, uint64(1), d.windows[len(d.windows)-1].Event)
		require.Len(t, d.messages, 1)
	})
	for text, cfg := range map[string]event.Config{
		"minimum recording time 3s: at least 4s":                    {Minimum: 3 * time.Second},
		"minimum recording time 6s: at most the event interval, 5s": {Interval: 5 * time.Second, Minimum: 6 * time.Second},
		"footage from before a trigger -1s: 0 to 1m0s":              {Pre: -time.Second},
		"-1 waiting events: 0 for no limit":                         {Waiting: -1},
		"priority 32 of motion: 0 (most urgent) to 31, or -1":       {Priorities: map[event.Source]int{0: 32}},
		"priority -2 of user-16: 0 (most urgent) to 31, or -1":      {Priorities: map[event.Source]int{16: -2}},
		"a priority for source 32: sources are 0 to 31":             {Priorities: map[event.Source]int{32: 1}},
	} {
		require.ErrorContains(t, cfg.Validate(), text)
	}
}

// C7: "Waiting events are limited (0 = no limit)." One that would be too many is not opened.
func TestWaitingEventsAreLimited(t *testing.T) {
	for _, limit := range []int{0, 1, 3} {
		at(t, event.Config{Interval: 4 * time.Second, Waiting: limit}, func(d *desk) {
			d.keep()
			for n := range 20 {
				err := d.ch.Trigger(1, d.now())
				if limit == 0 || n < limit {
					require.NoError(t, err)
					require.NoError(t, d.ch.Trigger(2, d.now()), "one that is open is prolonged")
				} else {
					require.ErrorIs(t, err, event.ErrFull)
				}
				d.pass(5 * time.Second)
			}
			before := len(d.messages)
			d.release(nil)
			d.trigger(event.Motion)
			require.Len(t, d.messages, before+1, "there is room again")
		})
	}
}

// C7: "footage from before the trigger, 5 s, 0 turns it off".
func TestFootageFromBeforeTheTrigger(t *testing.T) {
	for _, pre := range []time.Duration{event.DefaultPre, 0} {
		at(t, event.Config{Pre: pre}, func(d *desk) {
			start := d.now()
			d.trigger(event.Motion)
			d.pass(10 * time.Second)
			d.trigger(event.Motion) // 2 s after the first part: not twice what that has
			d.pass(time.Minute)
			second := max(8, 10-pre.Seconds())
			require.Equal(t, [][2]float64{{-pre.Seconds(), 8}, {second, 18}}, d.recorded(start))
		})
	}
}

// C8: "a priority per source, 0–31, lower is more urgent (default: the source's own number)";
// "An event's first trigger asks for a picture; after it a source that is more urgent than any so
// far in the event".
func TestPicturesByPriority(t *testing.T) {
	at(t, event.Config{Interval: 10 * time.Second, Priorities: map[event.Source]int{20: 1, 21: 0}}, func(d *desk) {
		for _, s := range []event.Source{5, 9, 5, 3, 4, 20, 1, 3, 21, 0, 5} {
			d.trigger(s)
		}
		require.Equal(t, []event.Source{5, 3, 20, 21}, d.asked())
		d.pass(10 * time.Second)
		d.trigger(9)
		require.Equal(t, []event.Source{5, 3, 20, 21, 9}, d.asked(), "a new event begins anew")
	})
}

// C8: "−1 = this source is not bound by priority"; "or an unbound source that has not fired in it
// yet".
func TestUnboundSourcesAskOncePerEvent(t *testing.T) {
	at(t, event.Config{Interval: 10 * time.Second, Priorities: map[event.Source]int{0: event.Unbound, 31: event.Unbound}}, func(d *desk) {
		for _, s := range []event.Source{31, 7, 0, 31, 0, 7, 8, 6, 31} {
			d.trigger(s)
		}
		require.Equal(t, []event.Source{31, 7, 0, 6}, d.asked(), "the first that is bound has none before it that is more urgent")
		d.pass(10 * time.Second)
		d.trigger(31)
		require.Len(t, d.captured, 5)
	})
}

// C8: "The capture callback returns a file's path at once; an empty path, or no callback, means
// no picture and no result".
func TestNoPathNoPicture(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		path := d.picture("a.jpg")
		d.trigger(5)
		d.trigger(3) // returns no path: replaces nothing
		d.write(path, 3000)
		d.pass(time.Second)
		require.Len(t, d.captured, 2)
		require.Equal(t, []event.Code{event.Uploaded}, d.codes())
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		ends := d.ends()
		ends.Capture = nil
		require.NoError(t, d.ch.Init(d.Context(), event.Config{}, ends))
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.EventService, On: true}))
		require.NoError(t, d.ch.Serve(event.Notice{Service: event.PictureService, On: true}))
		d.trigger(5)
		d.pass(time.Minute)
		require.Len(t, d.messages, 1)
		require.Empty(t, d.results)
		_, err := d.ch.Exit(d.Context(), false)
		require.NoError(t, err)
	})
}

// C8: "The picture is uploaded once the file is larger than 2 KiB, waiting 5 s at most".
func TestAPictureIsUploadedOnceItsFileHasGrown(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		path := d.picture("a.jpg")
		d.trigger(event.Motion)
		d.pass(time.Second)
		d.write(path, 2048)
		d.pass(3900 * time.Millisecond)
		require.Empty(t, d.uploads, "2 KiB are not more than 2 KiB")
		d.write(path, 2049)
		d.pass(100 * time.Millisecond)
		require.Len(t, d.uploads, 1)
		require.Equal(t, path, d.uploads[0].Path)
		require.Equal(t, []event.Code{event.Uploaded}, d.codes())
	})
}

// C8: "Every picture gets exactly one result, with its path and a code: 0 uploaded, 1 timed out
// (the file did not grow in time, or the upload did not end), 2 expired (a newer one replaced
// it), 3 not there".
func TestEveryPictureGetsOneResult(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(d *desk, path string)
		code event.Code
	}{
		{"uploaded", func(d *desk, path string) { d.write(path, 5000) }, event.Uploaded},
		{"the file did not grow in time", func(d *desk, path string) { d.write(path, 100) }, event.TimedOut},
		{"it grew too late", func(d *desk, path string) { d.pass(5001 * time.Millisecond); d.write(path, 5000) }, event.NotThere},
		{"the upload did not end", func(d *desk, path string) { d.keep(); d.write(path, 5000) }, event.TimedOut},
		{"the upload failed", func(d *desk, path string) { d.fails(errors.New("refused")); d.write(path, 5000) }, event.TimedOut},
		{"a newer one replaced it", func(d *desk, _ string) { note(d, &d.paths, "/nowhere"); d.trigger(1) }, event.Expired},
		{"not there", func(*desk, string) {}, event.NotThere},
		{"a folder", func(d *desk, path string) { require.NoError(d, os.Mkdir(path, 0o700)) }, event.NotThere},
		{"gone when it was to be uploaded", func(d *desk, path string) { d.fails(fmt.Errorf("open: %w", fs.ErrNotExist)); d.write(path, 5000) }, event.NotThere},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at(t, event.Config{UploadTimeout: 20 * time.Second}, func(d *desk) {
				path := d.picture("a.jpg")
				d.trigger(5)
				tc.play(d, path)
				d.pass(time.Minute)
				d.release(nil) // an answer that comes too late
				first := d.results[0]
				require.Equal(t, tc.code, first.Code)
				require.Equal(t, path, first.Path)
				for _, r := range d.results[1:] {
					require.NotEqual(t, path, r.Path, "one result for each")
				}
			})
		})
	}
	require.Equal(t, []event.Code{0, 1, 2, 3}, []event.Code{event.Uploaded, event.TimedOut, event.Expired, event.NotThere})
}

// A picture that is being uploaded is not replaced: both are.
func TestAPictureThatIsBeingUploadedIsNotReplaced(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		first, second := d.picture("a.jpg"), d.picture("b.jpg")
		d.write(first, 5000)
		d.write(second, 5000)
		d.keep()
		d.trigger(5)
		d.trigger(3)
		require.Len(t, d.uploads, 2)
		require.Empty(t, d.results)
		d.release(nil)
		require.Equal(t, []event.Code{0, 0}, d.codes())
	})
}

// A newer picture replaces one of its own event: not one that another event still waits for.
func TestAPictureOfAnotherEventIsNotReplaced(t *testing.T) {
	at(t, event.Config{Interval: 4 * time.Second, Minimum: 4 * time.Second}, func(d *desk) {
		d.trigger(5) // takes none
		d.pass(2 * time.Second)
		first, second := d.picture("a.jpg"), d.picture("b.jpg")
		d.trigger(3)
		d.pass(2 * time.Second)
		d.trigger(3)
		require.Equal(t, uint64(2), d.captured[2].Event)
		d.write(first, 5000)
		d.write(second, 5000)
		d.pass(time.Second)
		require.Equal(t, []event.Code{0, 0}, d.codes())
	})
}

// C8: "until then nobody touches its file, afterwards the application may delete it".
func TestNobodyTouchesAPictureBeforeItsResult(t *testing.T) {
	at(t, event.Config{}, func(d *desk) {
		path := d.picture("a.jpg")
		d.write(path, 5000)
		before, err := os.Stat(path)
		require.NoError(t, err)
		d.trigger(event.Motion)
		d.pass(time.Minute)
		after, err := os.Stat(path)
		require.NoError(t, err, "it is the application that deletes")
		require.Equal(t, before.ModTime(), after.ModTime())
		require.Equal(t, before.Mode(), after.Mode())
		require.NoError(t, os.Remove(path))
		d.pass(time.Minute)
		require.Len(t, d.results, 1)
	})
}

// The machine takes any trigger call without harm: whatever bits, whatever time.
func FuzzTrigger(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint32(1), int64(0))
	f.Add([]byte{255, 0, 7}, uint32(0), int64(math.MinInt64))
	f.Add([]byte{9}, uint32(math.MaxUint32), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, waits []byte, set uint32, when int64) {
		at(t, event.Config{Interval: 4 * time.Second, Waiting: 2, Pre: 5 * time.Second}, func(d *desk) {
			for i, w := range waits[:min(len(waits), 40)] {
				err := d.ch.Trigger(set>>(i%32)|set<<(32-i%32), when+int64(i)*int64(w))
				require.True(t, err == nil || errors.Is(err, event.ErrSource) || errors.Is(err, event.ErrFull), "%v", err)
				d.pass(time.Duration(w) * 40 * time.Millisecond)
			}
			d.pass(time.Minute)
			for _, w := range d.windows {
				require.LessOrEqual(t, w.From.Mono, w.To.Mono)
				require.LessOrEqual(t, w.From.Mono, d.clock.Mono())
				if w.Over {
					require.LessOrEqual(t, w.To.Mono, d.clock.Mono())
				}
			}
			require.Zero(t, d.ch.Status().Messages)
			require.Zero(t, d.ch.Status().Waiting)
		})
	})
}
