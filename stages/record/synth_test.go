package record_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

// film records what a source gives, until its end or the recording's.
func film(ctx context.Context, url string, r *record.Recorder) error {
	src, err := hal.NewRegistry(synth.Driver{}).Open(ctx, url, hal.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	if err = r.Open(ctx, pipeline.Env{Channel: "gate"}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		f, err := src.Read(ctx)
		if errors.Is(err, io.EOF) {
			return r.Flush(ctx)
		}
		if err != nil {
			return err
		}
		if err = r.Work(ctx, f); err != nil {
			return err
		}
		select {
		case <-r.Done():
			return nil
		default:
		}
	}
}

// shown are the numbers burnt into the pictures of a file, as ffmpeg decodes them.
func shown(t *testing.T, path string, w, h int) []uint32 {
	t.Helper()
	raw := packtest.Tool(t, "ffmpeg", "-xerror", "-i", path, "-map", "0:v", "-vsync", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-")
	var numbers []uint32
	for ; len(raw) >= w*h; raw = raw[w*h:] {
		n, ok := synth.ReadNumber(raw[:w*h], w, w, h)
		require.True(t, ok, "picture %d shows no number", len(numbers))
		numbers = append(numbers, n)
	}
	require.Empty(t, raw)
	return numbers
}

func TestEveryPictureIsThereOnceAndInOrder(t *testing.T) { // R3, H7
	for _, audio := range []string{"none", "aac", "pcma"} {
		t.Run(audio, func(t *testing.T) {
			dir := t.TempDir()
			url := "synth://?size=320x180&rate=25&codec=h264&gop=25&pace=fast&audio=" + audio
			one := filepath.Join(dir, "a.mp4")
			require.NoError(t, film(t.Context(), url, record.File(one, record.Config{Duration: 5 * time.Second})))
			require.Equal(t, upTo(125), shown(t, one, 320, 180))

			many := filepath.Join(dir, "many")
			require.NoError(t, film(t.Context(), url+"&frames=125", record.To(many, record.Config{SegmentDuration: 2 * time.Second})))
			files, err := filepath.Glob(filepath.Join(many, "*.mp4"))
			require.NoError(t, err)
			require.Len(t, files, 3)
			var all []uint32
			for _, path := range files {
				all = append(all, shown(t, path, 320, 180)...)
			}
			require.Equal(t, upTo(125), all)
		})
	}
}

func upTo(n uint32) []uint32 {
	all := make([]uint32, 0, n)
	for i := range n {
		all = append(all, i)
	}
	return all
}

// killed names the directory that the process to be killed records into.
const killed = "MILLRACE_TEST_RECORD_UNTIL_KILLED"

// TestMain is, in a process of its own, a recorder that is never told to stop.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killed); dir != "" {
		err := film(context.Background(), "synth://?size=640x360&gop=25&pace=fast&bitrate=20M&audio=pcma", record.To(dir, record.Config{SegmentBytes: 100 << 20}))
		panic(err)
	}
	m.Run()
}

func TestWhatAKilledProgramLeavesPlays(t *testing.T) { // R3
	trials := 3
	if os.Getenv("MILLRACE_TORTURE") != "" {
		trials = 100
	}
	for i := range trials {
		dir := filepath.Join(t.TempDir(), strconv.Itoa(i))
		cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test itself
		cmd.Env = append(os.Environ(), killed+"="+dir)
		require.NoError(t, cmd.Start())
		var files []string
		require.Eventually(t, func() bool { // it writes all the time: wherever it is killed it is busy
			files, _ = filepath.Glob(filepath.Join(dir, "*.mp4"))
			if len(files) == 0 {
				return false
			}
			is, err := os.Stat(files[0])
			return err == nil && is.Size() > int64(i%10+3)<<20
		}, time.Minute, time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		for _, path := range files {
			numbers := shown(t, path, 640, 360)
			require.Zero(t, len(numbers)%25, "whole fragments of a second") // less one frame that waits
			require.NotEmpty(t, numbers)
			for k, n := range numbers {
				require.Equal(t, numbers[0]+uint32(k), n)
			}
		}
	}
}
