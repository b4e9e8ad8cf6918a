package synth_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
)

// number reads the burnt-in number of a raw I420 picture.
func number(t *testing.T, f hal.Frame) int {
	t.Helper()
	info := f.Info()
	n, ok := synth.ReadNumber(f.Buf.Bytes(), info.Layout.Planes[0].Stride, info.Width, info.Height)
	require.True(t, ok, "no number in the picture")
	return int(n)
}

func TestLivePicturesComeAtTheirTimes(t *testing.T) { // H7
	synctest.Test(t, func(t *testing.T) {
		clock := hal.NewClock()
		src := open(t, "synth://?rate=25&audio=lpcm&frames=50", hal.Options{Clock: clock})
		require.True(t, src.Live())
		start := clock.Mono()
		sound, pictures := 0, 0
		readAll(t, src, func(f hal.Frame) {
			require.Equal(t, start+int64(f.Stamp.DTS), f.Stamp.Mono)
			require.Equal(t, f.Stamp.DTS, f.Stamp.PTS)
			late := time.Duration(clock.Mono() - f.Stamp.Mono)
			if f.Track == 1 {
				require.Equal(t, time.Duration(sound)*20*time.Millisecond, f.Stamp.PTS)
				require.LessOrEqual(t, late, 40*time.Millisecond, "sound waits for the next picture at most")
				sound++
				return
			}
			require.Equal(t, time.Duration(pictures)*40*time.Millisecond, f.Stamp.PTS)
			require.Zero(t, late)
			require.Equal(t, pictures%50 == 0, f.Key)
			pictures++
		})
		require.Equal(t, []int{50, 100}, []int{pictures, sound})
	})
}

func TestSoundOfASlowCameraIsNotHeldBackForItsPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := hal.NewClock()
		src := open(t, "synth://?rate=1&frames=3", hal.Options{Clock: clock})
		readAll(t, src, func(f hal.Frame) {
			require.LessOrEqual(t, time.Duration(clock.Mono()-f.Stamp.Mono), 100*time.Millisecond)
		})
	})
}

func TestLivePicturesThatNobodyReadsForASecondAreDropped(t *testing.T) { // P6
	for _, codec := range []string{"h264", "raw"} {
		synctest.Test(t, func(t *testing.T) {
			src := open(t, "synth://?rate=10&audio=lpcm&codec="+codec, hal.Options{})
			read := func() hal.Frame {
				for {
					f, err := src.Read(t.Context())
					require.NoError(t, err)
					f.Release()
					if f.Track == 0 {
						return f
					}
				}
			}
			require.Zero(t, read().Stamp.PTS)
			<-time.After(900 * time.Millisecond)
			require.Equal(t, 100*time.Millisecond, read().Stamp.PTS, "under a second late: kept")
			<-time.After(4 * time.Second) // now 4.9 s
			f := read()
			require.Equal(t, 3900*time.Millisecond, f.Stamp.PTS)
			require.True(t, f.Gap)
			f = read()
			require.Equal(t, 4000*time.Millisecond, f.Stamp.PTS)
			require.False(t, f.Gap)
			require.EqualValues(t, 37, src.(hal.Reporter).SourceStats().Dropped)
		})
	}
}

func TestRawPicturesWithoutAFreeBuffer(t *testing.T) { // P3
	const common = "synth://?size=160x112&codec=raw&audio=none&frames=20"
	t.Run("a live camera drops them and counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			src := open(t, common, hal.Options{Buffers: 2})
			var held []hal.Frame
			for range 2 {
				f, err := src.Read(t.Context())
				require.NoError(t, err)
				held = append(held, f)
			}
			time.AfterFunc(390*time.Millisecond, held[0].Release) // now 40 ms: pictures 2 to 10 find none
			f, err := src.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, 11, number(t, f))
			require.True(t, f.Gap)
			require.EqualValues(t, 9, src.(hal.Reporter).SourceStats().Dropped)
			held[1].Release()
			f.Release()
		})
	})
	t.Run("a source that is not live waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			src := open(t, common+"&pace=fast", hal.Options{Buffers: 1})
			for i := range 20 {
				f, err := src.Read(t.Context())
				require.NoError(t, err)
				require.Equal(t, i, number(t, f))
				require.False(t, f.Gap)
				time.AfterFunc(time.Second, f.Release)
			}
			_, err := src.Read(t.Context())
			require.ErrorIs(t, err, io.EOF)
		})
	})
	t.Run("Close and the context end the wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			src := open(t, common+"&pace=fast", hal.Options{Buffers: 1})
			f, err := src.Read(t.Context())
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = src.Read(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.AfterFunc(time.Second, func() { _ = src.Close() })
			_, err = src.Read(t.Context())
			require.ErrorIs(t, err, fs.ErrClosed)
			f.Release()
		})
	})
}

func TestEncodedPicturesWithoutRoom(t *testing.T) {
	const common = "synth://?size=160x112&audio=none&bitrate=20M&frames=40" // 70 kB each, 350 kB a key frame
	opts := hal.Options{ArenaMax: 2 << 20}
	t.Run("a live camera drops, and goes on with a key frame", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			src := open(t, common, opts)
			var held []hal.Frame
			time.AfterFunc(1300*time.Millisecond, func() {
				for _, f := range held {
					f.Release()
				}
			})
			last := -time.Second
			for {
				f, err := src.Read(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				if f.Gap {
					require.True(t, f.Key, "a hole in an inter-coded stream")
					require.Greater(t, f.Stamp.PTS, last+500*time.Millisecond)
					f.Release()
					break
				}
				last = f.Stamp.PTS
				held = append(held, f)
			}
			require.NotZero(t, src.(hal.Reporter).SourceStats().Dropped)
		})
	})
	t.Run("a source that is not live waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			src := open(t, common+"&pace=fast", opts)
			n := 0
			for {
				f, err := src.Read(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				require.False(t, f.Gap)
				time.AfterFunc(time.Minute, f.Release)
				n++
			}
			require.Equal(t, 40, n)
			<-time.After(time.Hour)
		})
	})
}

func TestAKeyFrameComesWhenAskedFor(t *testing.T) {
	src := open(t, "synth://?pace=fast&gop=10&frames=25&audio=none", hal.Options{})
	var keys []int
	n := 0
	readAll(t, src, func(f hal.Frame) {
		if f.Key {
			keys = append(keys, n)
		}
		if n == 13 {
			src.(hal.KeyFramer).RequestKeyFrame()
		}
		n++
	})
	require.Equal(t, []int{0, 10, 14, 24}, keys)
}

func TestTrialsFailAsAsked(t *testing.T) { // P8
	for name, tc := range map[string]struct {
		query string
		check func(t *testing.T, src hal.Source)
	}{
		"fail": {"fail=after:3", func(t *testing.T, src hal.Source) {
			t.Helper()
			for range 2 {
				_, err := src.Read(t.Context())
				require.ErrorIs(t, err, hal.ErrNoSignal)
				require.ErrorContains(t, err, "fail=after:3")
			}
		}},
		"stall": {"stall=after:3", func(t *testing.T, src hal.Source) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := src.Read(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.AfterFunc(time.Hour, func() { _ = src.Close() })
			_, err = src.Read(t.Context())
			require.ErrorIs(t, err, fs.ErrClosed)
		}},
		"panic": {"panic=after:3", func(t *testing.T, src hal.Source) {
			t.Helper()
			require.Panics(t, func() { _, _ = src.Read(t.Context()) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := open(t, "synth://?audio=none&"+tc.query, hal.Options{})
				for range 3 {
					f, err := src.Read(t.Context())
					require.NoError(t, err)
					f.Release()
				}
				tc.check(t, src)
			})
		})
	}
	u, err := url.Parse("synth://?fail=open")
	require.NoError(t, err)
	_, err = synth.Driver{}.Open(t.Context(), u, hal.Options{})
	require.ErrorIs(t, err, hal.ErrNoDevice)
}

func TestBitrateIsReached(t *testing.T) {
	for _, tc := range []struct {
		query string
		want  float64 // bits a second
	}{{"bitrate=4M", 4e6}, {"bitrate=800k&rate=10&gop=1", 8e5}, {"bitrate=2.5M&rate=29.97&gop=30", 2.5e6}} {
		src := open(t, "synth://?pace=fast&audio=none&frames=300&"+tc.query, hal.Options{})
		total := 0
		readAll(t, src, func(f hal.Frame) { total += f.Buf.Len() })
		seconds := 300 / src.Stream().Tracks[0].FrameRate
		require.InEpsilon(t, tc.want, float64(total)*8/seconds, 0.02, tc.query)
	}
}

func TestRead(t *testing.T) {
	t.Run("allocates nothing", func(t *testing.T) {
		for _, query := range []string{"bitrate=4M", "codec=raw", "audio=lpcm&bitrate=8M"} {
			src := open(t, "synth://?pace=fast&"+query, hal.Options{})
			read := func() {
				f, err := src.Read(t.Context())
				require.NoError(t, err)
				f.Release()
			}
			for range 500 {
				read()
			}
			require.Zero(t, testing.AllocsPerRun(500, read), query)
		}
	})
}

func TestDevicesAreWhatOpens(t *testing.T) { // H1
	devices, err := synth.Driver{}.Devices(t.Context())
	require.NoError(t, err)
	require.Len(t, devices, 1)
	require.NotEmpty(t, devices[0].Formats)
	src := open(t, devices[0].URL, hal.Options{})
	require.Equal(t, "h264 640x360", src.Stream().Tracks[0].String())
	require.Equal(t, uint16(0x1188), binary.BigEndian.Uint16(src.Stream().Tracks[1].AudioConfig))
}
