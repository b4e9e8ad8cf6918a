package pipeline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
)

func openSynth(t *testing.T, rawURL string, opts hal.Options) hal.Source {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	src, err := synth.Driver{}.Open(t.Context(), u, opts.WithDefaults())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	return src
}

// P6: after frames were dropped to the next key frame a decoder finds nothing amiss; after
// others were dropped it would.
func TestAfterADropToTheKeyFrameFFmpegDecodesWithoutAnError(t *testing.T) {
	src := openSynth(t, "synth://?size=160x112&gop=10&audio=none&frames=600&pace=fast", hal.Options{})
	track := src.Stream().Tracks[0]
	q, err := pipeline.NewQueue("slow", pipeline.Limit{Frames: 7, Full: pipeline.DropUntilKey})
	require.NoError(t, err)
	var annexB bytes.Buffer
	startCode := []byte{0, 0, 0, 1}
	popped := 0
	take := func() {
		f, err := q.Pop()
		require.NoError(t, err)
		if f.Key {
			annexB.Write(startCode)
			annexB.Write(track.SPS)
			annexB.Write(startCode)
			annexB.Write(track.PPS)
		}
		for rest := f.Buf.Bytes(); len(rest) > 0; {
			n := 4 + binary.BigEndian.Uint32(rest)
			annexB.Write(startCode)
			annexB.Write(rest[4:n])
			rest = rest[n:]
		}
		f.Release()
		popped++
	}
	rnd := rand.New(rand.NewPCG(7, 8))
	for {
		f, err := src.Read(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.NoError(t, q.Push(f))
		for q.Stats().Depth > 0 && rnd.IntN(5) < 2 {
			take()
		}
	}
	for q.Stats().Depth > 0 {
		take()
	}
	require.Positive(t, q.Stats().Dropped["full"])
	require.Less(t, popped, 500)
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-f", "h264", "-i", "-", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	cmd.Stdin = &annexB
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "is Debian's package ffmpeg installed? %s", stderr.String())
	require.Empty(t, stderr.String())
	require.Equal(t, popped, bytes.Count(out, []byte("\n0, ")), "every picture that got through is decoded")
}

// P3: with too few buffers the stages wait for each other, or a live source drops, counted;
// nothing breaks.
func TestTooFewBuffers(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		all       bool
	}{
		{"a source that can be held back waits", "synth://?size=160x112&codec=raw&audio=none&frames=60&pace=fast", true},
		{"a live source drops, counted", "synth://?size=160x112&codec=raw&audio=none&frames=60&rate=50", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(pipeline.Config{})
			rd := &reader{sink: sink{name: "reader"}}
			rd.work = func(uint32) error { wait1(30 * time.Millisecond); return nil }
			origin := from(&named{url: tc.url})
			origin.Options.Buffers = 1
			through := &sink{name: "through"}
			ch := add(t, r, pipeline.Define("cam", origin, through).Branch("reader", pipeline.Limit{Frames: 100}, rd))
			require.NoError(t, ch.Start())
			require.Eventually(t, func() bool { return ch.State() == pipeline.Ended }, time.Minute, 10*time.Millisecond)
			require.NoError(t, r.Exit(t.Context()))
			got := rd.all()
			for i := 1; i < len(got); i++ {
				require.Greater(t, got[i].number, got[i-1].number, "in order")
			}
			require.Equal(t, tc.all, len(got) == 60, "%d of 60 pictures", len(got))
			require.NotEmpty(t, got)
		})
	}
}

// named is a synthetic camera by its URL.
type named struct{ url string }

func (n *named) String() string { return n.url }
func (n *named) Check() error   { return nil }

func (n *named) Open(ctx context.Context, opts hal.Options) (hal.Source, error) {
	u, err := url.Parse(n.url)
	if err != nil {
		return nil, err
	}
	return synth.Driver{}.Open(ctx, u, opts)
}
