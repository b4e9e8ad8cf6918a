package bench

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

// small is a clip that is made in a moment.
func small(codec hal.Codec) ClipSpec {
	return ClipSpec{Codec: codec, Width: 320, Height: 180, Bitrate: 600_000, GOP: 25}
}

// cameras simulates cameras until the test ends.
func cameras(t *testing.T, spec ClipSpec, n int) *simulator {
	t.Helper()
	where, err := findClip(t.Context(), spec)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := newSimulator(ctx, SimulatorConfig{Spec: spec, Clip: where, Channels: n})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return s
}

func (s *simulator) url(channel int) string {
	return fmt.Sprintf("rtsp://%s/cam%03d", s.listener.Addr(), channel)
}

// Issue, Build 2: what the simulated cameras send is what our own driver and ffmpeg take for a camera: every picture in
// order from a key frame on, sound without a hole, each decodable.
func TestSimulatedCamera(t *testing.T) {
	for _, codec := range []hal.Codec{hal.H264, hal.H265} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			s := cameras(t, small(codec), 2)
			for channel := range 2 {
				src, err := hal.NewRegistry(rtsp.Driver{}).Open(t.Context(), s.url(channel), hal.Options{})
				require.NoError(t, err)
				require.Len(t, src.Stream().Tracks, 2)
				require.Equal(t, 320, src.Stream().Tracks[0].Width)
				next, sounds, at := int64(-1), 0, time.Duration(-1)
				for pictures := 0; pictures < 30; {
					f, err := src.Read(t.Context())
					require.NoError(t, err)
					require.False(t, f.Gap)
					if f.Info().Codec.IsVideo() {
						n, ok := numberIn(f.Buf.Bytes())
						require.True(t, ok)
						if next < 0 {
							require.True(t, f.Key, "it begins with a key frame")
						} else {
							require.Equal(t, next, n)
							require.Equal(t, at+40*time.Millisecond, f.Stamp.PTS.Round(time.Millisecond))
						}
						next, at = n+1, f.Stamp.PTS.Round(time.Millisecond)
						pictures++
					} else {
						sounds++
					}
					f.Release()
				}
				require.NoError(t, src.Close())
				require.InDelta(t, 30*1.875, sounds, 20)
			}
			said, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-rtsp_transport", "tcp", "-i", s.url(1), "-t", "1.5", "-f", "null", "-").CombinedOutput()
			require.NoError(t, err, "%s", said)
			require.Empty(t, string(said))
		})
	}
}
