package pack_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/bench"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// sps and pps are those of a 640x480 camera.
var (
	sps = []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x3d, 0xa1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48}
	pps = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

func stream() *hal.Stream {
	return &hal.Stream{Tracks: []hal.Track{
		{Codec: hal.H264, TimeScale: 90000, SPS: sps, PPS: pps},
		{Codec: hal.G711A, TimeScale: 8000, SampleRate: 8000, Channels: 1},
	}}
}

func frame(t testing.TB, a *pool.Arena, s *hal.Stream, track, size int, dts time.Duration) hal.Frame {
	t.Helper()
	b, err := a.Get(size)
	require.NoError(t, err)
	clear(b.Bytes())
	return hal.Frame{Buf: b, Stream: s, Track: track, Key: true, Stamp: hal.Stamp{DTS: dts, PTS: dts}}
}

func planned(t testing.TB, s *hal.Stream) *pack.Packer {
	t.Helper()
	m, err := pack.Plan(s, hal.Frame{})
	require.NoError(t, err)
	return pack.NewPacker(m)
}

func TestRoundingNeverAddsUp(t *testing.T) { // 30000/1001 pictures a second for ten minutes, stamps cut to ns
	s := stream()
	p := planned(t, s)
	a := pool.NewArena(pool.ArenaConfig{})
	var at uint64
	for i := range 30 * 600 {
		require.NoError(t, p.Add(frame(t, a, s, 0, 1, time.Duration(int64(i)*1001*int64(time.Second)/30000))))
		if !p.Ready(time.Second) {
			continue
		}
		var parts fmp4.Parts
		require.NoError(t, parts.Unmarshal(bytes.Join(p.Cut(), nil)))
		p.Release()
		require.Equal(t, at, parts[0].Tracks[0].BaseTime)
		for _, sample := range parts[0].Tracks[0].Samples {
			require.EqualValues(t, 3003, sample.Duration)
			at += 3003
		}
	}
	p.Discard()
	require.Zero(t, a.Stats().Held)
}

func TestTheLastFrameLastsAsLongAs(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name  string
		track hal.Track
		at    []time.Duration
		want  uint32
	}{
		{"the one before it", stream().Tracks[0], []time.Duration{0, 50 * ms}, 4500},
		{"the frame rate says where it is alone", hal.Track{Codec: hal.H264, SPS: sps, PPS: pps, FrameRate: 10}, []time.Duration{0}, 9000},
		{"a 25th of a second where nobody says", stream().Tracks[0], []time.Duration{0}, 3600},
		{"its samples", stream().Tracks[1], []time.Duration{0, 50 * ms}, 160},
		{"samples of its own kind", hal.Track{Codec: hal.LPCM, SampleRate: 8000, Channels: 2, BitDepth: 16}, []time.Duration{0}, 40},
		{"an AAC access unit", hal.Track{Codec: hal.AAC, AudioConfig: []byte{0x12, 0x10}}, []time.Duration{0}, 1024},
		{"an Opus packet says", hal.Track{Codec: hal.Opus, Channels: 2}, []time.Duration{0}, 480},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &hal.Stream{Tracks: []hal.Track{tc.track}}
			p := planned(t, s)
			a := pool.NewArena(pool.ArenaConfig{})
			for _, at := range tc.at {
				require.NoError(t, p.Add(frame(t, a, s, 0, 160, at)))
			}
			var parts fmp4.Parts
			require.NoError(t, parts.Unmarshal(bytes.Join(p.Finish(), nil)))
			samples := parts[0].Tracks[0].Samples
			require.Equal(t, tc.want, samples[len(samples)-1].Duration)
			p.Release()
			require.Zero(t, a.Stats().Held)
		})
	}
}

func TestWhatIsNotStoredIsReleased(t *testing.T) {
	s := stream()
	s.Tracks = append(s.Tracks, hal.Track{Codec: hal.Raw, Width: 64, Height: 64})
	p := planned(t, s)
	require.Len(t, p.Movie().Omitted(), 1)
	require.ErrorContains(t, p.Movie().Omitted()[0].Err, "raw")
	require.True(t, p.Movie().Stores(0))
	require.False(t, p.Movie().Stores(2))
	a := pool.NewArena(pool.ArenaConfig{})
	require.NoError(t, p.Add(frame(t, a, s, 2, 100, 0)))
	require.NoError(t, p.Add(frame(t, a, s, 7, 100, 0)))
	require.NoError(t, p.Add(frame(t, a, s, 0, 0, 0)))
	require.NoError(t, p.Add(hal.Frame{Stream: s}))
	require.Zero(t, a.Stats().Held)
	require.Nil(t, p.Finish())
}

func TestAFragmentIsBoundedWhereTimeStandsStill(t *testing.T) {
	s := stream()
	p := planned(t, s)
	a := pool.NewArena(pool.ArenaConfig{})
	n := 0
	for ; !p.Ready(time.Second); n++ {
		require.NoError(t, p.Add(frame(t, a, s, 0, 10, 0)))
	}
	require.Equal(t, 1000, n)
	p.Cut()
	p.Release()
	for ; !p.Ready(time.Second); n++ {
		require.NoError(t, p.Add(frame(t, a, s, 0, 1<<20, 0)))
	}
	require.Equal(t, 1016, n)
	p.Discard()
	require.Zero(t, a.Stats().Held)
}

func TestAClockThatStepsBackBreaksNothing(t *testing.T) {
	s := stream()
	p := planned(t, s)
	a := pool.NewArena(pool.ArenaConfig{})
	for _, at := range []time.Duration{5e9, 6e9, 1e9, 7e9, -1 << 62, 1 << 62, 8e9} {
		require.NoError(t, p.Add(frame(t, a, s, 0, 10, at)))
		p.Cut()
		p.Release()
	}
	p.Discard()
	require.Zero(t, a.Stats().Held)
}

func TestParameterSetsAreFoundInTheKeyFrame(t *testing.T) {
	for name, args := range map[string][]string{"h264": h264Args, "h265": h265Args, "av1": av1Args} {
		t.Run(name, func(t *testing.T) {
			c := encode(t, args)
			whole, err := pack.Plan(c.Stream, hal.Frame{})
			require.NoError(t, err)
			track := c.Stream.Tracks[0]
			key := c.Units[0].Bytes
			if track.Codec != hal.AV1 { // whose key frames name them anyway
				var sets []byte
				for _, set := range [][]byte{track.VPS, track.SPS, track.PPS} {
					if len(set) > 0 {
						sets = append(append(sets, 0, 0, 0, byte(len(set))), set...)
					}
				}
				key = append(sets, key...)
			}
			track.VPS, track.SPS, track.PPS = nil, nil, nil
			bare := &hal.Stream{Tracks: []hal.Track{track}}
			a := pool.NewArena(pool.ArenaConfig{})
			f := frame(t, a, bare, 0, len(key), 0)
			copy(f.Buf.Bytes(), key)
			m, err := pack.Plan(bare, f)
			require.NoError(t, err)
			require.Equal(t, whole.Head(), m.Head())

			_, err = pack.Plan(bare, frame(t, a, bare, 0, 4, 0))
			require.ErrorIs(t, err, pack.ErrNoParameters)
		})
	}
}

func TestTheSizeOfAJPEGIsFoundInIt(t *testing.T) {
	c := encode(t, jpegArgs)
	c.Stream.Tracks[0].Width, c.Stream.Tracks[0].Height = 0, 0
	m, err := pack.Plan(c.Stream, c.Frame(t, pool.NewArena(pool.ArenaConfig{}), 0))
	require.NoError(t, err)
	var head fmp4.Init
	require.NoError(t, head.Unmarshal(bytes.NewReader(m.Head())))
	require.Equal(t, &codecs.MJPEG{Width: 320, Height: 240}, head.Tracks[0].Codec)
}

func TestG711IsDecodedAsFFmpegDoes(t *testing.T) { // R5: G.711 is stored as LPCM
	dir := t.TempDir()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for format, codec := range map[string]hal.Codec{"alaw": hal.G711A, "mulaw": hal.G711U} {
		raw := filepath.Join(dir, format)
		require.NoError(t, os.WriteFile(raw, every, 0o600))
		want := packtest.Tool(t, "ffmpeg", "-f", format, "-ar", "8000", "-ac", "1", "-i", raw, "-f", "s16be", "-")

		s := &hal.Stream{Tracks: []hal.Track{{Codec: codec, SampleRate: 8000, Channels: 1}}}
		p := planned(t, s)
		a := pool.NewArena(pool.ArenaConfig{})
		f := frame(t, a, s, 0, 256, 0)
		copy(f.Buf.Bytes(), every)
		require.NoError(t, p.Add(f))
		require.Equal(t, want, p.Finish()[1], format)
		p.Release()
		require.Zero(t, a.Stats().Held)
	}
}

func TestManyPiecesAreWrittenInOrder(t *testing.T) {
	var parts [][]byte
	for i := range 3000 { // three system calls' worth, some of them empty
		parts = append(parts, []byte(fmt.Sprint(i))[:max(0, i%5)*len(fmt.Sprint(i))/4])
	}
	path := filepath.Join(t.TempDir(), "a")
	f, err := os.Create(path)
	require.NoError(t, err)
	var v pack.Vector
	for range 2 {
		n, failed := v.Write(f, parts)
		require.NoError(t, failed)
		require.EqualValues(t, len(bytes.Join(parts, nil)), n)
	}
	require.NoError(t, f.Close())
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(bytes.Repeat(bytes.Join(parts, nil), 2), got))
	_, err = v.Write(f, parts)
	require.Error(t, err)
}

func TestAShortWriteIsContinued(t *testing.T) { // a pipe takes what fits
	r, w, err := os.Pipe()
	require.NoError(t, err)
	piece := bytes.Repeat([]byte("0123456789"), 5000)
	parts := [][]byte{piece[:7], piece, piece[:1], piece, piece}
	got := make(chan []byte)
	go func() {
		all := make([]byte, 0, 1<<20)
		for small := make([]byte, 999); ; {
			n, end := r.Read(small)
			if all = append(all, small[:n]...); end != nil {
				got <- all
				return
			}
		}
	}()
	var v pack.Vector
	n, err := v.Write(w, parts)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.EqualValues(t, 150_008, n)
	require.True(t, bytes.Equal(bytes.Join(parts, nil), <-got))
	require.NoError(t, r.Close())
}

func TestPackingAllocatesNothing(t *testing.T) { // P3
	s := stream()
	p := planned(t, s)
	a := pool.NewArena(pool.ArenaConfig{})
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	var v pack.Vector
	n := 0
	second := func() {
		for range 50 {
			n++
			b, _ := a.Get(5000)
			_ = p.Add(hal.Frame{Buf: b, Stream: s, Track: n % 2, Key: n%50 == 0, Stamp: hal.Stamp{DTS: time.Duration(n) * 20 * time.Millisecond}})
			if p.Ready(time.Second) {
				_, _ = v.Write(null, p.Cut())
				p.Release()
			}
		}
	}
	for range 20 {
		second()
	}
	require.Zero(t, testing.AllocsPerRun(50, second))
	p.Discard()
	require.NoError(t, null.Close())
}

// BenchmarkPack is one access unit of 20 KB packed and handed to /dev/null, 25 to a fragment
// and so to a system call.
func BenchmarkPack(b *testing.B) {
	load, done, err := bench.Packing()
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	require.NoError(b, load.Do(b.N))
	require.NoError(b, done())
}
