package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/flv/flvtest"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

const (
	filmed  = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=3"
	sounded = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=3"
	x264aac = "-c:v libx264 -preset veryfast -threads 1 -pix_fmt yuv420p -g 25 -bf 3 -c:a aac -b:a 64k"
	x265    = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:bframes=3:pools=1:frame-threads=1 -pix_fmt yuv420p"
)

// digests returns what ffmpeg makes of each frame of a stream: decoded pictures, or the packets as
// they are.
func digests(t *testing.T, file string, args ...string) []string {
	t.Helper()
	var all []string
	args = append(append([]string{"-v", "error", "-i", file}, args...), "-f", "framemd5", "-")
	for line := range strings.Lines(tool(t, "ffmpeg", args...)) {
		if fields := strings.Split(strings.TrimSpace(line), ","); !strings.HasPrefix(line, "#") {
			all = append(all, fields[len(fields)-1])
		}
	}
	return all
}

// same says that two files have the same pictures and the same sound, and that nothing is missing.
func same(t *testing.T, want, got string, pictures int, sounds bool) {
	t.Helper()
	sound(t, got)
	decoded := []string{"-map", "0:v", "-fps_mode", "passthrough"}
	all := digests(t, got, decoded...)
	require.Len(t, all, pictures)
	require.Equal(t, digests(t, want, decoded...), all)
	if sounds {
		packets := []string{"-map", "0:a", "-c", "copy"}
		pieces := digests(t, got, packets...)
		require.NotEmpty(t, pieces)
		require.Equal(t, digests(t, want, packets...), pieces)
	}
}

func films(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "x.flv")
	tool(t, "ffmpeg", append(strings.Fields("-v error "+filmed+" "+sounded+" "+x264aac), file)...)
	return file
}

// TestFLVOverHTTPIsStoredAsMP4: H6, R5, from ffmpeg's HTTP server, which sends chunks.
func TestFLVOverHTTPIsStoredAsMP4(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	film, at := films(t, dir), address(t)
	camera := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-re", "-i", film, "-c", "copy",
		"-listen", "1", "-f", "flv", "http://"+at+"/live.flv")
	require.NoError(t, camera.Start())
	r := start(t, dir, "record", "http://"+at+"/live.flv", "-o", "out.mp4", "--timeout", "60s")
	require.NoError(t, camera.Wait())
	require.Eventually(t, func() bool { return strings.Contains(r.err.String(), "the server ended the stream") }, waitLong, waitStep, "%s", &r.err)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	got := finish(t, r)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.err, " 0 lost")
	same(t, film, filepath.Join(dir, "out.mp4"), 75, true)
}

// TestADownloadOfFLVIsStoredAsMP4: H6, R5, with the length of the file and without chunks; it ends by itself.
func TestADownloadOfFLVIsStoredAsMP4(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	film := films(t, dir)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	got := call(t, dir, "record", server.URL+"/x.flv", "-o", "out.mp4")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.err, " 0 lost")
	same(t, film, filepath.Join(dir, "out.mp4"), 75, true)
}

// TestH265InFLVIsStoredAsMP4: H6, R5, in both ways H.265 is carried. Debian's ffmpeg writes neither,
// so it judges by the elementary stream that went in.
func TestH265InFLVIsStoredAsMP4(t *testing.T) {
	t.Parallel()
	clip := packtest.Encode(t, strings.Fields(filmed+" "+x265)...)
	dir := t.TempDir()
	elementary := filepath.Join(dir, "x.h265")
	set := clip.Stream.Tracks[0]
	file, err := os.Create(elementary)
	require.NoError(t, err)
	write := func(unit []byte) {
		_, err := file.Write(slices.Concat([]byte{0, 0, 0, 1}, unit))
		require.NoError(t, err)
	}
	write(set.VPS)
	write(set.SPS)
	write(set.PPS)
	for _, u := range clip.Units {
		for walk := nal.Prefixed(u.Bytes); ; {
			unit, ok := walk.Next()
			if !ok {
				break
			}
			write(unit)
		}
	}
	require.NoError(t, file.Close())
	for _, way := range []string{flvtest.Legacy, flvtest.Enhanced, flvtest.Timeless} {
		t.Run(way, func(t *testing.T) {
			m := flvtest.Muxer{Way: way, Stream: clip.Stream}
			out := slices.Concat(flvtest.Header(1), m.Config(set))
			for _, u := range clip.Units {
				out = append(out, m.Frame(u.Track, u.DTS, u.PTS, u.Key, u.Bytes)...)
			}
			here := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(here, "x.flv"), out, 0o600))
			server := httptest.NewServer(http.FileServer(http.Dir(here)))
			defer server.Close()
			got := call(t, here, "record", server.URL+"/x.flv", "-o", "out.mp4")
			require.Zero(t, got.code, got.err)
			require.Contains(t, got.err, " 0 lost")
			same(t, elementary, filepath.Join(here, "out.mp4"), 75, false)
		})
	}
}

// TestAnFLVServerThatBreaksOffIsAskedAgain: H6, P8. Nothing of what came is missing on either side of the gap.
func TestAnFLVServerThatBreaksOffIsAskedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	film := films(t, dir)
	content, err := os.ReadFile(film)
	require.NoError(t, err)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 2 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.(http.Flusher).Flush() // chunks, then
		_, _ = w.Write(content)
		panic(http.ErrAbortHandler) // not their end
	}))
	t.Cleanup(server.Close)
	r := start(t, dir, "record", strings.Replace(server.URL, "://", "://viewer:"+secret+"@", 1)+"/live.flv", "-o", "out.mp4")
	require.Eventually(t, func() bool { return asked.Load() > 2 }, waitLong, waitStep, "%s", &r.err)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	got := finish(t, r)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.err, "the server closed the connection after")
	same(t, film, filepath.Join(dir, "out.mp4"), 75, true)
	same(t, film, filepath.Join(dir, "out-2.mp4"), 75, true)
}
