package soft_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pool"
)

// lengths turns an Annex B stream into one access unit with length prefixes, up to the second
// picture, and takes its parameter sets out where the track is to name them.
func lengths(t testing.TB, stream []byte, track *hal.Track) []byte {
	t.Helper()
	var unit []byte
	for walk := nal.ByteStreamOf(stream); ; {
		u, ok := walk.Next()
		if !ok {
			return unit
		}
		switch k := nal.KindOf(hal.H264, u[0]); {
		case k == nal.Key:
			unit = nal.Append(unit, u)
		case k.IsSet():
			require.True(t, nal.Adopt(track, k, u))
		case k.IsSlice():
			return unit
		}
	}
}

// x264 encodes pictures as cameras do: with B-frames in a profile that a decoder delays.
func x264(t testing.TB, w, h int, args ...string) (hal.Track, []byte) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "in.yuv")
	var pictures []byte
	for n := range 5 {
		pictures = append(pictures, reference(t, w, h, n)...)
	}
	require.NoError(t, os.WriteFile(raw, pictures, 0o600))
	all := append([]string{"-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size(w, h), "-r", "25", "-i", raw, "-c:v", "libx264", "-qp", "10", "-threads", "1"}, args...)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(all, "-f", "h264", "-")...).Output()
	require.NoError(t, err)
	track := hal.Track{Codec: hal.H264, TimeScale: 90000}
	return track, lengths(t, out, &track)
}

func size(w, h int) string { return fmt.Sprintf("%dx%d", w, h) }

func keyFrame(t testing.TB, track hal.Track, unit []byte) hal.Frame {
	t.Helper()
	buf, err := pool.NewArena(pool.ArenaConfig{}).Get(len(unit))
	require.NoError(t, err)
	copy(buf.Bytes(), unit)
	return hal.Frame{Buf: buf, Key: true, Stream: &hal.Stream{Tracks: []hal.Track{track}}, Stamp: stamp(1)}
}

// A lone key frame is what a snapshot has: no decoder gets to see what follows it.
func TestALoneKeyFrameDecodesToThePictureWritten(t *testing.T) {
	arena := pool.NewArena(pool.ArenaConfig{})
	for name, args := range map[string][]string{
		"baseline":            {"-profile:v", "baseline"},
		"main with B-frames":  {"-profile:v", "main", "-bf", "3"},
		"high with B-frames":  {"-profile:v", "high", "-bf", "3"},
		"in several slices":   {"-profile:v", "high", "-x264-params", "slices=4"},
		"with long B pyramid": {"-profile:v", "high", "-bf", "8", "-x264-params", "b-pyramid=normal:ref=6"},
	} {
		t.Run(name, func(t *testing.T) {
			track, unit := x264(t, 328, 242, args...) // cropped: no multiple of a macroblock
			f, err := soft.Driver{}.DecodeKey(t.Context(), keyFrame(t, track, unit), arena)
			require.NoError(t, err)
			defer f.Release()
			require.Equal(t, "raw i420 328x242", f.Info().String())
			require.Equal(t, stamp(1), f.Stamp)
			require.Greater(t, psnr(reference(t, 328, 242, 0), f.Buf.Bytes()), 40.0)
		})
	}
	require.Zero(t, arena.Stats().Held, "pictures never released")
}

func TestOurOwnKeyFrameDecodesFromSetsInTheFrame(t *testing.T) {
	c := newCamera(t, hal.I420, 320, 240)
	e := open(t, "openh264", config(t, hal.H264, c))
	require.NoError(t, e.Write(t.Context(), c.frame()))
	f, err := e.Read(t.Context())
	require.NoError(t, err)
	defer f.Release()
	bare := hal.Track{Codec: hal.H264} // names no set: they stand before the picture
	var unit []byte
	unit = nal.Append(nal.Append(unit, f.Info().SPS), f.Info().PPS)
	unit = append(unit, f.Buf.Bytes()...)
	got, err := soft.Driver{}.DecodeKey(t.Context(), keyFrame(t, bare, unit), pool.NewArena(pool.ArenaConfig{}))
	require.NoError(t, err)
	defer got.Release()
	require.Greater(t, psnr(reference(t, 320, 240, 0), got.Buf.Bytes()), 30.0)
}

func TestAKeyFrameThatCannotBeDecodedIsAnError(t *testing.T) {
	track, unit := x264(t, 320, 240)
	arena := pool.NewArena(pool.ArenaConfig{})
	bad := func(track hal.Track, unit []byte) error {
		_, err := soft.Driver{}.DecodeKey(t.Context(), keyFrame(t, track, unit), arena)
		return err
	}
	hevc, bare := track, track
	hevc.Codec = hal.H265
	huge, large := x264(t, 4096, 2320)
	bare.SPS, bare.PPS = nil, nil
	require.ErrorIs(t, bad(hevc, unit), hal.ErrUnsupported)
	require.ErrorIs(t, bad(huge, large), hal.ErrUnsupported)
	require.ErrorContains(t, bad(bare, unit), "openh264")
	require.Error(t, bad(track, nil))
	require.Error(t, bad(track, unit[:len(unit)/3]), "a third of a picture is no picture")
	_, err := soft.Driver{OpenH264: []string{"libnothere.so"}}.DecodeKey(t.Context(), keyFrame(t, track, unit), arena)
	require.ErrorIs(t, err, hal.ErrNoDevice)
	require.ErrorContains(t, err, "install Debian's libopenh264-7")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = soft.Driver{}.DecodeKey(over, keyFrame(t, track, unit), arena)
	require.ErrorIs(t, err, context.Canceled)
	_, err = soft.Driver{}.DecodeKey(t.Context(), keyFrame(t, track, unit), pool.NewArena(pool.ArenaConfig{Max: 1 << 10}))
	require.ErrorIs(t, err, pool.ErrArenaFull)
	require.Zero(t, arena.Stats().Held, "pictures never released")
}

// FuzzDecodeKey: what a camera sends is hostile; whatever comes out, a picture or an error, the
// process lives.
func FuzzDecodeKey(f *testing.F) {
	track, unit := x264(f, 64, 48)
	f.Add(track.SPS, track.PPS, unit)
	f.Add(track.SPS, []byte{}, unit[:len(unit)/2])
	arena := pool.NewArena(pool.ArenaConfig{})
	f.Fuzz(func(t *testing.T, sps, pps, unit []byte) {
		tr := hal.Track{Codec: hal.H264, Width: 64, Height: 48, SPS: sps, PPS: pps}
		got, err := soft.Driver{}.DecodeKey(t.Context(), keyFrame(t, tr, unit), arena)
		if err == nil {
			got.Release()
		}
	})
}

func BenchmarkDecodeKey1080p(b *testing.B) {
	track, unit := x264(b, 1920, 1080)
	arena := pool.NewArena(pool.ArenaConfig{})
	key := keyFrame(b, track, unit)
	b.ReportAllocs()
	for b.Loop() {
		f, err := soft.Driver{}.DecodeKey(b.Context(), key, arena)
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
}
