package record_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

func TestFilesAreCutBeforeKeyFramesAndLoseNothing(t *testing.T) { // R3
	c := pictures(t, true)
	for _, tc := range []struct {
		name string
		cfg  record.Config
		want []string
	}{
		{"by duration", record.Config{SegmentDuration: time.Second}, []string{gops(1), gops(1), gops(1)}},
		{"by duration, at the next key frame", record.Config{SegmentDuration: 1040 * time.Millisecond}, []string{gops(2), gops(1)}},
		{"by size", record.Config{SegmentBytes: 1}, []string{gops(1), gops(1), gops(1)}},
		{"never", record.Config{SegmentDuration: -1, SegmentBytes: -1}, []string{gops(3)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := recorder(t, tc.cfg)
			g.feed(c, nil)
			files := g.close()
			var got []string
			for _, path := range files {
				got = append(got, letters(parsed(t, path), 0))
			}
			require.Equal(t, tc.want, got)
			require.Equal(t, []int{c.Count(0), c.Count(1)}, counts(t, files, 2))
			require.Equal(t, c.Count(0), plays(t, files))
			require.EqualValues(t, len(files), g.stats().Segments)
			require.EqualValues(t, len(c.Units), g.stats().Frames)
			require.Zero(t, g.stats().Skipped)
		})
	}
}

func TestFilesMeetWithoutASeam(t *testing.T) { // R3, R4: what is cut can be joined again
	c := pictures(t, true)
	g := recorder(t, record.Config{SegmentDuration: time.Second})
	g.feed(c, nil)
	ends := map[int]time.Duration{}
	for _, path := range g.close() {
		first, last := map[int]time.Duration{}, map[int]time.Duration{}
		for _, u := range parsed(t, path).Units {
			if _, ok := first[u.Track]; !ok {
				first[u.Track] = u.DTS
			}
			last[u.Track] = u.End
		}
		require.Zero(t, min(first[0], first[1]), "a file's time begins with 0")
		if len(ends) > 0 { // both tracks go on by what the file before left between them
			require.InDelta(t, ends[1]-ends[0], first[1]-first[0], 25_000, "ns")
		}
		ends = last
	}
}

func TestTheOpeningKeyFrameIsNeverLost(t *testing.T) { // R3
	c := pictures(t, true)
	for _, tc := range []struct {
		name     string
		keep     func(i int, u packtest.Unit) bool
		pictures string
		skipped  uint64
	}{
		{"pictures first", nil, gops(3), 0},
		{"sound first", func(_ int, u packtest.Unit) bool { return u.Track == 1 || u.DTS >= time.Second }, gops(2), 47},
		{"in the middle of a group", func(i int, _ packtest.Unit) bool { return i > 30 }, gops(2), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := recorder(t, record.Config{})
			g.feed(c, tc.keep)
			files := g.close()
			require.Len(t, files, 1)
			back := parsed(t, files[0])
			require.Equal(t, tc.pictures, letters(back, 0))
			first := map[int]time.Duration{1: -1}
			for _, u := range back.Units {
				if _, ok := first[u.Track]; !ok || first[u.Track] < 0 {
					first[u.Track] = u.DTS
				}
			}
			require.Zero(t, first[0], "the key frame is where the file begins")
			require.Less(t, first[1], 22*time.Millisecond, "sound begins with it")
			if tc.skipped > 0 {
				require.Equal(t, tc.skipped, g.stats().Skipped, "sound from before the key frame")
			}
			plays(t, files)
		})
	}
}

func TestSoundDoesNotWaitForAPictureWithoutEnd(t *testing.T) {
	c := pictures(t, true)
	g := recorder(t, record.Config{})
	for range 10 {
		g.feed(c, func(_ int, u packtest.Unit) bool { return u.Track == 1 })
		g.offset += 3 * time.Second
	}
	require.Less(t, g.arena.Stats().Held, 100, "two seconds of sound")
	g.offset = 0
	for range 1000 {
		f := g.frame(c, 0)
		f.Track = 1
		require.NoError(t, g.r.Work(t.Context(), f))
	}
	require.Equal(t, 256, g.arena.Stats().Held, "where its time stands still")
	require.Empty(t, g.close())
}

func TestSoundAndPictureStayAsFarApartAsTheyWere(t *testing.T) { // R5
	c := pictures(t, true)
	for _, late := range []time.Duration{0, 7 * time.Millisecond, 40 * time.Millisecond, 333 * time.Millisecond} {
		t.Run(late.String(), func(t *testing.T) {
			g := recorder(t, record.Config{})
			for i, u := range c.Units {
				g.offset = time.Duration(u.Track) * late
				require.NoError(t, g.r.Work(t.Context(), g.frame(c, i)))
			}
			files := g.close()
			for _, p := range packtest.Probe(t, files[0]) {
				if p.Track == 1 {
					require.EqualValues(t, (late*48000+time.Second/2)/time.Second, p.DTS, "in samples")
					break
				}
			}
			plays(t, files)
		})
	}
}

func TestWhatBreaksTheTimeLineEndsTheFile(t *testing.T) { // R3
	c := pictures(t, false)
	other := &packtest.Clip{Stream: &hal.Stream{Tracks: []hal.Track{c.Stream.Tracks[0]}}, Units: c.Units}
	changed := &packtest.Clip{Stream: &hal.Stream{Tracks: []hal.Track{c.Stream.Tracks[0]}}, Units: c.Units}
	changed.Stream.Tracks[0].FrameRate = 12
	for _, tc := range []struct {
		name  string
		whole bool
		feed  func(g *rig)
		want  []string
	}{
		{"a new run", false, func(g *rig) { g.feed(c, nil); g.run++; g.feed(c, nil) }, []string{gops(3), gops(3)}},
		{"another format", false, func(g *rig) { g.feed(c, nil); g.offset = 3 * time.Second; g.feed(changed, nil) }, []string{gops(3), gops(3)}},
		{"an equal stream goes on", false, func(g *rig) { g.feed(c, nil); g.offset = 3 * time.Second; g.feed(other, nil) }, []string{gops(6)}},
		{"the end of a run", false, func(g *rig) { g.feed(c, nil); must(g.r.Flush(context.Background())); g.feed(c, nil) }, []string{gops(3), gops(3)}},
		{"missing frames, to the next key frame", false, func(g *rig) { g.hole(c, 10, 12) }, []string{gops(1)[:10], gops(2)}},
		{"missing frames before a key frame", false, func(g *rig) { g.hole(c, 20, 25) }, []string{gops(1)[:20], gops(2)}},
		{"missing frames in what must be one file", true, func(g *rig) { g.hole(c, 10, 12) }, []string{gops(1)[:10] + gops(2)}},
		{"a new run in what must be one file", true, func(g *rig) { g.feed(c, nil); g.run++; g.feed(c, nil) }, []string{gops(3), gops(3)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := recorder(t, record.Config{})
			if tc.whole {
				g.dir = filepath.Join(t.TempDir(), "new")
				g.r = record.File(filepath.Join(g.dir, "a.mp4"), record.Config{})
				require.NoError(t, g.r.Open(t.Context(), g.env()))
			}
			tc.feed(g)
			files := g.close()
			var got []string
			for _, path := range files {
				got = append(got, letters(parsed(t, path), 0))
			}
			require.ElementsMatch(t, tc.want, got, names(files))
			plays(t, files)
		})
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// hole feeds a clip without the units from up to to.
func (g *rig) hole(c *packtest.Clip, from, to int) {
	g.t.Helper()
	for i := range c.Units {
		if i >= from && i < to {
			continue
		}
		f := g.frame(c, i)
		f.Gap = i == to
		require.NoError(g.t, g.r.Work(g.t.Context(), f))
	}
}

func TestJPEGWithShortHolesStaysOneFile(t *testing.T) { // R3
	c := packtest.Encode(t, "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=5", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-tag:v", "mp4v")
	for hole, want := range map[int]int{3: 1, 25: 2} {
		g := recorder(t, record.Config{})
		g.hole(c, 10, 10+hole)
		files := g.close()
		require.Len(t, files, want, "%d pictures missing", hole)
		require.Equal(t, c.Count(0)-hole, plays(t, files))
	}
}

func TestSoundAloneBeginsAtOnce(t *testing.T) { // R5
	for format, codec := range map[string]hal.Codec{"alaw": hal.G711A, "mulaw": hal.G711U} {
		c := &packtest.Clip{Stream: &hal.Stream{}}
		track := hal.Track{Codec: codec, TimeScale: 8000, SampleRate: 8000, Channels: 1}
		c.Sound(t, track, format, 160, "-f", "lavfi", "-i", "sine=frequency=1000:duration=3", "-ar", "8000")
		g := recorder(t, record.Config{SegmentDuration: time.Second})
		g.feed(c, nil)
		files := g.close()
		require.Len(t, files, 3)
		samples := 0
		for _, path := range files {
			packtest.Tool(t, "ffmpeg", "-xerror", "-i", path, "-f", "null", "-")
			samples += len(packtest.Tool(t, "ffmpeg", "-i", path, "-f", "s16le", "-")) / 2
		}
		require.Equal(t, 3*8000, samples)
	}
}

func TestAFragmentIsWrittenEverySecond(t *testing.T) { // R2, R3
	c := pictures(t, true)
	g := recorder(t, record.Config{})
	var at []time.Duration
	for i, u := range c.Units {
		before := g.stats().Fragments
		require.NoError(t, g.r.Work(t.Context(), g.frame(c, i)))
		if g.stats().Fragments > before {
			at = append(at, u.DTS)
		}
	}
	require.GreaterOrEqual(t, len(at), 2)
	require.InDelta(t, time.Second, at[0], float64(50*time.Millisecond))
	require.InDelta(t, 2*time.Second, at[1], float64(100*time.Millisecond))
	g.close()
}

func TestWhatCameWithOneWakingIsWrittenWithIt(t *testing.T) { // R2
	c := pictures(t, false)
	synctest.Test(t, func(t *testing.T) {
		g := recorder(t, record.Config{})
		at := 0
		batch := func(n int) uint64 {
			for range n {
				require.NoError(t, g.r.Work(t.Context(), g.frame(c, at)))
				at++
			}
			require.NoError(t, g.r.EndBatch(t.Context()))
			return g.stats().Frames
		}
		wait := func(d time.Duration) { <-time.After(d) }

		require.EqualValues(t, 19, batch(20), "the last frame waits to learn how long it lasts")
		for range 20 {
			wait(40 * time.Millisecond)
			require.EqualValues(t, 19, batch(1), "woken for every frame: a fragment a second")
		}
		wait(time.Second)
		require.EqualValues(t, 53, batch(14), "a waking in two batches")
		require.EqualValues(t, 53, batch(4), "the second is too short for a fragment of its own")
		wait(time.Second)
		require.EqualValues(t, 74, batch(17), "and is written with the next waking")
		require.EqualValues(t, 4, g.stats().Fragments)
		g.close()
	})
}

func TestTooLongAGroupIsEndedOnRequest(t *testing.T) { // R3
	c := pictures(t, false)
	g := recorder(t, record.Config{SegmentDuration: 1500 * time.Millisecond})
	g.feed(c, nil)
	require.Equal(t, 1, g.asked, "a key frame is asked for once")
	require.Len(t, g.close(), 2)
}

func TestDurationEndsTheRecording(t *testing.T) {
	c := pictures(t, true)
	for _, cfg := range []record.Config{
		{Duration: 2 * time.Second},
		{Duration: 2 * time.Second, SegmentDuration: time.Second},
	} {
		g := recorder(t, cfg)
		g.feed(c, nil)
		select {
		case <-g.r.Done():
		default:
			t.Fatal("the recording has not ended")
		}
		files := g.close()
		n := counts(t, files, 2)
		require.Equal(t, 50, n[0])
		require.InDelta(t, 94, n[1], 1)
		require.Equal(t, 50, plays(t, files))
	}
}

func TestParameterSetsInTheFramesWillDo(t *testing.T) { // R5
	c := pictures(t, false)
	bare := &packtest.Clip{Stream: &hal.Stream{Tracks: []hal.Track{{Codec: hal.H264, TimeScale: 90000}}}}
	sps, pps := c.Stream.Tracks[0].SPS, c.Stream.Tracks[0].PPS
	for i, u := range c.Units {
		if u.Key && i > 0 { // the first key frame comes without
			u.Bytes = append(append(prefixed(sps), prefixed(pps)...), u.Bytes...)
		}
		bare.Units = append(bare.Units, u)
	}
	g := recorder(t, record.Config{})
	g.feed(bare, nil)
	files := g.close()
	require.Equal(t, 50, plays(t, files))
	require.Contains(t, g.log.String(), "no parameter sets yet")
	require.EqualValues(t, 25, g.stats().Skipped)
}

func prefixed(unit []byte) []byte {
	n := len(unit)
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, unit...)
}

func TestATrackThatMP4CannotHoldIsLeftOutAndSaidOnce(t *testing.T) { // R5
	c := pictures(t, false)
	c.Sound(t, hal.Track{Codec: hal.LPCM, TimeScale: 8000, SampleRate: 8000, Channels: 1, BitDepth: 8}, "u8", 160, "-f", "lavfi", "-i", "sine=duration=3", "-ar", "8000")
	g := recorder(t, record.Config{SegmentDuration: time.Second})
	g.feed(c, nil)
	files := g.close()
	require.Len(t, files, 3)
	require.Equal(t, 75, plays(t, files))
	require.Len(t, g.stats().Omitted, 1)
	require.Contains(t, g.stats().Omitted[0], "samples of 8 bits")
}

func TestAStreamWithNothingToStoreIsRefused(t *testing.T) { // R5
	for _, track := range []hal.Track{
		{Codec: hal.Raw, Width: 64, Height: 64},
		{Codec: hal.LPCM, SampleRate: 8000, Channels: 1, BitDepth: 8},
	} {
		g := recorder(t, record.Config{})
		b, err := g.arena.Get(100)
		require.NoError(t, err)
		err = g.r.Work(t.Context(), hal.Frame{Buf: b, Stream: &hal.Stream{Tracks: []hal.Track{track}}, Key: true})
		require.ErrorIs(t, err, hal.ErrUnsupported)
		require.ErrorContains(t, err, track.Codec.String())
		require.Empty(t, g.close())
	}
}

func TestNamesSortByWhatCameFirst(t *testing.T) { // order comes from the number, never from the wall clock
	c := pictures(t, false)
	g := recorder(t, record.Config{SegmentDuration: time.Second})
	now := time.Date(2026, 11, 20, 11, 22, 33, 0, time.UTC)
	g.clock.Observe(g.clock.Mono(), now)
	g.feed(c, nil)
	require.NoError(t, g.r.Flush(t.Context()))
	require.NoError(t, g.r.Close())
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "99999999999999999999-x.mp4"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "notes.txt"), nil, 0o600))

	g.clock.Observe(g.clock.Mono(), now.Add(-time.Hour))
	require.NoError(t, g.r.Open(t.Context(), g.env()))
	g.feed(c, nil)
	require.Equal(t, "[00000001-20261120T112233Z.mp4 00000002-20261120T112233Z.mp4 00000003-20261120T112233Z.mp4 "+
		"00000004-20261120T102233Z.mp4 00000005-20261120T102233Z.mp4 00000006-20261120T102233Z.mp4 "+
		"99999999999999999999-x.mp4 notes.txt]", names(g.close()))
}
