package file_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/pool"
)

var (
	_ hal.SourceDriver = file.Driver{}
	_ hal.Source       = (*file.Source)(nil)
	_ hal.Reporter     = (*file.Source)(nil)
)

func TestConformance(t *testing.T) {
	for _, tc := range []struct {
		name   string
		codec  hal.Codec
		frames int
	}{
		{"long.mp4", hal.H264, 500},
		{"long-frag.mp4", hal.H264, 500},
		{"long.ts", hal.H264, 500},
		{"long.h264", hal.H264, 500},
		{"h265.mp4", hal.H265, 50},
		{"mjpeg.mp4", hal.MJPEG, 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			haltest.Source(t, haltest.Config{
				Driver: file.Driver{}, URL: "file://" + media(t, tc.name) + "?pace=fast",
				Codec: tc.codec, Frames: tc.frames,
				NoAllocs: tc.frames < 100, WarmUp: 350, AllocReads: 100, // until every chunk was used once
				Pause: 50 * time.Millisecond,
				WrongURLs: []string{
					"file:///a.mp4?pace=slow", "file:///a.mp4?loop=-1", "file:///a.mp4?speed=2", "file:///a.mp4?rate=0",
					"file:///a.mp4?pace=live&pace=fast", "file://user:secret@/a.mp4", "file://host/a.mp4", "file:///", "file:///dir/",
				},
				Faults: []haltest.Fault{
					{URL: "file:///nowhere/x.mp4", Want: hal.ErrNoDevice},
					{URL: "file:///dev", Want: hal.ErrUnsupported},
				},
			})
		})
	}
}

func TestURL(t *testing.T) {
	for _, tc := range []struct{ name, url, want string }{
		{"absolute", "file:///a/b.mp4", ""},
		{"localhost is no other machine", "file://localhost/a.mp4", ""},
		{"relative", "file:a/b.mp4?pace=fast", ""},
		{"escaped", "file:///a%20%23b%3f.mp4?loop=1", ""},
		{"a number of passes", "file:///a.mp4?loop=3&pace=live", ""},
		{"a fraction", "file:///a.h264?rate=30000/1001", ""},
		{"relative with two slashes", "file://a.mp4", "file:relative/path"},
		{"unknown parameter", "file:///a.mp4?looop=1", `unknown parameter "looop": one of pace, loop, rate`},
		{"wrong pace", "file:///a.mp4?pace=2", "live (the default) or fast"},
		{"wrong loop", "file:///a.mp4?loop=x", "1 (for ever)"},
		{"wrong rate", "file:///a.mp4?rate=1e9", "0.1 to 1000"},
		{"not a number", "file:///a.mp4?rate=NaN", "0.1 to 1000"},
		{"no file", "file:", "no file is named"},
		{"fragment", "file:///a#b.mp4", "%23"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := url.Parse(tc.url)
			require.NoError(t, err)
			err = file.Driver{}.Check(u)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestRelativePathStartsWhereTheProgramDid(t *testing.T) {
	t.Chdir(filepath.Dir(media(t, "video.mp4")))
	_, frames, err := play(t, openURL(t, "file:video.mp4?pace=fast", hal.Options{}))
	require.NoError(t, err)
	require.Len(t, frames, 50)
}

// A looped file runs on: no step in any track's DTS, sound and picture as far apart as before.
func TestLoopRunsOn(t *testing.T) {
	for _, name := range []string{"h264.mp4", "frag.mp4", "h264.ts", "video.mp4", "h264.h264", "h265.265", "avsync.mp4"} {
		t.Run(name, func(t *testing.T) {
			once := played(t, name)
			src := openURL(t, "file://"+media(t, name)+"?pace=fast&loop=3", hal.Options{})
			all, frames, err := play(t, src)
			require.NoError(t, err)
			require.Len(t, all, 3*len(once))
			period := all[len(once)].DTS - once[0].DTS
			for i, p := range all {
				w := once[i%len(once)]
				shift := time.Duration(i/len(once)) * period
				require.Equal(t, w.DTS+shift, p.DTS, "DTS of packet %d", i)
				require.Equal(t, w.PTS+shift, p.PTS, "PTS of packet %d", i)
				require.Equal(t, w.MD5, p.MD5)
				require.Equal(t, w.Key, p.Key)
				require.False(t, frames[i].Gap)
				require.Same(t, src.Stream(), frames[i].Stream, "equal parameters keep the pointer")
			}
			for i := range tracks(once) {
				one := track(once, i)
				require.Greater(t, period, one[len(one)-1].DTS-one[0].DTS, "track %d overlaps itself", i)
			}
		})
	}
}

func TestLoopForEver(t *testing.T) {
	src := openURL(t, "file://"+media(t, "video.mp4")+"?pace=fast&loop=1", hal.Options{})
	var last time.Duration
	for i := range 500 {
		f, err := src.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Duration(i)*40*time.Millisecond, f.Stamp.DTS)
		last = f.Stamp.DTS
		f.Release()
	}
	require.Equal(t, 499*40*time.Millisecond, last)
}

// pace=live: every frame comes when it is due, none before, none is skipped.
func TestLivePace(t *testing.T) {
	for _, name := range []string{"h264.mp4", "frag.mp4", "dash.mp4", "h264.ts", "video.mp4"} {
		path := media(t, name)
		synctest.Test(t, func(t *testing.T) {
			clock := hal.NewClock()
			src := openURL(t, "file://"+path, hal.Options{Clock: clock})
			require.False(t, src.Live())
			start := time.Now()
			n := 0
			for {
				f, err := src.Read(t.Context())
				if err != nil {
					break
				}
				require.GreaterOrEqual(t, time.Since(start), f.Stamp.DTS, "%s: frame %d came before it was due", name, n)
				require.LessOrEqual(t, time.Since(start), f.Stamp.DTS+50*time.Millisecond, "%s: frame %d", name, n)
				f.Release()
				n++
			}
			require.Len(t, probed(t, path), n)
		})
	}
}

// A reader that is held back for long loses nothing, and the file goes on from where it was.
func TestLivePaceAfterAPause(t *testing.T) {
	path := media(t, "video.mp4")
	synctest.Test(t, func(t *testing.T) {
		src := openURL(t, "file://"+path, hal.Options{Clock: hal.NewClock()})
		for i := range 10 {
			f, err := src.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, time.Duration(i)*40*time.Millisecond, f.Stamp.DTS)
			f.Release()
		}
		<-time.After(time.Minute)
		start := time.Now()
		for i := range 10 {
			f, err := src.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, time.Duration(10+i)*40*time.Millisecond, f.Stamp.DTS)
			require.Equal(t, time.Duration(i)*40*time.Millisecond, time.Since(start))
			f.Release()
		}
	})
}

// A frame that was not due when the context ended comes with the next Read.
func TestCancelledReadLosesNothing(t *testing.T) {
	path := media(t, "video.mp4")
	synctest.Test(t, func(t *testing.T) {
		src := openURL(t, "file://"+path, hal.Options{Clock: hal.NewClock()})
		for i := range 50 {
			for {
				f, err := readFor(t, src, 10*time.Millisecond)
				if err == nil {
					require.Equal(t, time.Duration(i)*40*time.Millisecond, f.Stamp.DTS)
					f.Release()
					break
				}
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
		}
	})
}

func readFor(t *testing.T, src hal.Source, d time.Duration) (hal.Frame, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return src.Read(ctx)
}

// Where all memory is on loan the file waits for some to come home (P6).
func TestFullArenaWaits(t *testing.T) {
	for _, name := range []string{"long.mp4", "long.ts", "long.h264"} {
		path := media(t, name)
		want := played(t, name)
		synctest.Test(t, func(t *testing.T) {
			src := openURL(t, "file://"+path+"?pace=fast", hal.Options{ArenaMax: 512 << 10})
			var held []hal.Frame
			waits := 0
			next := map[int][]packet{} // tracks may mix otherwise: what is there is handed out first
			for i := range tracks(want) {
				next[i] = track(want, i)
			}
			for n := 0; n < len(want); {
				f, err := readFor(t, src, time.Second)
				if err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.NotEmpty(t, held)
					waits++
					for _, h := range held {
						h.Release()
					}
					held = held[:0]
					continue
				}
				require.Equal(t, next[f.Track][0].DTS, f.Stamp.DTS)
				require.Equal(t, next[f.Track][0].Size, f.Buf.Len())
				next[f.Track] = next[f.Track][1:]
				held = append(held, f)
				n++
			}
			for _, h := range held {
				h.Release()
			}
			require.Positive(t, waits, "the arena was never full")
		})
	}
}

func TestFrameLargerThanTheArena(t *testing.T) {
	src := openURL(t, "file://"+media(t, "big.mp4")+"?pace=fast", hal.Options{ArenaMax: 16 << 10})
	_, _, err := play(t, src)
	require.ErrorIs(t, err, pool.ErrArenaFull)
	require.ErrorContains(t, err, "raise the limit")
}

func TestNoAllocationPerFrame(t *testing.T) {
	for _, name := range []string{"long.mp4", "long-frag.mp4", "long.ts", "long.h264"} {
		src := openURL(t, "file://"+media(t, name)+"?pace=fast&loop=1", hal.Options{})
		read := func() {
			f, err := src.Read(t.Context())
			require.NoError(t, err)
			f.Release()
		}
		for range 1000 {
			read()
		}
		require.Zero(t, testing.AllocsPerRun(1000, read), name)
	}
}

// NAL units with lengths of 1 to 3 bytes come out with 4.
func TestShortLengthsAreWidened(t *testing.T) {
	data, err := os.ReadFile(media(t, "slices.mp4"))
	require.NoError(t, err)
	want := played(t, "slices.mp4")
	for size := 2; size <= 3; size++ {
		short := narrowed(t, data, size)
		src, err := file.OpenContent(t.Context(), bytes.NewReader(short), int64(len(short)), "file:x?pace=fast", hal.Options{})
		require.NoError(t, err)
		got, _, err := play(t, src)
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i].MD5, got[i].MD5, "frame %d with lengths of %d bytes", i, size)
		}
	}
}

// narrowed rewrites an MP4 file's samples with shorter NAL lengths: the freed bytes go unused
// at each sample's end, and stsz says so.
func narrowed(t *testing.T, data []byte, lenSize int) []byte {
	t.Helper()
	out := bytes.Clone(data)
	avcc := bytes.Index(out, []byte("avcC"))
	require.Positive(t, avcc)
	out[avcc+8] = out[avcc+8]&^3 | byte(lenSize-1)
	sizes := bytes.Index(out, []byte("stsz")) + 8
	offsets := bytes.Index(out, []byte("stco")) + 12
	n := int(binary.BigEndian.Uint32(out[sizes+4:]))
	at := int(binary.BigEndian.Uint32(out[offsets:])) // ffmpeg writes one chunk for one track
	for i := range n {
		entry := out[sizes+8+4*i:]
		size := int(binary.BigEndian.Uint32(entry))
		sample := data[at : at+size]
		var short []byte
		for len(sample) > 0 {
			k := binary.BigEndian.Uint32(sample)
			short = append(short, binary.BigEndian.AppendUint32(nil, k)[4-lenSize:]...)
			short = append(short, sample[4:4+k]...)
			sample = sample[4+k:]
		}
		// A further unit without a class of its own fills what is left: there is none, so the
		// sizes shrink and the samples move together.
		binary.BigEndian.PutUint32(entry, uint32(len(short)))
		copy(out[at-shrunk(data, out, sizes, i):], short)
		at += size
	}
	return out
}

// shrunk is how many bytes the samples before i lost.
func shrunk(data, out []byte, sizes, i int) int {
	n := 0
	for k := range i {
		n += int(binary.BigEndian.Uint32(data[sizes+8+4*k:])) - int(binary.BigEndian.Uint32(out[sizes+8+4*k:]))
	}
	return n
}
