package file_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// same compares two views of one track: each packet's times to the nanosecond that rounding
// leaves.
func same(t *testing.T, want, got []packet, bytes bool) {
	t.Helper()
	require.Len(t, got, len(want), "frames")
	for i := range want {
		w, g := want[i], got[i]
		require.InDelta(t, float64(w.DTS), float64(g.DTS), 2, "DTS of frame %d: %v, want %v", i, g.DTS, w.DTS)
		require.InDelta(t, float64(w.PTS), float64(g.PTS), 2, "PTS of frame %d: %v, want %v", i, g.PTS, w.PTS)
		require.Equal(t, w.Key, g.Key, "key flag of frame %d", i)
		if bytes {
			require.Equal(t, w.MD5, g.MD5, "content of frame %d", i)
		}
	}
}

// Every frame of a file that ffmpeg wrote comes out as ffprobe sees it: number, DTS, PTS, key
// flags and, where the container holds frames as we do, every byte (H7).
func TestFramesAreFfprobes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bytes bool
	}{
		{"h264.mp4", true},
		{"first.mp4", true},
		{"frag.mp4", true},
		{"delay.mp4", true},
		{"each.mp4", true},
		{"dash.mp4", true},
		{"negative.mp4", true},
		{"offset.mp4", true},
		{"h265.mp4", true},
		{"hev1.mp4", true},
		{"opus.mp4", true},
		{"av1.mp4", true},
		{"mjpeg.mp4", true},
		{"jpeg.mov", true},
		{"pcmbe.mov", true},
		{"ulaw.mov", true},
		{"h264.ts", false},
		{"h264.m2ts", false},
		{"h265.ts", false},
		{"opus.ts", false},
		{"wrap.ts", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, got := probed(t, media(t, tc.name)), played(t, tc.name)
			require.Equal(t, tracks(want), tracks(got))
			for i := range tracks(want) {
				same(t, track(want, i), track(got, i), tc.bytes)
			}
			last := make([]time.Duration, tracks(got))
			for i, p := range got {
				require.GreaterOrEqual(t, p.DTS, last[p.Track], "DTS of packet %d steps back", i)
				require.GreaterOrEqual(t, p.PTS, p.DTS, "packet %d is shown before it is decoded", i)
				last[p.Track] = p.DTS
			}
		})
	}
}

// What was repacked without encoding is the same frames, whatever it was repacked into.
func TestContainersAgree(t *testing.T) {
	for _, tc := range []struct{ mp4, other string }{
		{"h264.mp4", "h264.ts"},
		{"video.mp4", "h264.m2ts"},
		{"h264.mp4", "wrap.ts"},
		{"h265.mp4", "h265.ts"},
		{"opus.mp4", "opus.ts"},
		{"video.mp4", "h264.h264"},
		{"video.mp4", "aud.264"},
		{"h265.mp4", "h265.265"},
		{"slices.mp4", "slices.h264"},
	} {
		t.Run(tc.other, func(t *testing.T) {
			want, got := played(t, tc.mp4), played(t, tc.other)
			require.Equal(t, tracks(want), tracks(got))
			for i := range tracks(want) {
				w, g := track(want, i), track(got, i)
				require.Len(t, g, len(w))
				for k := range w {
					if !w[k].Key || tc.mp4 != "h265.mp4" { // x265's message to the reader stands in hvcC there
						require.Equal(t, w[k].MD5, g[k].MD5, "content of frame %d", k)
					}
					require.Equal(t, w[k].Key, g[k].Key, "key flag of frame %d", k)
					require.InDelta(t, float64(w[k].PTS-w[0].PTS), float64(g[k].PTS-g[0].PTS), float64(12*time.Microsecond), "PTS of frame %d", k)
					require.InDelta(t, float64(w[k].DTS-w[0].DTS), float64(g[k].DTS-g[0].DTS), float64(12*time.Microsecond), "DTS of frame %d", k)
				}
			}
		})
	}
}
