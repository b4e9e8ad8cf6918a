package file_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
)

// Other parameter sets at a key frame make another stream, and time runs on where files were
// joined.
func TestFormatChanges(t *testing.T) {
	for _, tc := range []struct{ first, second string }{
		{"tiny.ts", "h264.ts"},
		{"h264.ts", "tiny.ts"},
		{"tiny.h264", "h264.h264"},
	} {
		t.Run(tc.first+" then "+tc.second, func(t *testing.T) {
			a, err := os.ReadFile(media(t, tc.first))
			require.NoError(t, err)
			b, err := os.ReadFile(media(t, tc.second))
			require.NoError(t, err)
			one, two := played(t, tc.first), played(t, tc.second)
			joined := bytes.Join([][]byte{a, b}, nil)
			src, err := file.OpenContent(t.Context(), bytes.NewReader(joined), int64(len(joined)), "file:x?pace=fast&loop=2", hal.Options{})
			require.NoError(t, err)
			all, frames, err := play(t, src)
			require.NoError(t, err)
			require.InDelta(t, 2*(len(one)+len(two)), len(all), 4, "frames") // sound split at the joint may be lost
			last := map[int]time.Duration{}
			widths := []int{}
			for _, f := range frames {
				require.GreaterOrEqual(t, f.Stamp.DTS, last[f.Track], "DTS steps back")
				require.LessOrEqual(t, f.Stamp.DTS-last[f.Track], 700*time.Millisecond, "DTS jumps")
				last[f.Track] = f.Stamp.DTS
				if w := f.Stream.Tracks[0].Width; f.Track == 0 && (len(widths) == 0 || widths[len(widths)-1] != w) {
					require.True(t, f.Key, "the format changes at a key frame")
					widths = append(widths, w)
				}
			}
			require.Len(t, widths, 4, "%v", widths)
			require.NoError(t, src.Close())
			require.Zero(t, file.Held(src), "frames never released")
		})
	}
}

// Uncompressed sound comes in pieces of big-endian samples, all of them.
func TestPCMIsBigEndian(t *testing.T) {
	for name, format := range map[string]string{"pcm.mov": "s16be", "pcmbe.mov": "s24be"} {
		path := media(t, name)
		want, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-vn", "-f", format, "-").Output() //nolint:noctx // bounded by go test
		require.NoError(t, err)
		src := openURL(t, "file://"+path+"?pace=fast", hal.Options{})
		sound := src.Stream().Audio()
		require.Equal(t, hal.LPCM, src.Stream().Tracks[sound].Codec)
		var got []byte
		for {
			f, err := src.Read(t.Context())
			if err != nil {
				break
			}
			if f.Track == sound {
				got = append(got, f.Buf.Bytes()...)
			}
			f.Release()
		}
		require.True(t, bytes.Equal(want, got), "%s: %d bytes, want %d", name, len(got), len(want))
	}
}

// What is known of the tracks before the first frame.
func TestStreamIsKnown(t *testing.T) {
	for _, tc := range []struct {
		name string
		want hal.Track
	}{
		{"h264.mp4", hal.Track{Codec: hal.H264, Width: 320, Height: 240, FrameRate: 25}},
		{"frag.mp4", hal.Track{Codec: hal.H264, Width: 320, Height: 240, FrameRate: 25}},
		{"h264.ts", hal.Track{Codec: hal.H264, Width: 320, Height: 240, FrameRate: 25}},
		{"h264.h264", hal.Track{Codec: hal.H264, Width: 320, Height: 240, FrameRate: 25}},
		{"h265.265", hal.Track{Codec: hal.H265, Width: 320, Height: 240, FrameRate: 25}},
		{"av1.mp4", hal.Track{Codec: hal.AV1, Width: 160, Height: 120, FrameRate: 10}},
		{"mjpeg.mp4", hal.Track{Codec: hal.MJPEG, Width: 320, Height: 240, FrameRate: 25}},
		{"opus.ts", hal.Track{Codec: hal.Opus, SampleRate: 48000, Channels: 1}},
		{"ulaw.mov", hal.Track{Codec: hal.G711U, SampleRate: 8000, Channels: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := openURL(t, "file://"+media(t, tc.name), hal.Options{}).Stream().Tracks[0]
			require.Equal(t, tc.want, hal.Track{
				Codec: got.Codec, Width: got.Width, Height: got.Height, FrameRate: got.FrameRate,
				SampleRate: got.SampleRate, Channels: got.Channels,
			})
			if got.Codec == hal.H264 || got.Codec == hal.H265 {
				require.NotEmpty(t, got.SPS)
				require.NotEmpty(t, got.PPS)
			}
		})
	}
}

// The rate of a byte stream can be given.
func TestRate(t *testing.T) {
	src := openURL(t, "file://"+media(t, "h264.h264")+"?pace=fast&rate=30000/1001", hal.Options{})
	all, _, err := play(t, src)
	require.NoError(t, err)
	require.Equal(t, 1635*time.Millisecond, all[49].DTS.Round(time.Millisecond))
}
