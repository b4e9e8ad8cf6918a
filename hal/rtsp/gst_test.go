package rtsp_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

// recording is what a source gave from its opening to its end.
type recording struct {
	stream *hal.Stream
	tracks [][]shot
	stats  hal.SourceStats
	err    error
}

// record opens a source and reads it to its end. Every buffer goes home.
func record(ctx context.Context, address string) (r recording) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil {
		return recording{err: err}
	}
	src, err := rtsp.Driver{}.Open(ctx, u, hal.Options{})
	if err != nil {
		return recording{err: err}
	}
	defer func() { r.err = errors.Join(r.err, src.Close()) }()
	r.stream = src.Stream()
	r.tracks = make([][]shot, len(r.stream.Tracks))
	for {
		f, err := src.Read(ctx)
		if rep, ok := src.(hal.Reporter); ok {
			r.stats = rep.SourceStats()
		}
		switch {
		case errors.Is(err, hal.ErrNoSignal) && strings.Contains(err.Error(), "RTCP BYE"):
			return r
		case err != nil:
			r.err = err
			return r
		case f.Stream != r.stream:
			r.err = errors.New("the stream changed although its parameters did not")
			return r
		}
		r.tracks[f.Track] = append(r.tracks[f.Track], shot{f.Stamp, f.Key, f.Gap, slices.Clone(f.Buf.Bytes())})
		f.Release()
	}
}

// recordAll records many addresses at once.
func recordAll(t *testing.T, addresses []string) []recording {
	t.Helper()
	out := make([]recording, len(addresses))
	var all sync.WaitGroup
	for i, a := range addresses {
		all.Go(func() { out[i] = record(t.Context(), a) })
	}
	all.Wait()
	return out
}

// check asserts what Must show 4 asks of a film that was received.
func check(t *testing.T, f film, r recording) {
	t.Helper()
	require.NoError(t, r.err)
	stream, tracks, stats := r.stream, r.tracks, r.stats
	require.Len(t, tracks, 2)
	video, audio := stream.Tracks[0], stream.Tracks[1]
	require.Equal(t, []int{320, 180 + 4*b2i(video.Codec == hal.MJPEG)}, []int{video.Width, video.Height})
	require.Zero(t, stats.Lost, "packets lost")
	require.Zero(t, stats.Malformed)

	require.Len(t, tracks[0], seconds()*filmRate, "pictures")
	require.True(t, tracks[0][0].key, "the first picture is a key frame")
	require.Zero(t, min(tracks[0][0].DTS, tracks[1][0].DTS), "the run starts at zero")
	for _, shots := range tracks {
		for i, s := range shots {
			require.False(t, s.gap, "frame %d", i)
			require.GreaterOrEqual(t, s.PTS, s.DTS)
			if i > 0 {
				require.GreaterOrEqual(t, s.DTS, shots[i-1].DTS, "frame %d", i)
			}
		}
	}
	seen, heard := flashes(t, video, tracks[0]), beeps(t, audio, tracks[1])
	t.Logf("%s: %d pictures, %d pieces of sound, flashes at %s, beeps at %s", f.name,
		len(tracks[0]), len(tracks[1]), names(seen), names(heard))
	require.Len(t, seen, seconds(), "flashes")
	require.Len(t, heard, seconds(), "beeps")
	for i := range seen {
		// At 25 a second the first white picture is the one at 0.52 s, the beep begins at 0.5 s.
		require.InDelta(t, 20, (seen[i] - heard[i]).Milliseconds(), 40, "sound beside picture %d", i)
		require.InDelta(t, (seen[0] + time.Duration(i)*time.Second).Milliseconds(), seen[i].Milliseconds(), 40, "picture %d", i)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestGStreamer: H4, P7, issue: a real RTSP server that is not ours, every codec over TCP, UDP and
// TLS with Digest; no frame lost, sound and picture within 40 ms.
func TestGStreamer(t *testing.T) {
	t.Parallel()
	mounts := shootAll(t)
	pem, der := certificate(t)
	plain := startServer(t, serverConfig{Mounts: mounts})
	secure := startServer(t, serverConfig{Mounts: mounts, TLS: pem, User: "viewer", Password: "s3cret word"})
	withPassword := strings.Replace(secure.url("/"), "rtsp://", "rtsps://viewer:s3cret%20word@", 1)
	var names, addresses []string
	var shown []film
	for _, f := range films() {
		for _, way := range [][2]string{
			{"tcp", plain.url("/"+f.name) + "?transport=tcp"},
			{"udp", plain.url("/"+f.name) + "?transport=udp"},
			{"tls and digest", withPassword + f.name + fmt.Sprintf("?tls-sha256=%x", sha256.Sum256(der))},
		} {
			names, addresses, shown = append(names, f.name+" over "+way[0]), append(addresses, way[1]), append(shown, f)
		}
	}
	for i, r := range recordAll(t, addresses) {
		t.Run(names[i], func(t *testing.T) { check(t, shown[i], r) })
	}
	require.EqualValues(t, len(names), plain.clients.Load()+secure.clients.Load(), "one connection a camera")
}

// TestMulticast: H4 over multicast. GStreamer's server does not share its multicast ports with
// others on the same host, so it gets a host of its own: two network namespaces with a cable
// between them. That needs root.
func TestMulticast(t *testing.T) {
	t.Parallel()
	const inside = "MILLRACE_RTSP_NETNS"
	if os.Getenv(inside) == "" {
		need(t, "unshare", "util-linux")
		need(t, "ip", "iproute2")
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), "unshare", "--net", self, "-test.run", "^TestMulticast$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		require.NoError(t, err, "a network namespace needs root")
		return
	}
	ip := func(args string) {
		out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", args, out)
	}
	mounts := shootAll(t)
	for path, m := range mounts {
		m.Multicast = true
		mounts[path] = m
	}
	const serverSide = `echo ready; read go; ip link set lo up; ip addr add 192.0.2.1/24 dev there; ` +
		`ip link set there up; ip route add 224.0.0.0/4 dev there; exec "$@"`
	server := startServer(t, serverConfig{
		Mounts: mounts, Address: "192.0.2.1",
		wrap: []string{"unshare", "--net", "sh", "-c", serverSide, "sh"},
		ready: func(pid int, stdin io.Writer) {
			ip("link set lo up")
			ip("link add here type veth peer name there")
			ip(fmt.Sprintf("link set there netns %d", pid))
			ip("addr add 192.0.2.2/24 dev here")
			ip("link set here up")
			ip("route add 224.0.0.0/4 dev here")
			_, err := io.WriteString(stdin, "go\n")
			require.NoError(t, err)
		},
	})
	var addresses []string
	for _, f := range films() {
		addresses = append(addresses, "rtsp://192.0.2.1:"+server.port+"/"+f.name+"?transport=multicast")
	}
	for i, r := range recordAll(t, addresses) {
		f := films()[i]
		t.Run(f.name, func(t *testing.T) { check(t, f, r) })
	}
}
