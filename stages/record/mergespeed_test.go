package record_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/stages/record"
)

// mergeIn names, for a process of its own, the directory whose parts it merges.
const mergeIn = "MILLRACE_TEST_MERGE_IN"

// partsFile is where a test leaves the list of parts for that process.
const partsFile = "parts.json"

// TestMergeInAProcessOfItsOwn is what the tests below measure and kill. It prints the most
// memory that was resident, how long the merge took, and how much of that made it durable.
func TestMergeInAProcessOfItsOwn(t *testing.T) {
	dir := os.Getenv(mergeIn)
	if dir == "" {
		t.Skip("run by other tests")
	}
	list, err := os.ReadFile(filepath.Join(dir, partsFile))
	require.NoError(t, err)
	var parts []record.Segment
	require.NoError(t, json.Unmarshal(list, &parts))
	begin := time.Now() //nolint:forbidigo // measures
	all, err := record.Merge(context.Background(), dir, parts, record.MergeOptions{})
	took := time.Since(begin) //nolint:forbidigo // measures
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Positive(t, all[0].Durable)
	require.LessOrEqual(t, all[0].Copied+all[0].Durable, took)
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, err = fmt.Fprintln(os.Stdout, "merged", took.Microseconds(), all[0].Durable.Microseconds(), strings.Fields(kb)[0])
			require.NoError(t, err)
		}
	}
}

// child runs the merge in dir in another process.
func child(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMergeInAProcessOfItsOwn$") //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), mergeIn+"="+dir)
	return cmd
}

// sixty makes a directory with 60 parts of together so many bytes, at least; each a recording of
// 4 Mbit/s with sound.
func sixty(t *testing.T, bytes int64) (dir string, parts []record.Segment) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "rec")
	one := filepath.Join(t.TempDir(), "one.mp4")
	frames := max(50, bytes/60/20_000)
	require.NoError(t, film(t.Context(), fmt.Sprintf("synth://?size=640x360&pace=fast&bitrate=4M&audio=aac&frames=%d", frames), record.File(one, record.Config{})))
	file, err := os.ReadFile(one)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for i := range 60 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%08d-20260101T000000Z.mp4", i+1)), file, 0o600))
	}
	parts = segments(t, dir)
	list, err := json.Marshal(parts)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, partsFile), list, 0o600))
	return dir, parts
}

// size is what a test does by default, and what in its long form.
func size(t *testing.T, short, long int64) int64 {
	t.Helper()
	if os.Getenv("MILLRACE_TORTURE") != "" {
		return long
	}
	return short
}

// report reads what the process says. Whatever did not make the merge durable counts as copying.
func report(t *testing.T, out []byte) (took pace, kb int) {
	t.Helper()
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "merged" {
			var n [3]int
			for i := range n {
				var err error
				n[i], err = strconv.Atoi(f[i+1])
				require.NoError(t, err)
			}
			all, durable := time.Duration(n[0])*time.Microsecond, time.Duration(n[1])*time.Microsecond
			return pace{all - durable, all}, n[2]
		}
	}
	t.Fatalf("it says nothing of the merge: %s", out)
	return pace{}, 0
}

// pace is how long it takes until all bytes can be read, and until they are durable too.
type pace struct{ copied, durable time.Duration }

// copied is how long cp takes for the parts, and cp and sync.
func copied(t *testing.T, dir string, parts []record.Segment) pace {
	t.Helper()
	to := filepath.Join(dir, "copy")
	require.NoError(t, os.Mkdir(to, 0o755))
	var from, made []string
	for _, p := range parts {
		from, made = append(from, filepath.Join(dir, p.File)), append(made, filepath.Join(to, p.File))
	}
	begin := time.Now() //nolint:forbidigo // measures
	run := func(name string, args ...string) time.Duration {
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		require.NoError(t, err, string(out))
		return time.Since(begin) //nolint:forbidigo // measures
	}
	took := pace{copied: run("cp", append(from, to)...)}
	took.durable = run("sync", append([]string{"-d"}, made...)...)
	require.NoError(t, os.RemoveAll(to))
	return took
}

// warm has the parts in memory and nothing waiting for the disk, before each of what is compared.
func warm(t *testing.T, dir string, parts []record.Segment) {
	t.Helper()
	for _, p := range parts {
		f, err := os.Open(filepath.Join(dir, p.File))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, struct{ io.Reader }{f})
		require.NoError(t, err)
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
	}
}

func median(all []pace, of func(pace) time.Duration) time.Duration {
	sorted := make([]time.Duration, 0, len(all))
	for _, p := range all {
		sorted = append(sorted, of(p))
	}
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

// Merge of 1 GB in 60 parts: under 30 MB of memory, and, in the long form, at most 1.25 times as
// long as cp of the same bytes until all of them are in place, and at most 1.25 times as long as
// cp and sync until the file is durable and has its name. They take turns; the medians count.
func TestAMergeIsAsFastAsACopyAndTakesLittleMemory(t *testing.T) { // R4
	dir, parts := sixty(t, size(t, 60<<20, 1<<30))
	most := 30_000
	if b, ok := debug.ReadBuildInfo(); ok && slices.Contains(b.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		most *= 4 // the race detector's own
	}
	final := filepath.Join(dir, strings.TrimSuffix(parts[0].File, ".mp4")+".merged.mp4")
	var merges, copies []pace
	for range size(t, 1, 9) {
		warm(t, dir, parts)
		out, err := child(t, dir).CombinedOutput()
		require.NoError(t, err, string(out))
		took, kb := report(t, out)
		require.Less(t, kb, most, "resident memory, kB")
		require.NoError(t, os.Remove(final))
		warm(t, dir, parts)
		merges, copies = append(merges, took), append(copies, copied(t, dir, parts))
		t.Logf("merged in %s, durable in %s, with %d kB; cp %s, and sync %s", took.copied, took.durable, kb,
			copies[len(copies)-1].copied, copies[len(copies)-1].durable)
	}
	if os.Getenv("MILLRACE_TORTURE") == "" {
		return
	}
	for what, of := range map[string]func(pace) time.Duration{
		"until all bytes are in place": func(p pace) time.Duration { return p.copied },
		"until they are durable":       func(p pace) time.Duration { return p.durable },
	} {
		merge, cp := median(merges, of), median(copies, of)
		t.Logf("%s: %s, %.2f times a copy's %s", what, merge, merge.Seconds()/cp.Seconds(), cp)
		assert.LessOrEqual(t, merge, cp*5/4, what)
	}
}

// A merge that is killed, at whatever instant, leaves the parts as they were, and of its own no
// file that is taken for a recording unless it is whole. What is then merged anew passes every
// judge.
func TestAKilledMergeLeavesThePartsWhole(t *testing.T) { // R4
	dir, parts := sixty(t, size(t, 30<<20, 1<<30))
	before := sums(t, dir, parts)
	name := strings.TrimSuffix(parts[0].File, ".mp4") + ".merged.mp4"
	temporary, final := filepath.Join(dir, "."+name+".part"), filepath.Join(dir, name)
	var total int64
	for _, p := range parts {
		total += p.Bytes
	}
	out, err := child(t, dir).CombinedOutput()
	require.NoError(t, err, string(out))
	took, _ := report(t, out)
	require.NoError(t, os.Remove(final))
	halves, whole := 0, 0
	for i := range size(t, 6, 50) {
		cmd := child(t, dir)
		require.NoError(t, cmd.Start())
		target := rand.Int64N(total * 3 / 2) //nolint:gosec // any instant will do
		require.Eventually(t, func() bool {
			if _, err := os.Stat(final); err == nil {
				return true
			}
			is, err := os.Stat(temporary)
			return err == nil && is.Size() > min(target, total)
		}, time.Minute, 100*time.Microsecond)
		if target > total { // then while it is made durable
			<-time.After(rand.N(took.durable - took.copied + 1)) //nolint:gosec // any instant will do
		}
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		require.Equal(t, before, sums(t, dir, parts), "round %d", i)
		if _, err := os.Stat(final); err == nil {
			whole++
			require.Equal(t, int64(60*len(indexOf(t, filepath.Join(dir, parts[0].File)).Tracks[0].Samples)), int64(len(indexOf(t, final).Tracks[0].Samples)))
			require.NoError(t, os.Remove(final))
		}
		if _, err := os.Stat(temporary); err == nil {
			halves++
		}
		require.NoError(t, record.CleanMerges(dir))
		require.NoFileExists(t, temporary)
	}
	require.Positive(t, halves, "none was killed in the midst")
	t.Logf("%d were killed in the midst, %d had just ended", halves, whole)

	out, err = child(t, dir).CombinedOutput()
	require.NoError(t, err, string(out))
	judged(t, dir, final, parts)
}

// judged has ffprobe, ffmpeg, mediainfo and Chromium look at a merged file.
func judged(t *testing.T, dir, path string, parts []record.Segment) {
	t.Helper()
	linear(t, path, parts, dir)
	x := indexOf(t, path)
	tool, err := exec.LookPath("mediainfo")
	if err != nil {
		t.Fatal("mediainfo is missing: apt-get install mediainfo")
	}
	out, err := exec.CommandContext(t.Context(), tool, "--Output=JSON", path).Output()
	require.NoError(t, err)
	var info struct {
		Media struct {
			Track []map[string]any `json:"track"`
		} `json:"media"`
	}
	require.NoError(t, json.Unmarshal(out, &info))
	require.NotContains(t, string(out), "Conformance")
	require.NotContains(t, string(out), "Truncated")
	require.Len(t, info.Media.Track, 3)
	require.Equal(t, "MPEG-4", info.Media.Track[0]["Format"])
	require.Equal(t, "Yes", info.Media.Track[0]["IsStreamable"])
	require.Equal(t, strconv.Itoa(len(x.Tracks[0].Samples)), info.Media.Track[1]["FrameCount"])
	require.Equal(t, "CFR", info.Media.Track[1]["FrameRate_Mode"])
	p := watched(t, path, 1.02, x.Length().Seconds()/2+0.02)
	require.Empty(t, p.Error)
	require.True(t, p.Ended)
	require.InDelta(t, x.Length().Seconds(), p.Duration, 0.1)
	require.Equal(t, 25, p.numbers[1.02])
}
