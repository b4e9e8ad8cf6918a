package flv_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/flv"
	"github.com/millrace-video/millrace/hal/flv/flvtest"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

const (
	secret  = "pa55word!"
	address = "http://u:" + secret + "@camera/live/x.flv?token=t0ken"
)

func TestMain(m *testing.M) {
	// Importing ants starts two goroutines for its default pool.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// wire is a connection on which everything that is sent has been sent already. Where it ends it is
// closed, or (open) nothing comes any more.
type wire struct {
	net.Conn

	r    *bytes.Reader
	open bool

	mu     sync.Mutex
	asked  bytes.Buffer
	passed chan struct{} // closed where the deadline has passed
	over   bool
	done   bool
}

func (w *wire) Read(p []byte) (int, error) {
	if n, err := w.r.Read(p); n > 0 || !w.open {
		return n, err
	}
	w.mu.Lock()
	passed := w.passed
	w.mu.Unlock()
	<-passed
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return 0, net.ErrClosed
	}
	return 0, os.ErrDeadlineExceeded
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked.Write(p)
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch past := t.Before(time.Now()); {
	case w.done:
		return net.ErrClosed
	case past && !w.over:
		close(w.passed)
		w.over = true
	case !past && w.over:
		w.passed, w.over = make(chan struct{}), false
	}
	return nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done && !w.over {
		close(w.passed)
	}
	w.done, w.over = true, true
	return nil
}

func newWire(answer []byte) *wire {
	return &wire{r: bytes.NewReader(answer), passed: make(chan struct{})}
}

// driver answers every connection with these bytes.
func driver(answer []byte) flv.Driver {
	return flv.Driver{Dial: func(context.Context, string, string) (net.Conn, error) { return newWire(answer), nil }}
}

const (
	ok10      = "HTTP/1.0 200 OK\r\nContent-Type: video/x-flv\r\n\r\n"
	okChunked = "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// closing is a body that ends with its connection, as HTTP/1.0 has it.
func closing(body []byte) []byte { return slices.Concat([]byte(ok10), body) }

// download is a body with its length.
func download(body []byte) []byte {
	return slices.Concat(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)), body)
}

// chunked is a body in chunks of these sizes, in turn.
func chunked(body []byte, sizes ...int) []byte {
	out := []byte(okChunked)
	for i := 0; len(body) > 0; i++ {
		n := min(sizes[i%len(sizes)], len(body))
		out = append(fmt.Appendf(out, "%x;ext=\"1\"\r\n", n), body[:n]...)
		out, body = append(out, "\r\n"...), body[n:]
	}
	return append(out, "0\r\nX-Trailer: 1\r\n\r\n"...)
}

func open(t testing.TB, d flv.Driver, rawURL string, opts hal.Options) *flv.Source {
	t.Helper()
	src, err := hal.NewRegistry(d).Open(t.Context(), rawURL, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	s, ok := src.(*flv.Source)
	require.True(t, ok)
	return s
}

// got is a frame as a test looks at it.
type got struct {
	Track    int
	Codec    hal.Codec
	DTS, PTS time.Duration
	Key, Gap bool
	Bytes    string
}

// all reads to the end and returns the error that it was.
func all(t testing.TB, s hal.Source) (frames []got, streams []*hal.Stream, err error) {
	t.Helper()
	for {
		f, err := s.Read(t.Context())
		if err != nil {
			return frames, streams, err
		}
		if len(streams) == 0 || streams[len(streams)-1] != f.Stream {
			streams = append(streams, f.Stream)
		}
		frames = append(frames, got{f.Track, f.Info().Codec, f.Stamp.DTS, f.Stamp.PTS, f.Key, f.Gap, string(f.Buf.Bytes())})
		f.Release()
	}
}

// brokenOff says that an error is that of a connection that broke off.
func brokenOff(t testing.TB, err error) {
	t.Helper()
	require.ErrorIs(t, err, hal.ErrNoSignal)
	require.NotErrorIs(t, err, io.EOF)
	require.NotContains(t, err.Error(), secret)
	require.NotContains(t, err.Error(), "t0ken")
}

// serve has Go's own server answer.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// broadcast is a camera that shows a clip over and over, in its own time.
func broadcast(c *packtest.Clip, way string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m := flvtest.Muxer{Way: way, Stream: c.Stream}
		last := c.Units[len(c.Units)-1]
		lap := max(last.End, last.PTS+time.Millisecond).Round(time.Millisecond) + time.Millisecond
		show := func(b []byte) bool {
			if _, err := w.Write(b); err != nil {
				return false
			}
			return http.NewResponseController(w).Flush() == nil
		}
		ok := show(flvtest.Header(flags(c)))
		for _, t := range c.Stream.Tracks {
			ok = ok && show(m.Config(t))
		}
		start := time.Now()
		for began := time.Duration(0); ok; began += lap {
			m.Base = uint32(began.Milliseconds())
			for _, u := range c.Units {
				due := time.NewTimer(time.Until(start.Add(began + u.DTS)))
				select {
				case <-r.Context().Done():
					due.Stop()
					return
				case <-due.C:
				}
				ok = ok && show(m.Frame(u.Track, u.DTS, u.PTS, u.Key, u.Bytes))
			}
		}
	}
}

var (
	clipMu sync.Mutex
	clips  = map[string]*packtest.Clip{}
)

// clip is what ffmpeg makes of these arguments, once for all tests.
func clip(t testing.TB, args string) *packtest.Clip {
	t.Helper()
	clipMu.Lock()
	defer clipMu.Unlock()
	if clips[args] == nil {
		clips[args] = packtest.Encode(t, strings.Fields(args)...)
	}
	return clips[args]
}

const (
	picture = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 "
	tone    = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=2 "
	x264    = "-c:v libx264 -preset veryfast -threads 1 -pix_fmt yuv420p -g 25 -bf 3 "
	x265    = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:bframes=3:pools=1:frame-threads=1 -pix_fmt yuv420p "
	aac     = "-c:a aac -b:a 64k "
	tiny    = "-f lavfi -i testsrc2=size=64x48:rate=10:duration=0.6 -f lavfi -i sine=sample_rate=8000:duration=0.6 " +
		"-c:v libx264 -threads 1 -g 3 -bf 1 -c:a aac -b:a 16k"
	tiny265 = "-f lavfi -i testsrc2=size=64x64:rate=10:duration=0.6 -c:v libx265 -x265-params log-level=none:keyint=3:bframes=1:pools=1:frame-threads=1:info=0"
	tinyAV1 = "-f lavfi -i testsrc2=size=64x64:rate=10:duration=0.6 -c:v libaom-av1 -cpu-used 8 -usage realtime -g 5"
)

// tags returns what stands behind the file header, a tag each: the sequence headers, then the frames.
func tags(m flvtest.Muxer, units []packtest.Unit) [][]byte {
	var out [][]byte
	for _, t := range m.Stream.Tracks {
		if c := m.Config(t); c != nil {
			out = append(out, c)
		}
	}
	for _, u := range units {
		out = append(out, m.Frame(u.Track, u.DTS, u.PTS, u.Key, u.Bytes))
	}
	return out
}

// film returns a clip as FLV.
func film(t testing.TB, c *packtest.Clip, way string) []byte {
	t.Helper()
	require.NotEmpty(t, c.Units)
	all := append([][]byte{flvtest.Header(flags(c))}, tags(flvtest.Muxer{Way: way, Stream: c.Stream}, c.Units)...)
	return slices.Concat(all...)
}

// flags are those of the file header that announce what a clip has.
func flags(c *packtest.Clip) (flags byte) {
	if c.Stream.Video() >= 0 {
		flags |= 1
	}
	if c.Stream.Audio() >= 0 {
		flags |= 4
	}
	return flags
}
