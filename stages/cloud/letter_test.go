package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/cloud"
)

// post posts what a name and a text say, and returns where its end will be.
func (s *site) post(ctx context.Context, name, text string) chan error {
	s.t.Helper()
	done := make(chan error, 2)
	s.ch.Post(ctx, cloud.Letter{Name: name, Body: io.NewSectionReader(strings.NewReader(text), 0, int64(len(text)))}, func(err error) { done <- err })
	return done
}

// end is what a letter's end was, within a day.
func end(t *testing.T, done chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(24 * time.Hour):
	}
	require.Fail(t, "nobody was told")
	return nil
}

func message(n int) string { return fmt.Sprintf("event-%d-20270101T0000%02d.000Z-motion.json", n, n) }

func picture(n int) string { return fmt.Sprintf("event-%d-20270101T0000%02d.500Z-motion.jpg", n, n) }

// posted are the events of what the store was given of a kind, in the order of the attempts.
func (b *bucket) posted(kind string) (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range b.puts {
		if name, ok := strings.CutPrefix(key, "gate/events/event-"); ok && strings.HasSuffix(name, kind) {
			all = append(all, name[:strings.IndexByte(name, '-')]+filepath.Ext(name))
		}
	}
	return all
}

// letters are the files of messages and pictures in a spool.
func letters(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "gate", "letters", "*"))
	require.NoError(t, err)
	return all
}

// kill ends a site as far as its files go, as a kill does.
func (s *site) kill() cloud.Left {
	s.t.Helper()
	left, err := s.cloud.Exit(s.t.Context(), true)
	require.NoError(s.t, err)
	require.NoError(s.t, s.branch.Close())
	return left
}

var errBlocked = errors.New("the credentials are wrong")

// Issue 5, must show 9: a store that cannot be used costs no message: they wait, on disk where
// there is a spool, and go up in order, messages first, when it is put right; with nothing else done.
func TestLettersWaitForAStoreThatIsPutRight(t *testing.T) {
	for _, spool := range []bool{true, false} {
		t.Run(fmt.Sprintf("spool %t", spool), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				b := newBucket()
				b.fault = func(string) error { return errBlocked }
				s := start(t, b, cloud.Config{Dir: dir, Spool: spool}, cloud.ChannelConfig{})
				var ends []chan error
				for n := 1; n <= 6; n++ {
					ends = append(ends, s.post(t.Context(), picture(n), "a picture"), s.post(t.Context(), message(n), "a message"))
				}
				time.Sleep(90 * time.Second) //nolint:forbidigo // of the bubble
				if spool {
					require.Len(t, letters(t, dir), 12)
				}
				st := s.cloud.Status()
				require.Equal(t, 12, st.Channels[0].WaitingLetters)
				require.Equal(t, errBlocked.Error(), st.Channels[0].Why)
				b.set(func(b *bucket) { b.fault, b.puts = nil, nil })
				time.Sleep(time.Minute) //nolint:forbidigo // of the bubble
				require.Equal(t, strings.Fields("1.json 2.json 3.json 4.json 5.json 6.json"), b.posted(".json"))
				require.Equal(t, strings.Fields("1.jpg 2.jpg 3.jpg 4.jpg 5.jpg 6.jpg"), b.posted(".jpg"))
				for _, one := range ends {
					require.NoError(t, end(t, one))
					require.Empty(t, one, "told once")
				}
				require.Empty(t, letters(t, dir))
				require.Equal(t, "a message", b.object("gate/events/"+message(3)))
				require.Equal(t, cloud.EventClass, b.classes["gate/events/"+picture(3)])
				require.EqualValues(t, 12, s.ch.Status().Letters)
				s.exit()
			})
		})
	}
}

// C1: an exit, and a program that is killed, leave what was accepted in the spool; the next run
// brings it up in order, before what comes then, and once.
func TestLettersOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := newBucket()
		b.fault = down
		s := start(t, b, cloud.Config{Dir: dir, Spool: true}, cloud.ChannelConfig{})
		ends := []chan error{s.post(t.Context(), message(1), "one"), s.post(t.Context(), message(2), "two"), s.post(t.Context(), picture(1), "see")}
		left := s.kill()
		require.True(t, left.Spooled)
		require.Equal(t, []string{"gate/events/" + message(1), "gate/events/" + message(2), "gate/events/" + picture(1)}, left.Letters)
		for _, one := range ends {
			require.ErrorIs(t, end(t, one), cloud.ErrSpooled)
		}
		b.set(func(b *bucket) { b.puts = nil })
		next := start(t, b, cloud.Config{Dir: dir, Spool: true}, cloud.ChannelConfig{})
		after := next.post(t.Context(), message(3), "three")
		b.set(func(b *bucket) { b.fault, b.puts = nil, nil })
		next.exit()
		require.NoError(t, end(t, after))
		require.Equal(t, strings.Fields("1.json 2.json 3.json"), b.posted(".json"))
		require.Equal(t, strings.Fields("1.jpg"), b.posted(".jpg"))
		require.Empty(t, letters(t, dir))
		require.ErrorIs(t, end(t, next.post(t.Context(), message(4), "late")), cloud.ErrExited)
	})
}

// C8: who has waited long enough is told so; in the spool the picture waits on, in memory it is
// given up, and then nobody reads its file any more.
func TestALetterWhoseTimeIsOver(t *testing.T) {
	for _, spool := range []bool{true, false} {
		t.Run(fmt.Sprintf("spool %t", spool), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				b := newBucket()
				b.stop = make(chan struct{})
				s := start(t, b, cloud.Config{Dir: dir, Spool: spool}, cloud.ChannelConfig{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := end(t, s.post(ctx, picture(1), "see"))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, spool, errors.Is(err, cloud.ErrSpooled))
				close(b.stop)
				s.exit()
				require.Equal(t, spool, b.object("gate/events/"+picture(1)) == "see")
			})
		})
	}
}

// forGood is what a store says that will never take an object.
type forGood struct{}

func (forGood) Error() string { return "too large" }
func (forGood) Refused() bool { return true }

// What the store will never take is given up at once; what only fails is tried again, and passed
// over in the end where the store takes others.
func TestALetterThatTheStoreDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.fault = func(key string) error {
			switch {
			case strings.HasSuffix(key, message(1)):
				return forGood{}
			case strings.HasSuffix(key, message(2)):
				return errors.New("an error inside")
			}
			return nil
		}
		s := start(t, b, cloud.Config{Dir: t.TempDir(), Spool: true}, cloud.ChannelConfig{})
		refused := s.post(t.Context(), message(1), "one")
		require.ErrorIs(t, end(t, refused), cloud.ErrGivenUp)
		fails := s.post(t.Context(), message(2), "two")
		time.Sleep(time.Hour) //nolint:forbidigo // of the bubble
		require.NoError(t, end(t, s.post(t.Context(), message(3), "three")))
		require.Empty(t, fails)
		require.EqualValues(t, 1, s.ch.Status().LettersDropped)
		require.Contains(t, s.log.String(), "too large")
		b.set(func(b *bucket) { b.fault = nil })
		require.NoError(t, end(t, fails))
		s.exit()
	})
}

// The order of sacrifice in the spool (docs/disk.md): packages in no event, packages of events,
// pictures, messages; the oldest first, each told.
func TestSacrificeInTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := newBucket()
		b.fault = down
		s := start(t, b, cloud.Config{Dir: dir, Spool: true, SpoolBytes: 1_000_000}, cloud.ChannelConfig{FullTime: true, Event: true})
		now := s.clock.Mono()
		s.tell(cloud.Window{Event: 1, Part: 1, From: now, To: now + int64(3*time.Second), Over: true}, func(error) {})
		s.film(9) // a package of the event, one that is in none
		told := s.post(t.Context(), message(1), "a message")
		pictures := []chan error{s.post(t.Context(), picture(1), "picture 1"), s.post(t.Context(), picture(2), "picture 2")}
		synctest.Wait() // nothing is under way
		rest, events := s.cloud.Spooled()
		require.Positive(t, rest)
		require.Greater(t, events, int64(len("a message picture 1")))
		require.Equal(t, rest, s.cloud.GiveUp(1<<40, false), "what is in no event")
		require.Len(t, files(t, dir), 1)
		require.Zero(t, s.cloud.GiveUp(1<<40, false))
		require.Positive(t, s.cloud.GiveUp(1, true))
		require.Empty(t, files(t, dir))
		require.True(t, s.lost[1].Event && !s.lost[0].Event, "%+v", s.lost)
		require.Len(t, letters(t, dir), 3)
		s.post(t.Context(), picture(3), strings.Repeat("x", 999_980)) // with the message and a picture a million
		require.ErrorIs(t, end(t, pictures[0]), cloud.ErrGivenUp)
		require.Empty(t, pictures[1], "there is room for it")
		require.Len(t, letters(t, dir), 3)
		require.Positive(t, s.cloud.GiveUp(1<<40, true))
		require.ErrorIs(t, end(t, told), cloud.ErrGivenUp)
		require.Empty(t, letters(t, dir))
		_, events = s.cloud.Spooled()
		require.Zero(t, events)
		s.kill()
	})
}

// Memory and spool are bounded in number too: the oldest picture goes first.
func TestTooManyLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.fault = down
		s := start(t, b, cloud.Config{}, cloud.ChannelConfig{})
		see := s.post(t.Context(), picture(1), "see")
		first := s.post(t.Context(), message(1), "one")
		for n := range 254 {
			s.post(t.Context(), message(n), "more")
		}
		require.Empty(t, see)
		synctest.Wait() // none is under way
		s.post(t.Context(), message(2), "more")
		require.ErrorIs(t, end(t, see), cloud.ErrGivenUp)
		require.Empty(t, first)
		synctest.Wait()
		s.post(t.Context(), message(3), "more")
		require.ErrorIs(t, end(t, first), cloud.ErrGivenUp)
		require.Equal(t, 256, s.ch.Status().WaitingLetters)
		require.False(t, s.kill().Spooled)
	})
}

// Whatever lies in the spool's folder, the channel starts, leaves alone what is not its own, and
// brings up the rest.
func TestHostileSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		folder := filepath.Join(dir, "gate", "letters")
		require.NoError(t, os.MkdirAll(filepath.Join(folder, "000000000007~"+message(7)), 0o750))
		strange := []string{
			"x", "~", "000000000001~", "000000000001~event-1.txt", "1~" + message(1), "-00000000001~" + message(1), "99999999999999999999~" + message(1),
			"000000000001~event-\\..\\x.json", "000000000001~event-\n.json", "000000000001~" + "event-" + strings.Repeat("x", 200) + ".json", "000000000001~state.json",
		}
		for _, name := range strange {
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("?"), 0o600))
		}
		require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(folder, "000000000008~"+message(8))))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "000000000009~"+message(9)), nil, 0o600))
		require.NoError(t, os.Truncate(filepath.Join(folder, "000000000009~"+message(9)), 1<<30))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "000000000003~"+message(3)), []byte("a message"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, ".new-000000000004~"+message(4)), []byte("half a mess"), 0o600))
		b := newBucket()
		s := start(t, b, cloud.Config{Dir: dir, Spool: true}, cloud.ChannelConfig{})
		require.NoError(t, end(t, s.post(t.Context(), message(5), "another")))
		s.exit()
		require.Equal(t, strings.Fields("3.json 5.json"), b.posted(""))
		require.Len(t, letters(t, dir), len(strange)+3)
		require.Contains(t, s.log.String(), "it is left alone")
	})
}

// FuzzLetterName: what is taken for a letter comes from the same name, and its key is in its
// channel's folder.
func FuzzSpoolOfLetters(f *testing.F) {
	for _, name := range []string{"000000000003~" + message(3), "000000000003~event-..json", "~", "000000000003~event-a/../b.jpg"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, file string) {
		dir := t.TempDir()
		folder := filepath.Join(dir, "gate", "letters")
		require.NoError(t, os.MkdirAll(folder, 0o750))
		if strings.ContainsAny(file, "/\x00") || len(file) > 255 || os.WriteFile(filepath.Join(folder, file), []byte("x"), 0o600) != nil {
			t.Skip("no file can have that name")
		}
		b := newBucket()
		s := start(t, b, cloud.Config{Dir: dir, Spool: true}, cloud.ChannelConfig{})
		s.exit()
		for _, key := range b.keys("") {
			require.Equal(t, key, filepath.Clean(key))
			require.True(t, strings.HasPrefix(key, "gate/events/event-"), key)
		}
	})
}

// full is a folder on a disk of 1 MB. The test is skipped where none can be mounted.
func full(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// others is what else lies on a disk.
type others struct {
	asked []int64
	free  func() error
}

func (o *others) Reclaim(_ string, bytes int64) error {
	o.asked = append(o.asked, bytes)
	return o.free()
}

// R7: on a full disk others are asked for room first; where they have none the oldest of the
// spool goes, and what fits nowhere waits in memory.
func TestAFullDiskUnderTheSpool(t *testing.T) {
	dir := full(t)
	synctest.Test(t, func(t *testing.T) {
		ballast := filepath.Join(dir, "recording")
		require.NoError(t, os.WriteFile(ballast, make([]byte, 500<<10), 0o600))
		o := &others{free: func() error { return os.Remove(ballast) }}
		b := newBucket()
		b.fault = down
		s := start(t, b, cloud.Config{Dir: dir, Spool: true, Space: o}, cloud.ChannelConfig{})
		big := strings.Repeat("x", 300<<10)
		one, two := s.post(t.Context(), picture(1), big), s.post(t.Context(), picture(2), big)
		require.Len(t, letters(t, dir), 2)
		require.Equal(t, []int64{300 << 10}, o.asked, "the recording went")
		require.Empty(t, one)
		s.post(t.Context(), picture(3), big)
		require.Len(t, letters(t, dir), 3)
		require.Empty(t, one)
		synctest.Wait() // none is under way
		s.post(t.Context(), message(4), big)
		synctest.Wait()
		require.NotEmpty(t, one, s.log.String())
		require.Len(t, letters(t, dir), 3)
		require.ErrorIs(t, end(t, one), cloud.ErrGivenUp, "the oldest picture")
		require.Empty(t, two)
		require.ErrorContains(t, end(t, s.post(t.Context(), picture(5), strings.Repeat("x", 17<<20))), "at most")
		s.kill()
	})
}
