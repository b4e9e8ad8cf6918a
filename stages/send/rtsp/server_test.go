package rtsp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
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
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			r := newRig(t, rtsp.Config{})
			r.camera("gate", "synth://?size=320x240&rate=25&gop=25")
			numbers := ffmpegNumbers(t, r.url("gate"), transport, 320, 240, 50)
			require.Len(t, numbers, 50)
			consecutive(t, numbers)
		})
	}
}
