package record_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// book is a catalog that keeps what it is told.
type book struct{ entries []record.Entry }

func (b *book) Enter(e record.Entry) { b.entries = append(b.entries, e) }

// lines shows an account: o1 is file 1 opened, c1[1s] closed with its length, gap(1,paused,2s).
func (b *book) lines() string {
	var all []string
	for _, e := range b.entries {
		switch e.Kind {
		case record.Opened:
			all = append(all, fmt.Sprintf("o%d", e.Segment.Number))
		case record.Closed:
			all = append(all, fmt.Sprintf("c%d[%s]", e.Segment.Number, e.Segment.Length.Round(time.Millisecond)))
		case record.Missing:
			long := "?"
			if e.Gap.From != (record.Instant{}) {
				long = time.Duration(e.Gap.To.Mono - e.Gap.From.Mono).Round(time.Millisecond).String()
			}
			all = append(all, fmt.Sprintf("gap(%d,%s,%s)", e.Gap.After, e.Gap.Cause, long))
		case record.Merged:
			all = append(all, fmt.Sprintf("m%d%v", e.Segment.Number, e.Parts))
		}
	}
	return strings.Join(all, " ")
}

// balance asserts that the account has no hole and no overlap within one anchor.
func (b *book) balance(t *testing.T) {
	t.Helper()
	var at record.Instant
	var last uint64
	meets := func(what string, from record.Instant) {
		if at != (record.Instant{}) && from != (record.Instant{}) {
			require.InDelta(t, at.Mono, from.Mono, float64(20*time.Millisecond), "%s does not begin where what was before it ends: %s", what, b.lines())
		}
	}
	for _, e := range b.entries {
		switch e.Kind {
		case record.Missing:
			meets("a gap", e.Gap.From)
			at = e.Gap.To
		case record.Opened:
			if e.Segment.Number != last { // else it goes on, behind the gap
				meets("a file", e.Segment.Start)
			}
			last = e.Segment.Number
		case record.Closed:
			at = e.Segment.End()
		case record.Merged:
		}
	}
}

// live is a rig whose camera delivers in real time (of a synctest bubble).
type live struct {
	*rig
	book   *book
	clip   *packtest.Clip
	sent   time.Duration // DTS of the next lap
	at     int
	losses []pipeline.Loss
	wants  []bool
	marks  int
}

func filmed(t *testing.T, clip *packtest.Clip, cfg record.Config) *live {
	t.Helper()
	l := &live{book: &book{}, clip: clip}
	cfg.Catalog = l.book
	l.rig = &rig{t: t, dir: filepath.Join(t.TempDir(), "gate"), clock: hal.NewClock(), arena: pool.NewArena(pool.ArenaConfig{})}
	l.r = record.To(l.dir, cfg)
	l.open()
	return l
}

func (l *live) open() {
	l.t.Helper()
	env := l.env()
	env.Losses = func(since int64) []pipeline.Loss {
		var found []pipeline.Loss
		for _, o := range l.losses {
			if o.Mono >= since {
				found = append(found, o)
			}
		}
		return found
	}
	env.Want = func(on bool) { l.wants = append(l.wants, on) }
	env.Mark = func() { l.marks++ }
	env.Resume = func() {}
	require.NoError(l.t, l.r.Open(l.t.Context(), env))
}

// play delivers n frames at their times.
func (l *live) play(n int) {
	l.t.Helper()
	for range n {
		l.send(false)
	}
}

func (l *live) send(gap bool) {
	l.t.Helper()
	require.NoError(l.t, l.try(gap))
}

func (l *live) try(gap bool) error {
	if l.at == len(l.clip.Units) {
		l.at, l.sent = 0, l.sent+3*time.Second
	}
	l.offset = l.sent
	f := l.frame(l.clip, l.at)
	f.Gap = gap
	l.at++
	err := l.r.Work(l.t.Context(), f)
	pass(40 * time.Millisecond)
	return err
}

// lose lets time pass without a frame, and tells why.
func (l *live) lose(d time.Duration, why pipeline.LossKind, detail string) {
	l.losses = append(l.losses, pipeline.Loss{Mono: l.clock.Mono(), Why: why, Detail: detail})
	l.skipTo(d)
}

// skipTo passes time; the camera's frames of it are lost. It ends at a key frame.
func (l *live) skipTo(d time.Duration) {
	pass(d)
	l.sent += d
	for l.at%25 != 0 { // to the next key frame, which comes at once
		l.at++
		l.sent -= 40 * time.Millisecond
	}
}

func (l *live) mark(m pipeline.Mark) {
	l.t.Helper()
	require.NoError(l.t, l.r.Mark(l.t.Context(), m))
}

func pass(d time.Duration) { <-time.After(d) }

func TestEverySecondIsInAFileOrInAGapWithItsCause(t *testing.T) { // R6
	clip := pictures(t, false)
	for _, tc := range []struct {
		name string
		cfg  record.Config
		do   func(l *live)
		want string
	}{
		{
			"files that follow each other meet",
			record.Config{SegmentDuration: time.Second},
			func(l *live) { l.play(75) },
			"gap(0,starting,?) o1 c1[1s] o2 c2[1s] o3 c3[1s]",
		},
		{"a source that starts again", record.Config{}, func(l *live) {
			l.play(50)
			l.mark(pipeline.RunEnded)
			l.lose(7*time.Second, pipeline.LostSource, "connection refused")
			l.run++
			l.play(25)
		}, "gap(0,starting,?) o1 c1[2s] gap(1,source-lost,7s) o2 c2[1s]"},
		{"a source that takes over at once", record.Config{}, func(l *live) {
			l.play(50)
			l.mark(pipeline.RunEnded)
			l.lose(0, pipeline.LostSource, "no such device")
			l.run++
			l.play(25)
		}, "gap(0,starting,?) o1 c1[2s] gap(1,source-lost,0s) o2 c2[1s]"},
		{"paused", record.Config{}, func(l *live) {
			l.play(25)
			l.lose(3*time.Second, pipeline.LostPaused, "")
			l.send(true)
			l.play(24)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,paused,3s) o2 c2[1s]"},
		{"dropped", record.Config{}, func(l *live) {
			l.play(25)
			l.lose(time.Second, pipeline.LostDropped, "queue disk: full")
			l.send(true)
			l.play(24)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,dropped,1s) o2 c2[1s]"},
		{"lost, then paused", record.Config{}, func(l *live) {
			l.play(25)
			l.mark(pipeline.RunEnded)
			l.lose(2*time.Second, pipeline.LostSource, "no such device")
			l.lose(3*time.Second, pipeline.LostPaused, "")
			l.run++
			l.play(25)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,source-lost,2s) gap(1,paused,3s) o2 c2[1s]"},
		{"the ring overflows: what its queue dropped follows from it", record.Config{}, func(l *live) {
			l.play(25)
			l.losses = append(l.losses, pipeline.Loss{Mono: l.clock.Mono(), Why: pipeline.LostDropped})
			l.mark(pipeline.RingFull)
			l.lose(2*time.Second, pipeline.LostDropped, "queue disk: orphaned")
			l.send(true)
			l.play(24)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,ring-full,2s) o2 c2[1s]"},
		{"silence after a lost source is no cause of its own", record.Config{Resume: -1}, func(l *live) {
			l.play(25)
			l.mark(pipeline.RunEnded)
			l.lose(9*time.Minute, pipeline.LostSource, "stalled")
			l.mark(pipeline.Idled)
			l.run++
			l.play(25)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,source-lost,9m0s) o2 c2[1s]"},
		{"silence of which nobody knows why", record.Config{Resume: -1}, func(l *live) {
			l.play(25)
			l.skipTo(9 * time.Minute)
			l.mark(pipeline.Idled)
			l.send(true)
			l.play(24)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,idle,9m0s) o2 c2[1s]"},
		{"silence, and new data within the window goes on in the file", record.Config{}, func(l *live) {
			l.play(25)
			l.skipTo(9 * time.Minute)
			l.mark(pipeline.Idled)
			l.skipTo(50 * time.Second)
			l.run++
			l.play(25)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,idle,9m50s) o1 c1[9m52s]"},
		{"silence, and new data after it goes on in a new file", record.Config{}, func(l *live) {
			l.play(25)
			l.skipTo(9 * time.Minute)
			l.mark(pipeline.Idled)
			l.skipTo(61 * time.Second)
			l.play(25)
		}, "gap(0,starting,?) o1 c1[1s] gap(1,idle,10m1s) o2 c2[1s]"},
		{"stopped and started by command", record.Config{}, func(l *live) {
			l.play(50)
			l.r.StopRecording()
			l.mark(pipeline.Asked)
			l.lose(10*time.Second, pipeline.LostDropped, "nobody wants it")
			l.r.StartRecording()
			l.play(25)
		}, "gap(0,starting,?) o1 c1[2s] gap(1,stopped,10s) o2 c2[1s]"},
		{"the wall clock is stepped: a new file, and no gap", record.Config{}, func(l *live) {
			l.play(30)
			l.clock.Observe(l.clock.Mono(), l.clock.Now().Add(-time.Hour))
			l.play(45)
		}, "gap(0,starting,?) o1 c1[2s] o2 c2[1s]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := filmed(t, clip, tc.cfg)
				tc.do(l)
				plays(t, l.close())
				require.Equal(t, tc.want, l.book.lines())
				l.book.balance(t)
			})
		})
	}
}

func TestAGapSaysTheWords(t *testing.T) { // R6
	synctest.Test(t, func(t *testing.T) {
		l := filmed(t, pictures(t, false), record.Config{})
		l.play(25)
		l.mark(pipeline.RunEnded)
		l.lose(time.Second, pipeline.LostSource, "rtsp://gate/main: connection refused")
		l.run++
		l.play(25)
		l.close()
		require.Equal(t, "rtsp://gate/main: connection refused", l.book.entries[3].Gap.Detail)
	})
}

func TestARecordingOnCommandWaitsForIt(t *testing.T) { // R4
	synctest.Test(t, func(t *testing.T) {
		l := filmed(t, pictures(t, false), record.Config{OnCommand: true})
		require.Equal(t, []bool{false}, l.wants, "the branch asks for nothing")
		l.play(25)
		require.Equal(t, "stopped", l.stats().State)
		require.Empty(t, l.files())
		l.r.StartRecording()
		l.r.StartRecording()
		l.play(30)
		require.Equal(t, "recording", l.stats().State)
		l.r.StopRecording()
		l.r.StopRecording()
		require.Equal(t, 1, l.marks, "a second call is harmless")
		l.mark(pipeline.Asked)
		require.Equal(t, "stopped", l.stats().State)
		require.EqualValues(t, 1, l.stats().Ended)
		require.Len(t, l.close(), 1)
	})
}

func TestWhatIsReplayedIsNotRecordedTwice(t *testing.T) { // R4
	clip := pictures(t, false)
	synctest.Test(t, func(t *testing.T) {
		l := filmed(t, clip, record.Config{})
		l.play(35)
		l.r.StopRecording()
		l.mark(pipeline.Asked)
		l.r.StartRecording()
		l.at = 25 // the tee gives first what came since the last key frame
		l.play(50)
		files := l.close()
		require.Len(t, files, 2)
		require.Equal(t, 60, plays(t, files), "35, and from the next key frame on")
	})
}

// smallDisk mounts a file system of a few pages and returns a function that changes its size.
func smallDisk(t *testing.T, dir string, bytes int) func(bytes int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may mount")
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	size := func(n int) string { return fmt.Sprintf("size=%d", n) }
	require.NoError(t, unix.Mount("none", dir, "tmpfs", 0, size(bytes)))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); !errors.Is(err, unix.EINVAL) { // the test itself has
			require.NoError(t, err)
		}
	})
	return func(n int) { require.NoError(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, size(n))) }
}

func TestAFullDiskMakesRoomAndGoesOn(t *testing.T) { // R7
	clip := pictures(t, false)
	dir := filepath.Join(t.TempDir(), "disk")
	resize := smallDisk(t, dir, 32<<10)
	space := &reclaimer{lift: func() { resize(10 << 20) }}
	g := rigged(t, record.To(dir, record.Config{Space: space}), dir)
	g.feed(clip, nil)
	require.Equal(t, 75, plays(t, g.close()), "nothing is missing")
	require.Equal(t, 1, space.asked)
	require.Equal(t, dir, space.dir)
}

// reclaimer makes room when it is asked.
type reclaimer struct {
	asked int
	dir   string
	lift  func()
	err   error
}

func (s *reclaimer) Reclaim(dir string, _ int64) error {
	s.asked, s.dir = s.asked+1, dir
	if s.lift != nil {
		s.lift()
	}
	return s.err
}

var errNoMore = errors.New("nothing is left to delete")

func TestADiskThatStaysFullFailsAndIsTheCause(t *testing.T) { // R7, A3
	clip := pictures(t, false)
	dir := filepath.Join(t.TempDir(), "disk")
	resize := smallDisk(t, dir, 48<<10)
	synctest.Test(t, func(t *testing.T) {
		l := filmed(t, clip, record.Config{Space: &reclaimer{err: errNoMore}})
		l.dir = dir
		l.r = record.To(dir, record.Config{Space: &reclaimer{err: errNoMore}, Catalog: l.book})
		l.open()
		var failed error
		for failed == nil {
			failed = l.try(false)
		}
		require.ErrorIs(t, failed, syscall.ENOSPC)
		require.ErrorIs(t, failed, errNoMore)
		require.NoError(t, l.r.Close())
		l.skipTo(5 * time.Second)
		resize(10 << 20)
		l.open()
		l.play(50)
		plays(t, l.close())
		require.Regexp(t, `c1.* gap\(1,disk,.*\) o2`, l.book.lines())
		l.book.balance(t)
	})
}

func TestADiskThatWasTakenAwayIsNotWrittenBeside(t *testing.T) { // R7
	dir := filepath.Join(t.TempDir(), "disk")
	smallDisk(t, dir, 1<<20)
	g := rigged(t, record.To(filepath.Join(dir, "gate"), record.Config{}), dir)
	require.NoError(t, g.r.Close())
	require.NoError(t, unix.Unmount(dir, 0))
	err := g.r.Open(t.Context(), g.env())
	require.ErrorContains(t, err, "the disk that was here is gone")
	require.Empty(t, g.files())
	smallDisk(t, dir, 1<<20)
	require.NoError(t, g.r.Open(t.Context(), g.env()), "another disk in its place will do")
	require.NoError(t, g.r.Close())
}
