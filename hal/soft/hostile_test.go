package soft_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pool"
)

// damaged is a unit with other bytes in its middle.
func damaged(t testing.TB, f hal.Frame) hal.Frame {
	t.Helper()
	unit := f.Buf.Bytes()
	buf, err := pool.NewArena(pool.ArenaConfig{}).Get(len(unit))
	require.NoError(t, err)
	copy(buf.Bytes(), unit)
	for i := len(unit) / 3; i < len(unit)*2/3; i++ {
		buf.Bytes()[i] ^= 0x5a
	}
	f.Buf = buf
	return f
}

// U1: what a broken unit spoils ends at the next key frame; the pictures of the others stay their own.
func TestAfterABrokenUnitTheNextKeyFrameDecodesAgain(t *testing.T) {
	frames := reel(t, film(t, "-c:v", "libx264", "-bf", "0"))
	arena := pool.NewArena(pool.ArenaConfig{})
	d, err := soft.Driver{FFmpeg: "/nowhere"}.OpenDecoder(t.Context(), *frames[0].Info(), hal.DecoderConfig{Arena: arena})
	require.NoError(t, err)
	v := viewer{t: t}
	v.decode(d, frames[:5])
	bad := damaged(t, frames[5])
	_ = d.Decode(t.Context(), bad, func(f hal.Frame) error { // whatever comes of it
		f.Release()
		return nil
	})
	for _, f := range frames[6:20] {
		_ = d.Decode(t.Context(), f, func(f hal.Frame) error {
			f.Release()
			return nil
		})
	}
	require.NoError(t, d.Drain(t.Context(), func(f hal.Frame) error {
		f.Release()
		return nil
	}))
	v.numbers, v.stamps = nil, nil
	v.decode(d, frames[20:])
	require.NoError(t, d.Drain(t.Context(), v.see))
	v.want(20, 40)
	require.NoError(t, d.Close())
	require.ErrorIs(t, d.Decode(t.Context(), frames[0], v.see), soft.ErrClosed)
	require.Zero(t, arena.Stats().Held, "pictures never released")
}

// A decoder begins at a key frame and passes over what stands before it.
func TestADecoderBeginsAtAKeyFrame(t *testing.T) {
	for name, args := range map[string][]string{"openh264": {"-c:v", "libx264"}, "ffmpeg": {"-c:v", "libx265", "-x265-params", "log-level=error"}} {
		t.Run(name, func(t *testing.T) {
			frames := reel(t, film(t, args...))
			d, err := soft.Driver{}.OpenDecoder(t.Context(), *frames[0].Info(), hal.DecoderConfig{})
			require.NoError(t, err)
			v := viewer{t: t}
			first := 10
			for !frames[first].Key {
				first++
			}
			v.decode(d, frames[first-3:])
			require.NoError(t, d.Drain(t.Context(), v.see))
			require.NotEmpty(t, v.numbers)
			require.GreaterOrEqual(t, v.numbers[0], first-3)
			require.IsIncreasing(t, v.numbers)
			require.Equal(t, cards-1, v.numbers[len(v.numbers)-1])
			v.numbers = nil
			v.decode(d, frames[:15]) // after a Drain it begins anew
			require.NoError(t, d.Drain(t.Context(), v.see))
			require.IsIncreasing(t, v.numbers)
			require.Equal(t, []int{0, 1, 2, 3}, v.numbers[:4])
			require.NoError(t, d.Close())
		})
	}
}

// A3: what there is no decoder for is said with what to do.
func TestNoDecoder(t *testing.T) {
	none := soft.Driver{OpenH264: []string{"libnothere.so"}, FFmpeg: "/nowhere/ffmpeg"}
	_, err := none.OpenDecoder(t.Context(), hal.Track{Codec: hal.H264}, hal.DecoderConfig{})
	require.ErrorIs(t, err, hal.ErrNoDevice)
	require.ErrorContains(t, err, "install Debian's libopenh264-7")
	require.ErrorContains(t, err, "install Debian's ffmpeg")
	_, err = none.OpenDecoder(t.Context(), hal.Track{Codec: hal.H265}, hal.DecoderConfig{})
	require.ErrorIs(t, err, hal.ErrNoDevice)
	_, err = none.OpenDecoder(t.Context(), hal.Track{Codec: hal.MJPEG}, hal.DecoderConfig{})
	require.ErrorIs(t, err, hal.ErrUnsupported)
}

// A process that dies, and one that only takes and never gives, are errors, not a wait without end.
func TestAProcessThatDoesNotDecodeIsAnError(t *testing.T) {
	frames := reel(t, film(t, "-c:v", "libx265", "-x265-params", "log-level=error"))
	for _, program := range []string{"/bin/false", "/bin/true"} {
		d, err := soft.Driver{FFmpeg: program}.OpenDecoder(t.Context(), *frames[0].Info(), hal.DecoderConfig{})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var failed error
		for range 100 { // what it is written lies in the pipe for a while
			for _, f := range frames {
				if failed = d.Decode(ctx, f, func(hal.Frame) error { return nil }); failed != nil {
					break
				}
			}
			if failed != nil {
				break
			}
		}
		require.ErrorContains(t, failed, "not decoded: ffmpeg")
		require.NoError(t, d.Close())
		cancel()
	}
}

// A picture too large for the decoder never gets to it.
func TestAHugePictureIsNotDecoded(t *testing.T) {
	track := hal.Track{Codec: hal.H265, Width: 8192, Height: 8192}
	d, err := soft.Driver{}.OpenDecoder(t.Context(), track, hal.DecoderConfig{})
	require.NoError(t, err)
	buf, err := pool.NewArena(pool.ArenaConfig{}).Get(8)
	require.NoError(t, err)
	f := hal.Frame{Buf: buf, Key: true, Stream: &hal.Stream{Tracks: []hal.Track{track}}}
	require.ErrorIs(t, d.Decode(t.Context(), f, nil), hal.ErrUnsupported)
	require.NoError(t, d.Close())
}

// FuzzDecodeStream: whatever a camera sends after a good key frame, the process lives.
func FuzzDecodeStream(f *testing.F) {
	frames := reel(f, film(f, "-c:v", "libx264", "-bf", "2"))
	f.Add(frames[1].Buf.Bytes(), false)
	f.Add(frames[0].Buf.Bytes(), true)
	f.Add([]byte{0, 0, 0, 1, 0x67}, false)
	arena := pool.NewArena(pool.ArenaConfig{})
	f.Fuzz(func(t *testing.T, unit []byte, key bool) {
		d, err := soft.Driver{FFmpeg: "/nowhere"}.OpenDecoder(t.Context(), *frames[0].Info(), hal.DecoderConfig{Arena: arena})
		require.NoError(t, err)
		let := func(f hal.Frame) error {
			f.Release()
			return nil
		}
		require.NoError(t, d.Decode(t.Context(), frames[0], let))
		buf, err := arena.Get(len(unit))
		require.NoError(t, err)
		copy(buf.Bytes(), unit)
		bad := frames[1]
		bad.Buf, bad.Key = buf, key
		_ = d.Decode(t.Context(), bad, let)
		_ = d.Decode(t.Context(), frames[2], let)
		_ = d.Drain(t.Context(), let)
		buf.Release()
		require.NoError(t, d.Close())
		require.Zero(t, arena.Stats().Held, "pictures never released")
	})
}

func BenchmarkDecodeStream720p(b *testing.B) {
	frames := reel(b, film(b, "-vf", "scale=1280x720,noise=alls=20:allf=t", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-b:v", "4M"))
	d, err := soft.Driver{}.OpenDecoder(b.Context(), *frames[0].Info(), hal.DecoderConfig{})
	require.NoError(b, err)
	i := 0
	for b.Loop() {
		if err := d.Decode(b.Context(), frames[i%len(frames)], func(f hal.Frame) error {
			f.Release()
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
