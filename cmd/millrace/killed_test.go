package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// eight is a configuration of eight cameras: H.264 with AAC that are made as they run, H.264 with
// B-frames and H.265, both with AAC, from files that play in real time.
func eight(t *testing.T, dir string) {
	t.Helper()
	film := func(name, codec string) string {
		path := filepath.Join(dir, name)
		packtest.Tool(t, "ffmpeg", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=6", "-f", "lavfi", "-i", "sine=frequency=440:duration=6",
			"-c:v", codec, "-preset", "ultrafast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p", "-tag:v", map[string]string{"libx264": "avc1", "libx265": "hvc1"}[codec],
			"-x265-params", "log-level=error", "-c:a", "aac", "-ar", "48000", path)
		return "file://" + path + "?loop=1&pace=live"
	}
	var b strings.Builder
	b.WriteString("data: rec\ndefaults: {record: {segment_duration: 3s}, live: {enabled: false}}\nchannels:\n")
	for i := range 4 {
		fmt.Fprintf(&b, "  - {name: s%d, source: 'synth://?size=320x180&rate=25&gop=%d&audio=aac'}\n", i, 10+5*i)
	}
	h264, h265 := film("h264.mp4", "libx264"), film("h265.mp4", "libx265")
	for i, url := range []string{h264, h264, h265, h265} {
		fmt.Fprintf(&b, "  - {name: f%d, source: '%s'}\n", i, url)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(b.String()), 0o600))
}

// monotonic is the clock that recordings are measured by.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano()
}

// left is a file as a killed program left it.
type left struct {
	path  string
	size  int64
	index *pack.Index
	note  record.Segment
	done  bool // the journal says that it was closed
}

// leavings reads every file that was not looked at before. An open file's end may be no fragment.
func leavings(t *testing.T, dir string, seen map[string]bool) map[string][]left {
	t.Helper()
	all := map[string][]left{}
	paths, err := filepath.Glob(filepath.Join(dir, "rec", "*", "*.mp4"))
	require.NoError(t, err)
	slices.Sort(paths)
	for _, path := range paths {
		if seen[path] {
			continue
		}
		seen[path] = true
		is, err := os.Stat(path)
		require.NoError(t, err)
		l := left{path: path, size: is.Size()}
		if l.index, err = pack.OpenIndex(path); err != nil { // killed in its very first write
			require.ErrorIs(t, err, pack.ErrCut, path)
		} else {
			require.NoError(t, l.index.Broken, path)
			require.NoError(t, json.Unmarshal(l.index.Note, &l.note), path)
		}
		channel := filepath.Base(filepath.Dir(path))
		l.done = entered(t, filepath.Dir(path), filepath.Base(path))
		all[channel] = append(all[channel], l)
	}
	return all
}

// R3, R6: a program that is killed at any instant loses at most 1.5 s of each camera, every file
// plays, and the next start says what it found.
func TestKilledAtAnyInstant(t *testing.T) {
	trials := 3
	if os.Getenv("MILLRACE_TORTURE") != "" {
		trials = 200
	}
	dir := t.TempDir()
	eight(t, dir)
	seen := map[string]bool{}
	var worst time.Duration
	repaired := 0
	before := map[string][]left{}
	for trial := range trials {
		r := start(t, dir, "run", "--config", "m.yml", "--listen", "127.0.0.1:0", "--rtsp", "127.0.0.1:0")
		settled(t, r, dir, seen)
		repaired += reported(t, r, before)
		pause(time.Duration(rand.Int64N(int64(4 * time.Second))))
		killed := monotonic(t)
		require.NoError(t, r.cmd.Process.Kill())
		_ = r.cmd.Wait() //nolint:errcheck // it was killed
		before = leavings(t, dir, seen)
		require.Len(t, before, 8, "trial %d: every camera has recorded", trial)
		for channel, files := range before {
			worst = max(worst, missing(t, files, killed))
			require.LessOrEqual(t, missing(t, files, killed), 1500*time.Millisecond, "trial %d, channel %s: %s", trial, channel, files[len(files)-1].path)
			for _, f := range files {
				if f.index != nil {
					packtest.Tool(t, "ffprobe", "-show_format", f.path)
					packtest.Tool(t, "ffmpeg", "-xerror", "-i", f.path, "-map", "0", "-f", "null", "-")
				}
			}
		}
	}
	t.Logf("%d kills over 8 channels: at most %s missing, %d files repaired", trials, worst.Round(time.Millisecond), repaired)
}

func pause(d time.Duration) { <-time.After(d) }

// entered says whether a channel's journal has a file as closed.
func entered(t *testing.T, dir, file string) bool {
	t.Helper()
	pieces, err := filepath.Glob(filepath.Join(dir, "journal-*.jsonl"))
	require.NoError(t, err)
	for _, piece := range pieces {
		text, err := os.ReadFile(piece)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"kind":"closed"`) && strings.Contains(line, `"file":"`+file+`"`) && strings.HasSuffix(line, "\n") {
				return true
			}
		}
	}
	return false
}

// settled waits until every camera has a file of this run with a fragment in it.
func settled(t *testing.T, r *running, dir string, seen map[string]bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		channels := map[string]bool{}
		paths, err := filepath.Glob(filepath.Join(dir, "rec", "*", "*.mp4"))
		require.NoError(t, err)
		for _, path := range paths {
			if seen[path] {
				continue
			}
			if x, err := pack.OpenIndex(path); err == nil && len(x.Fragments) > 0 {
				channels[filepath.Dir(path)] = true
			}
		}
		return len(channels) == 8
	}, waitLong, waitStep, &r.err)
}

// missing is how much of a camera's last second is in no file.
func missing(t *testing.T, files []left, killed int64) time.Duration {
	t.Helper()
	for _, f := range slices.Backward(files) {
		if f.index != nil {
			return time.Duration(killed - f.note.Start.Add(f.index.Length()).Mono)
		}
	}
	t.Fatal("no file has a fragment")
	return 0
}

// reported compares what a start says of the files that the program before it left open with
// what was found in them, and returns how many there were.
func reported(t *testing.T, r *running, before map[string][]left) (n int) {
	t.Helper()
	for _, files := range before {
		last := files[len(files)-1]
		if last.done { // there was nothing to repair
			require.Equal(t, last.size, last.index.Whole)
			continue
		}
		is, err := os.Stat(last.path)
		if last.index == nil {
			require.ErrorIs(t, err, os.ErrNotExist)
			require.Contains(t, r.err.String(), last.path+": removed")
			n++
			continue
		}
		require.NoError(t, err)
		require.Equal(t, last.index.Whole, is.Size(), "%s is cut back to its last whole fragment", last.path)
		cut := fmt.Sprintf("%d bytes behind the last whole fragment cut off", last.size-last.index.Whole)
		if last.size == last.index.Whole {
			cut = "it was whole"
		}
		frames := make([]int, 0, len(last.index.Tracks))
		for i := range last.index.Tracks {
			frames = append(frames, len(last.index.Tracks[i].Samples))
		}
		says := fmt.Sprintf("%s: %s, %d bytes, frames %v; %s", last.path, last.index.Length(), last.index.Whole, frames, cut)
		require.Contains(t, r.err.String(), strings.TrimPrefix(says, filepath.Dir(filepath.Dir(filepath.Dir(last.path)))+"/"))
		n++
	}
	return n
}
