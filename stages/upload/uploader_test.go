package upload_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/upload"
)

// U1, U3: a group has its handle at once, its frames go up side by side, and the result has their
// order whatever the order of the answers was.
func TestFiftyTakeAsLongAsOne(t *testing.T) {
	for _, n := range []int{1, 5, 10, 15, 30, 50} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{delay: 1050 * time.Millisecond}
			u := uploader(t, s, upload.Config{})
			began := time.Now()
			g := u.Submit(pictures(n)...)
			require.Zero(t, time.Since(began))
			synctest.Wait()
			require.Equal(t, upload.GroupState{Objects: n, Running: n, Sealed: true}, g.State())
			results, err := g.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1050*time.Millisecond, time.Since(began))
			require.True(t, g.State().Done())
			for i, r := range results {
				require.NoError(t, r.Err)
				require.Equal(t, "mem://"+pictures(n)[i].Key, r.URL)
				require.Equal(t, time.Unix(int64(i), 0), r.Time)
			}
		})
	}
}

// U1, U2: where one in five attempts fails nothing is lost, nothing comes twice and the order stays.
func TestOrderWithFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := &slow{delay: time.Second}
		s.answer = func(string, int, int) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if n++; n%5 == 0 {
				return trouble(upload.Broken)
			}
			return nil
		}
		u := uploader(t, s, upload.Config{})
		results, err := u.Submit(pictures(50)...).Wait(t.Context())
		require.NoError(t, err)
		for i, r := range results {
			require.NoError(t, r.Err)
			require.Equal(t, pictures(50)[i].Key, r.Key)
			require.Equal(t, 1, s.objects[r.Key])
		}
		require.Positive(t, u.Stats().Retries)
	})
}

// U2: a frame that fails thirty times after its first attempt is given up and named, one that is
// refused for good is not tried again; the others are not touched.
func TestFailuresAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{delay: time.Second, answer: func(key string, _, _ int) error {
			switch key {
			case "gate/01.jpg":
				return trouble(upload.Broken)
			case "gate/02.jpg":
				return trouble(upload.Invalid)
			case "gate/03.jpg":
				return trouble(upload.Credentials)
			case "gate/04.jpg":
				panic("a bug in the store")
			}
			return nil
		}}
		u := uploader(t, s, upload.Config{})
		results, err := u.Submit(pictures(6)...).Wait(t.Context())
		require.NoError(t, err)
		attempts := make([]int, 0, len(results))
		for _, r := range results {
			attempts = append(attempts, r.Attempts)
		}
		require.Equal(t, []int{1, 31, 1, 1, 1, 1}, attempts)
		require.ErrorContains(t, results[1].Err, "gate/01.jpg: given up after 31 attempts: store mem: the store has an error inside (told so)")
		require.ErrorIs(t, results[2].Err, upload.ErrRefused)
		require.ErrorContains(t, results[2].Err, "gate/02.jpg: ")
		require.ErrorIs(t, results[3].Err, upload.ErrBlocked)
		require.ErrorContains(t, results[4].Err, "a bug in the store")
		require.NoError(t, results[0].Err)
		require.NoError(t, results[5].Err)
		require.Empty(t, results[1].URL)
	})
}

// U2: the waits grow, have a limit and are never the same for all; meanwhile no worker is held.
func TestRetriesWaitLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{answer: func(string, int, int) error { return trouble(upload.Broken) }}
		chance := 1.0
		u := uploader(t, s, upload.Config{Retries: 8, Backoff: hal.Backoff{First: time.Second, Max: 20 * time.Second, Random: func() float64 { return chance }}})
		g := u.Submit(pictures(1)...)
		synctest.Wait()
		require.Zero(t, u.Stats().Running)
		require.Equal(t, 1, g.State().Retrying)
		<-g.Done()
		require.Equal(t, []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second}, gaps(s.at))
		s.at, chance = nil, 0
		g = u.Submit(pictures(1)...)
		<-g.Done()
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 20 * time.Second, 20 * time.Second, 20 * time.Second}, gaps(s.at))
	})
}

func gaps(at []time.Time) []time.Duration {
	var all []time.Duration
	for i := range at[1:] {
		all = append(all, at[i+1].Sub(at[i]))
	}
	return all
}

// U1: what is chained follows once, in order, whether it is chained before the end or after it.
func TestFollowUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uploader(t, &slow{delay: time.Second}, upload.Config{})
		g := u.Submit(pictures(3)...)
		said := make(chan string, 8)
		g.Then(func(r []upload.Result) { said <- "first " + r[2].URL })
		g.Then(func([]upload.Result) { said <- "second" })
		synctest.Wait()
		require.Empty(t, said)
		<-g.Done()
		require.Equal(t, "first mem://gate/02.jpg", <-said)
		require.Equal(t, "second", <-said)
		g.Then(func([]upload.Result) { panic("its own matter") })
		g.Then(func([]upload.Result) { said <- "late" })
		require.Equal(t, "late", <-said)
		synctest.Wait()
		require.Empty(t, said, "each once")
	})
}

// Frames can join a group while its first ones go up already.
func TestAGroupThatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uploader(t, &slow{delay: time.Second}, upload.Config{})
		g := u.Group()
		all := pictures(3)
		g.Add(all[0])
		time.Sleep(5 * time.Second) //nolint:forbidigo // simulated
		require.Equal(t, 1, g.State().Uploaded)
		g.Add(all[1])
		g.Add(all[2])
		g.Seal()
		results, err := g.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, "gate/02.jpg", results[2].Key)
	})
}

// Memory has a limit; what is over it fails at once and says so. What lies on a disk does not count.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uploader(t, &slow{delay: time.Second}, upload.Config{MaxBytes: 450_000})
		objects := pictures(5)
		file, err := os.Open("uploader_test.go")
		require.NoError(t, err)
		defer func() { require.NoError(t, file.Close()) }()
		info, err := file.Stat()
		require.NoError(t, err)
		objects[4].Body = io.NewSectionReader(file, 0, info.Size())
		g := u.Submit(objects...)
		require.Equal(t, 1, g.State().Failed)
		results, err := g.Wait(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, results[3].Err, upload.ErrFull)
		require.NoError(t, results[4].Err)
		require.Zero(t, u.Stats().Bytes)
		results, err = u.Submit(pictures(3)...).Wait(t.Context())
		require.NoError(t, err)
		require.NoError(t, results[2].Err)
	})
}

// The number in flight falls to what the store takes, and rises again when it takes more.
func TestInFlightFitsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := 8
		s := &slow{delay: 100 * time.Millisecond}
		s.answer = func(_ string, _, atOnce int) error {
			if atOnce > limit {
				return trouble(upload.Throttled)
			}
			return nil
		}
		u := uploader(t, s, upload.Config{Backoff: hal.Backoff{First: 200 * time.Millisecond, Max: time.Second}, Retries: 1000, MaxBytes: 1 << 30})
		<-u.Submit(pictures(400)...).Done()
		low := u.Stats().Parallel
		require.Less(t, low, 20)
		require.GreaterOrEqual(t, low, 4)
		limit = 1000
		for range 100 {
			<-u.Submit(pictures(50)...).Done()
		}
		require.Greater(t, u.Stats().Parallel, 50)
	})
}

// A link whose bandwidth is the limit makes every upload longer the more there are: fewer at once then.
func TestInFlightFitsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{delay: 50 * time.Millisecond}
		s.answer = func(_ string, _, atOnce int) error {
			time.Sleep(time.Duration(atOnce) * 100 * time.Millisecond) //nolint:forbidigo // simulated
			return nil
		}
		u := uploader(t, s, upload.Config{MaxBytes: 1 << 30})
		<-u.Submit(pictures(1)...).Done()
		<-u.Submit(pictures(1000)...).Done()
		require.Less(t, u.Stats().Parallel, 16)
	})
}

// U3: a machine that was out of breath, and so found its uploads slow, is not held to fewer of them at once
// when they are quick again: the second group after the stall takes as long as one upload.
func TestAStallIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := time.Duration(0)
		s := &slow{delay: time.Second}
		s.answer = func(string, int, int) error {
			time.Sleep(stall) //nolint:forbidigo // in a bubble: simulated
			return nil
		}
		u := uploader(t, s, upload.Config{})
		group := func() time.Duration {
			began := time.Now()
			_, err := u.Submit(pictures(50)...).Wait(t.Context())
			require.NoError(t, err)
			return time.Since(began)
		}
		require.Equal(t, time.Second, group())
		stall = 3 * time.Second
		group()
		require.Less(t, u.Stats().Parallel, 50, "it is cut")
		stall = 0
		require.Equal(t, 2*time.Second, group(), "the rest waits for the first")
		require.Equal(t, time.Second, group())
	})
}

// What is important does not wait for workers that what is less important fills.
func TestTheImportantOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{delay: time.Second}
		u := uploader(t, s, upload.Config{Parallel: 4})
		u.Submit(pictures(40)...)
		synctest.Wait()
		event := upload.Object{Key: "event.jpg", Body: upload.Bytes([]byte("x")), Class: upload.Event}
		began := time.Now()
		<-u.Submit(event).Done()
		require.Equal(t, time.Second, time.Since(began))
	})
}

// Without force an exit waits for what was submitted; objects that come later are refused.
func TestExitFinishes(t *testing.T) {
	defer goleak.VerifyNone(t, leaks()...)
	synctest.Test(t, func(t *testing.T) {
		s := &slow{delay: time.Second, answer: func(_ string, attempt, _ int) error {
			if attempt == 1 {
				return trouble(upload.Broken)
			}
			return nil
		}}
		u := uploader(t, s, upload.Config{Parallel: 2})
		g := u.Submit(pictures(5)...)
		require.NoError(t, u.Exit(t.Context(), false))
		require.Equal(t, 5, g.State().Uploaded)
		late, err := u.Submit(pictures(1)...).Wait(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, late[0].Err, upload.ErrExited)
		require.NoError(t, u.Exit(t.Context(), true), "a second one")
	})
}

// With force an exit is over at once and names what was left; a forced second one ends a gentle first one.
func TestForcedExitSaysWhatWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uploader(t, &slow{delay: time.Hour}, upload.Config{Parallel: 2})
		g := u.Submit(pictures(12)...)
		followed := false
		g.Then(func([]upload.Result) { followed = true })
		gentle := make(chan error, 1)
		go func() { gentle <- u.Exit(context.Background(), false) }()
		synctest.Wait()
		began := time.Now()
		err := u.Exit(t.Context(), true)
		require.LessOrEqual(t, time.Since(began), time.Second)
		require.ErrorIs(t, err, upload.ErrLeft)
		require.EqualError(t, err, "12 objects were not uploaded: gate/00.jpg, gate/01.jpg, gate/02.jpg, gate/03.jpg, gate/04.jpg, gate/05.jpg, gate/06.jpg, gate/07.jpg and 4 more")
		require.Equal(t, err, <-gentle)
		require.ErrorIs(t, g.Results()[11].Err, upload.ErrLeft)
		require.True(t, followed)
	})
}

// A gentle exit whose time is up gives up the rest and names it.
func TestExitHasATimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uploader(t, &slow{delay: time.Minute}, upload.Config{Parallel: 1})
		u.Submit(pictures(3)...)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		var left *upload.LeftError
		require.ErrorAs(t, u.Exit(ctx, false), &left)
		require.Equal(t, []string{"gate/01.jpg", "gate/02.jpg"}, left.Keys)
	})
}

// A group can be given up without the others.
func TestCancelOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uploader(t, &slow{delay: time.Second}, upload.Config{Parallel: 2})
		first, second := u.Submit(pictures(4)...), u.Submit(pictures(2)...)
		synctest.Wait()
		first.Cancel()
		<-first.Done()
		<-second.Done()
		require.Equal(t, 4, first.State().Failed)
		require.Equal(t, 2, second.State().Uploaded)
	})
}

// Issue 5, must show 9: a trouble is said once, until it is another one or is over. What passes by
// itself is said only when it lasts.
func TestATroubleIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var now error
		s := &slow{answer: func(string, int, int) error { return now }}
		w := upload.Watch(s, nil, slog.New(slog.NewTextHandler(&log, nil)))
		put := func(n int, err error) {
			now = err
			for range n {
				require.ErrorIs(t, w.Put(t.Context(), "a", "", upload.Bytes(nil)), err)
			}
		}
		lines := func() []string {
			defer log.Reset()
			return slices.Collect(strings.Lines(log.String()))
		}
		put(2, nil)
		put(5, trouble(upload.Credentials))
		said := lines()
		require.Len(t, said, 1)
		require.Contains(t, said[0], "the credentials are wrong (told so): put the right ones into store.credentials")
		require.Equal(t, "credentials", w.Health().State)
		put(5, trouble(upload.Clock))
		require.Len(t, lines(), 1)
		put(5, nil)
		require.Len(t, lines(), 1)
		for range 3 {
			put(1, trouble(upload.Throttled))
			put(1, nil)
		}
		put(3, trouble(upload.Conflict))
		require.Empty(t, lines())
		for range 30 {
			put(1, trouble(upload.Unreachable))
			time.Sleep(time.Second) //nolint:forbidigo // simulated
		}
		put(1, trouble(upload.TimedOut))
		require.Len(t, lines(), 1)
	})
}
