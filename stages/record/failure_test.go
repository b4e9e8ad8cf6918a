package record_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// fragmentEnds returns where the head and each fragment of a file end.
func fragmentEnds(t *testing.T, file []byte) []int {
	t.Helper()
	var ends []int
	for at := 0; at < len(file); {
		size := int(file[at])<<24 | int(file[at+1])<<16 | int(file[at+2])<<8 | int(file[at+3])
		name := string(file[at+4 : at+8])
		at += size
		if name == "moov" || name == "mdat" {
			ends = append(ends, at)
		}
	}
	require.Equal(t, len(file), ends[len(ends)-1])
	return ends
}

func TestAfterAKillWholeFragmentsPlay(t *testing.T) { // R3
	c := pictures(t, true)
	g := recorder(t, record.Config{FragmentDuration: 500 * time.Millisecond})
	g.feed(c, nil)
	before := g.files()[0] // as kill -9 would leave it: nothing is flushed
	whole, err := os.ReadFile(before)
	require.NoError(t, err)
	ends := fragmentEnds(t, whole)
	require.GreaterOrEqual(t, len(ends), 6)
	require.Greater(t, packtest.Plays(t, before, 0), 75-13-1, "less than a fragment is missing")

	var parts fmp4.Parts
	require.NoError(t, parts.Unmarshal(whole))
	pictures := 0
	for k, part := range parts {
		pictures += len(part.Tracks[0].Samples)
		end := ends[k+1]
		cuts := []int{end + 1, end + 8, end + 100}
		if k+2 < len(ends) {
			cuts = append(cuts, ends[k+2]-1)
		}
		for _, cut := range cuts {
			if cut > len(whole) {
				continue
			}
			path := filepath.Join(t.TempDir(), "cut.mp4")
			left := slices.Clone(whole[:cut])
			copy(left[end:], "\x00\x00\x00\x00free") // until a fragment is whole, it is called so
			require.NoError(t, os.WriteFile(path, left, 0o600))
			require.GreaterOrEqual(t, pictured(t, path), pictures, "cut at %d of %d", cut, len(whole))
		}
	}
	g.close()
}

// pictured is how many pictures ffprobe finds in a file that may end anywhere.
func pictured(t *testing.T, path string) int {
	t.Helper()
	n := 0
	for _, p := range packtest.ProbeBroken(t, path) {
		if p.Track == 0 {
			n++
		}
	}
	return n
}

func TestAWriteThatFailsLeavesWholeFragments(t *testing.T) { // R3
	c := pictures(t, true)
	g := recorder(t, record.Config{})
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var failed error
	most := uint64(0)
	for i := range c.Units {
		if most == 0 && g.stats().Fragments == 1 { // no file grows much beyond its first fragment
			most = g.stats().Bytes + 5000
		}
		work := func() { failed = g.r.Work(t.Context(), g.frame(c, i)) }
		if most == 0 {
			work()
		} else {
			atMost(t, most, work)
		}
		if failed != nil {
			break
		}
	}
	require.ErrorIs(t, failed, syscall.EFBIG)
	require.ErrorContains(t, failed, "set a smaller segment size")
	files := g.close()
	require.Len(t, files, 1)
	require.ErrorContains(t, failed, files[0])
	whole, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Len(t, fragmentEnds(t, whole), 2, "the head and the fragment before")
	require.EqualValues(t, len(whole), g.stats().Bytes)
	require.InDelta(t, 25, plays(t, files), 1)
}

// atMost limits what this process may make a file grow to, while it does something.
func atMost(t *testing.T, bytes uint64, do func()) {
	t.Helper()
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: old.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &old)) }()
	do()
}

func TestAFullDiskIsAClearErrorAndLeavesNothingHeld(t *testing.T) { // A3
	c := pictures(t, true)
	path := filepath.Join(t.TempDir(), "full.mp4")
	require.NoError(t, os.Symlink("/dev/full", path))
	g := rigged(t, record.File(path, record.Config{}), filepath.Dir(path))
	var failed error
	for i := range c.Units {
		if failed = g.r.Work(t.Context(), g.frame(c, i)); failed != nil {
			break
		}
	}
	require.ErrorIs(t, failed, syscall.ENOSPC)
	require.ErrorContains(t, failed, path)
	require.ErrorContains(t, failed, "delete old recordings")
	g.close()
	_, err := os.Lstat("/dev/full")
	require.NoError(t, err, "a device is no file to be removed")

	require.NoError(t, g.r.Open(t.Context(), g.env()), "the branch starts again")
	g.feed(c, nil)
	require.Len(t, g.close(), 2, "and what comes next does not overwrite what was there")
}

func TestOpenSaysWhereItCannotWrite(t *testing.T) { // A3, P4
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, tc := range map[string]struct {
		r    *record.Recorder
		want string
	}{
		"a file in the way":            {record.To(file, record.Config{}), "record to " + file + ": not a directory"},
		"a file in the way of a file":  {record.File(filepath.Join(file, "a.mp4"), record.Config{}), "choose another name"},
		"a device that takes no files": {record.To("/proc/x", record.Config{}), "/proc/x"},
		"fragments that are too short": {record.To(dir, record.Config{FragmentDuration: 1}), "at least 10ms"},
		"files shorter than fragments": {record.To(dir, record.Config{SegmentDuration: time.Millisecond}), "a file is at least as long"},
		"a negative duration":          {record.File(dir, record.Config{Duration: -1}), "0 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &rig{t: t, r: tc.r, clock: hal.NewClock()}
			err := tc.r.Open(t.Context(), g.env())
			require.ErrorContains(t, err, tc.want)
			require.NoError(t, tc.r.Close())
		})
	}
}

func TestADirectoryThatWasRemovedIsMadeAgain(t *testing.T) {
	c := pictures(t, false)
	g := recorder(t, record.Config{})
	require.NoError(t, os.RemoveAll(g.dir))
	g.feed(c, nil)
	require.Equal(t, 75, plays(t, g.close()))
}

func TestCloseWithoutFlushGivesEverythingBack(t *testing.T) { // P4: the axe
	c := pictures(t, true)
	g := recorder(t, record.Config{})
	g.feed(c, nil)
	require.NoError(t, g.r.Close())
	require.Zero(t, g.arena.Stats().Held)
	require.Positive(t, plays(t, g.files()))
	require.NoError(t, g.r.Close(), "a second call is harmless")
}

func TestThereIsNeverAFileWithoutAPicture(t *testing.T) {
	c := pictures(t, true)
	g := recorder(t, record.Config{})
	g.feed(c, func(_ int, u packtest.Unit) bool { return !u.Key || u.Track == 1 })
	require.Empty(t, g.close())
	require.Zero(t, g.stats().Segments)
	require.EqualValues(t, len(c.Units)-3, g.stats().Skipped)
}

func TestTheLogHasALineAFile(t *testing.T) {
	c := pictures(t, true)
	g := recorder(t, record.Config{SegmentDuration: time.Second})
	g.feed(c, nil)
	g.close()
	require.Equal(t, 3, strings.Count(g.log.String(), "\n"), g.log.String())
	require.Equal(t, 3, strings.Count(g.log.String(), "channel=gate"), "named once a line, by whoever gives the logger")
}
