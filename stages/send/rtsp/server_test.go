package rtsp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/stages/acquire"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// TestMain sees that no test leaves a goroutine behind. ants starts two for its default pool
// when it is imported.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// rig is a server with synthetic cameras.
type rig struct {
	t      *testing.T
	server *rtsp.Server
	eng    *pipeline.Engine
}

func newRig(t *testing.T, cfg rtsp.Config) *rig {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	r := &rig{t: t, server: rtsp.NewServer(cfg), eng: pipeline.NewEngine(pipeline.Config{Logger: cfg.Logger})}
	require.NoError(t, r.server.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, r.eng.Exit(ctx))
		require.NoError(t, r.server.Close(ctx))
	})
	return r
}

// camera starts a channel from a synthetic camera.
func (r *rig) camera(name, url string) *pipeline.Channel {
	r.t.Helper()
	def := pipeline.Define(name, acquire.From(hal.NewRegistry(synth.Driver{}), url)).
		Branch("live", rtsp.Limit(), r.server.Mount(name))
	ch, err := r.eng.Add(def)
	require.NoError(r.t, err)
	require.NoError(r.t, ch.Start())
	return ch
}

func (r *rig) url(path string) string { return fmt.Sprintf("rtsp://%s/%s", r.server.Addr(), path) }

// tool returns a program's path; a missing one fails the test with the Debian package to install.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install the Debian package %s", name, pkg)
	}
	return bin
}

// ffmpegNumbers plays a URL with ffmpeg and returns the burnt-in numbers of n pictures.
func ffmpegNumbers(t *testing.T, url, transport string, w, h, n int) []uint32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(t, "ffmpeg", "ffmpeg"), "-v", "error", "-nostdin", "-rtsp_transport", transport, "-i", url,
		"-map", "0:v", "-fps_mode", "passthrough", "-frames:v", fmt.Sprint(n), "-f", "rawvideo", "-pix_fmt", "gray", "-")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var numbers []uint32
	pic := make([]byte, w*h)
	for {
		if _, err := io.ReadFull(out, pic); err != nil {
			break
		}
		number, ok := synth.ReadNumber(pic, w, w, h)
		require.True(t, ok, "no number in picture %d", len(numbers))
		numbers = append(numbers, number)
	}
	require.NoError(t, cmd.Wait(), said.String())
	require.Empty(t, said.String(), "ffmpeg complains")
	return numbers
}

// consecutive fails where a number is missing or comes twice.
func consecutive(t *testing.T, numbers []uint32) {
	t.Helper()
	for i, n := range numbers {
		require.Equal(t, numbers[0]+uint32(i), n, "picture %d", i)
	}
}

func TestFFmpegPlaysEveryPicture(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rtsp.Config{})
			r.camera("gate", "synth://?size=320x240&rate=25&gop=25")
			numbers := ffmpegNumbers(t, r.url("gate"), transport, 320, 240, 50)
			require.Len(t, numbers, 50)
			consecutive(t, numbers)
		})
	}
}

func TestGStreamerPlaysEveryPicture(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rtsp.Config{})
			r.camera("gate", "synth://?size=320x240&rate=25&gop=25")
			const w, h, n = 320, 240, 40
			cmd := exec.CommandContext(t.Context(), tool(t, "gst-launch-1.0", "gstreamer1.0-tools"), "-q",
				"rtspsrc", "location="+r.url("gate"), "protocols="+transport, "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!",
				"videoconvert", "!", "video/x-raw,format=GRAY8", "!", "identity", fmt.Sprint("eos-after=", n+1), "!", "fdsink")
			var said bytes.Buffer
			cmd.Stderr = &said
			// How GStreamer leaves does not count: over UDP its PAUSE runs into its own TEARDOWN now and then.
			out, err := cmd.Output()
			require.Len(t, out, n*w*h, "%v %s", err, said.String())
			var numbers []uint32
			for ; len(out) > 0; out = out[w*h:] {
				number, ok := synth.ReadNumber(out, w, w, h)
				require.True(t, ok)
				numbers = append(numbers, number)
			}
			consecutive(t, numbers)
		})
	}
}

func stats(ch *pipeline.Channel) (own rtsp.MountStats, frames uint64) {
	for _, s := range ch.Status().Stages {
		if m, ok := s.Stats.(rtsp.MountStats); ok {
			return m, s.Frames
		}
	}
	return own, 0
}

// eventually waits until a condition holds that another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, time.Minute, 5*time.Millisecond, what)
}

func TestNobodyWatchingCostsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	ch := r.camera("gate", "synth://?size=160x112&rate=50&gop=10")
	eventually(t, "the camera runs", func() bool { return ch.Status().Stages[0].Frames > 50 })
	_, frames := stats(ch)
	require.Zero(t, frames, "frames reach a branch that nobody watches")

	p := dial(t, r.server.Addr().String())
	p.watch(r.url("gate"), 0, 1)
	p.pictures(20)
	own, _ := stats(ch)
	require.Equal(t, 1, own.Readers)
	require.Equal(t, 200, p.ask("TEARDOWN", r.url("gate")).status)
	eventually(t, "the player is gone", func() bool { own, _ := stats(ch); return own.Readers == 0 })
	// Nothing is pushed once the branch has left the tee: what is pushed is done after a while.
	eventually(t, "the queue is empty", func() bool { return ch.Status().Queues[0].Depth == 0 })
	pushed := ch.Status().Queues[0].Pushed
	before := ch.Status().Stages[0].Frames
	eventually(t, "the camera runs on", func() bool { return ch.Status().Stages[0].Frames > before+50 })
	require.Equal(t, pushed, ch.Status().Queues[0].Pushed, "frames go on to come")
}

func TestADescribeAloneKeepsNothingRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t, rtsp.Config{})
	ch := r.camera("gate", "synth://?size=160x112&rate=50&gop=10")
	p := dial(t, r.server.Addr().String())
	a := p.ask("DESCRIBE", r.url("gate"))
	require.Equal(t, 200, a.status)
	require.Contains(t, a.body, "sprop-parameter-sets=")
	pushed := ch.Status().Queues[0].Pushed
	before := ch.Status().Stages[0].Frames
	eventually(t, "the camera runs on", func() bool { return ch.Status().Stages[0].Frames > before+50 })
	require.Equal(t, pushed, ch.Status().Queues[0].Pushed)
}

func TestAPlayerStartsAtTheLastKeyFrameAtOnce(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 1} {
		t.Run(fmt.Sprintf("while %d watch", others), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rtsp.Config{})
			ch := r.camera("gate", "synth://?size=160x112&rate=25&gop=60000&audio=none") // one key frame, at the start
			for range others {
				p := dial(t, r.server.Addr().String())
				p.watch(r.url("gate"), 0)
				p.pictures(1)
			}
			eventually(t, "the key frame is long past", func() bool { return ch.Status().Stages[0].Frames > 30 })
			p := dial(t, r.server.Addr().String())
			a := p.watch(r.url("gate"), 0)
			ch0, sr := p.packet()
			require.Equal(t, 1, ch0, "a sender report comes first")
			require.Equal(t, byte(200), sr[1])
			_, b := p.packet()
			first := parseRTP(b)
			require.True(t, isKeyStart(first.payload), "parameter sets and key frame first")
			info := a.header.Get("RTP-Info")
			require.Contains(t, info, fmt.Sprintf("seq=%d", first.seq))
			require.Contains(t, info, fmt.Sprintf("rtptime=%d", first.ts))
			p.pictures(30)
		})
	}
}

func TestTenReadersOfWhichOneStops(t *testing.T) {
	// Two seconds' worth of pictures may wait: this machine stands still now and then.
	r := newRig(t, rtsp.Config{ReaderBytes: 4 << 20, DropAfter: 5 * time.Second})
	ch := r.camera("gate", "synth://?size=640x360&rate=25&gop=25&bitrate=16M&audio=none")
	stopped := dial(t, r.server.Addr().String())
	require.NoError(t, stopped.conn.(*net.TCPConn).SetReadBuffer(4096))
	stopped.watch(r.url("gate"), 0)
	const n = 100
	left := make(chan struct{})
	for range 8 {
		p := dial(t, r.server.Addr().String())
		p.watch(r.url("gate"), 0)
		go func() {
			defer func() { left <- struct{}{} }()
			p.pictures(n)
		}()
	}
	consecutive(t, ffmpegNumbers(t, r.url("gate"), "tcp", 640, 360, n))
	for range 8 {
		<-left
	}
	eventually(t, "the one that stopped is dropped", func() bool { own, _ := stats(ch); return own.Dropped == 1 })
	own, _ := stats(ch)
	require.Positive(t, own.Slow, "it was skipped to a key frame before")
	_, err := io.Copy(io.Discard, stopped.r)
	if err == nil {
		err = io.EOF
	}
	require.Error(t, err, "its connection is closed")
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
