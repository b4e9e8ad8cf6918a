package flv_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/flv"
	"github.com/millrace-video/millrace/hal/flv/flvtest"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// pictures returns the tags of the small clip's pictures, the sequence header first, and of its sound.
func pictures(t testing.TB) (video, audio [][]byte) {
	t.Helper()
	for _, tag := range small(t)[1:] {
		if tag[0] == flvtest.Video {
			video = append(video, tag)
		} else {
			audio = append(audio, tag)
		}
	}
	return video, audio
}

// inter is a picture that needs the key frame, with as much time between decoding and showing.
func inter(video [][]byte) []byte {
	tag := bytes.Clone(video[3])
	copy(tag[13:16], video[1][13:16])
	return tag
}

// timed gives a tag another time stamp.
func timed(tag []byte, ms int64) []byte {
	tag = bytes.Clone(tag)
	tag[4], tag[5], tag[6], tag[7] = byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24)
	return tag
}

// TestTimeStamps: H6. A picture that is no key frame is shown at each of these times. What arrives at
// once after a jump counts as one millisecond later.
func TestTimeStamps(t *testing.T) {
	const turn = 1 << 32
	for _, tc := range []struct {
		name string
		ms   []int64
		want []int // ms
		gaps int
	}{
		{"they begin anywhere", []int64{123456789, 123456829, 123456869}, []int{0, 40, 80}, 0},
		{"the extension byte counts", []int64{0xfffff0, 0x1000010, 0x1000030}, []int{0, 32, 64}, 0},
		{"32 bits turn over", []int64{turn - 40, turn, turn + 40}, []int{0, 40, 80}, 0},
		{"24 bits turn over without the extension", []int64{1<<24 - 40, 0, 40}, []int{0, 40, 80}, 0},
		{"they repeat", []int64{0, 40, 40, 80}, []int{0, 40, 40, 80}, 0},
		{"a step back is not one of DTS", []int64{0, 400, 360, 440, 480}, []int{0, 400, 400, 440, 480}, 0},
		{"the camera starts again", []int64{50_000, 50_040, 0, 40, 80}, []int{0, 40, 41, 81, 121}, 1},
		{"a jump far ahead", []int64{0, 40, 9_000_000, 9_000_040}, []int{0, 40, 41, 81}, 1},
		{"a pause of seconds", []int64{0, 40, 8_040}, []int{0, 40, 8040}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			video, _ := pictures(t)
			b := slices.Concat(flvtest.Header(1), video[0], timed(video[1], tc.ms[0]))
			for _, ms := range tc.ms[1:] {
				b = append(b, timed(inter(video), ms)...)
			}
			frames, _, err := all(t, open(t, driver(closing(b)), address, hal.Options{}))
			brokenOff(t, err)
			var at []int
			gaps := 0
			for _, f := range frames {
				at = append(at, int(f.DTS.Milliseconds()))
				if f.Gap {
					gaps++
				}
			}
			require.Equal(t, tc.want, at)
			require.Equal(t, tc.gaps, gaps)
		})
	}
}

// TestSoundStaysWithThePictures where both clocks are set anew, one after the other.
func TestSoundStaysWithThePictures(t *testing.T) {
	video, audio := pictures(t)
	b := slices.Concat(flvtest.Header(5), video[0], audio[0])
	show := func(tag []byte, ms int64) { b = append(b, timed(tag, ms)...) }
	show(video[1], 70_000)
	show(audio[1], 70_010)
	show(inter(video), 70_100)
	show(audio[2], 70_110)
	show(inter(video), 500) // the camera started again
	show(audio[2], 520)
	show(inter(video), 600)
	show(audio[2], 620)
	frames, _, err := all(t, open(t, driver(closing(b)), address, hal.Options{}))
	brokenOff(t, err)
	require.Len(t, frames, 8)
	for i := 0; i < len(frames); i += 2 {
		apart := frames[i+1].DTS - frames[i].DTS
		require.Equal(t, map[bool]time.Duration{true: 10 * time.Millisecond, false: 20 * time.Millisecond}[i < 4], apart, "pair %d", i/2)
	}
	require.True(t, frames[4].Gap)
	require.True(t, frames[5].Gap)
}

// TestParameterSetsThatChange: H6. Equal ones keep the pointer.
func TestParameterSetsThatChange(t *testing.T) {
	a, b := clip(t, tiny), clip(t, strings.Replace(tiny, "64x48", "96x64", 1))
	one := tags(flvtest.Muxer{Way: flvtest.Legacy, Stream: a.Stream}, a.Units)
	two := tags(flvtest.Muxer{Way: flvtest.Enhanced, Stream: b.Stream, Base: 700}, b.Units)
	three := tags(flvtest.Muxer{Way: flvtest.Legacy, Stream: a.Stream, Base: 1400}, a.Units)
	again := tags(flvtest.Muxer{Way: flvtest.Enhanced, Stream: b.Stream, Base: 700}, nil)
	feed := slices.Concat(one...)
	feed = append(feed, slices.Concat(one[:2]...)...) // the same sequence headers again
	feed = append(feed, one[len(one)-1]...)
	feed = append(feed, slices.Concat(two[:2]...)...)
	feed = append(feed, two[2+firstInter(b)]...) // a picture that nothing goes before
	feed = append(feed, slices.Concat(two[2:]...)...)
	feed = append(feed, slices.Concat(again...)...)
	feed = append(feed, slices.Concat(three...)...)
	s := open(t, driver(closing(slices.Concat(flvtest.Header(5), feed))), address, hal.Options{})
	first := s.Stream()
	frames, streams, err := all(t, s)
	brokenOff(t, err)
	require.Same(t, first, streams[0])
	sizes := make([]int, 0, len(streams))
	for _, st := range streams {
		sizes = append(sizes, st.Tracks[st.Video()].Width)
	}
	require.Equal(t, []int{64, 96, 64}, sizes)
	require.Len(t, frames, 2*len(a.Units)+len(b.Units)+1)
	require.EqualValues(t, 1, s.SourceStats().Dropped)
	require.Same(t, streams[2], s.Stream())
}

func firstInter(c *packtest.Clip) int {
	return slices.IndexFunc(c.Units, func(u packtest.Unit) bool { return !u.Key })
}

// TestTracksThatDoNotKeepTheirWord: H6. What is announced and does not come holds nothing up; what
// comes unannounced makes another stream.
func TestTracksThatDoNotKeepTheirWord(t *testing.T) {
	video, audio := pictures(t)
	t.Run("sound is announced and does not come", func(t *testing.T) {
		s := open(t, driver(closing(slices.Concat(flvtest.Header(5), slices.Concat(video...)))), address, hal.Options{})
		frames, streams, _ := all(t, s)
		require.Len(t, frames, len(video)-1)
		require.Len(t, streams[0].Tracks, 1)
	})
	t.Run("and nothing ends the stream", func(t *testing.T) {
		answer := closing(slices.Concat(flvtest.Header(5), slices.Concat(video...)))
		d := flv.Driver{Patience: 10 * time.Millisecond, Dial: func(context.Context, string, string) (net.Conn, error) {
			w := newWire(answer)
			w.open = true
			return w, nil
		}}
		s := open(t, d, address, hal.Options{})
		for range len(video) - 1 {
			f, err := s.Read(t.Context())
			require.NoError(t, err)
			f.Release()
		}
	})
	t.Run("pictures are announced and do not come", func(t *testing.T) {
		s := open(t, driver(closing(slices.Concat(flvtest.Header(5), slices.Concat(audio...)))), address, hal.Options{})
		require.Equal(t, []hal.Codec{hal.AAC}, codecs(s.Stream()))
	})
	t.Run("sound comes unannounced", func(t *testing.T) {
		s := open(t, driver(closing(slices.Concat(flvtest.Header(1), slices.Concat(video...), slices.Concat(audio...)))), address, hal.Options{})
		require.Equal(t, []hal.Codec{hal.H264}, codecs(s.Stream()))
		frames, streams, _ := all(t, s)
		require.Len(t, streams, 2)
		require.Equal(t, []hal.Codec{hal.H264, hal.AAC}, codecs(streams[1]))
		require.Len(t, frames, len(video)+len(audio)-2)
	})
	t.Run("a track that is not taken is left out", func(t *testing.T) {
		mp3 := flvtest.Tag(flvtest.Audio, 0, 0x2f, 1, 2, 3)
		s := open(t, driver(closing(slices.Concat(flvtest.Header(5), mp3, slices.Concat(video...)))), address, hal.Options{})
		require.Equal(t, []hal.Codec{hal.H264}, codecs(s.Stream()))
	})
}

func codecs(s *hal.Stream) (all []hal.Codec) {
	for _, t := range s.Tracks {
		all = append(all, t.Codec)
	}
	return all
}

// TestG711: H6.
func TestG711(t *testing.T) {
	for _, codec := range []hal.Codec{hal.G711A, hal.G711U} {
		st := &hal.Stream{Tracks: []hal.Track{{Codec: codec, TimeScale: 1000, SampleRate: 8000, Channels: 1}}}
		m := flvtest.Muxer{Way: flvtest.Legacy, Stream: st}
		b := slices.Concat(flvtest.Header(4), m.Frame(0, 0, 0, true, []byte("abc")), m.Frame(0, 20*time.Millisecond, 0, true, []byte("defg")))
		frames, streams, err := all(t, open(t, driver(closing(b)), address, hal.Options{}))
		brokenOff(t, err)
		require.True(t, st.Equal(streams[0]), "%v", streams[0].Tracks)
		require.Len(t, frames, 2)
		require.Equal(t, "defg", frames[1].Bytes)
	}
}

// TestLengthsAndFurtherSets: NAL units with lengths of 2 bytes come with 4, and sets that only the
// sequence header has go before each key frame.
func TestLengthsAndFurtherSets(t *testing.T) {
	c := clip(t, tiny)
	track, second := c.Stream.Tracks[c.Stream.Video()], []byte{0x68, 0x5b, 0x81, 0x72} // number 1
	size := func(p []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...) }
	record := slices.Concat([]byte{1, 0, 0, 0, 0xfd, 0xe1}, size(track.SPS), []byte{2}, size(track.PPS), size(second))
	b := slices.Concat(flvtest.Header(1), flvtest.Tag(flvtest.Video, 0, slices.Concat([]byte{0x17, 0, 0, 0, 0}, record)...))
	var want []packtest.Unit
	for _, u := range c.Units {
		if u.Track != c.Stream.Video() {
			continue
		}
		want = append(want, u)
		head := []byte{0x27, 1, 0, 0, 0}
		if u.Key {
			head[0] = 0x17
		}
		for walk := nal.Prefixed(u.Bytes); ; {
			unit, ok := walk.Next()
			if !ok {
				break
			}
			head = append(head, size(unit)...)
		}
		b = append(b, flvtest.Tag(flvtest.Video, uint32(u.DTS.Milliseconds()), head...)...)
	}
	frames, _, err := all(t, open(t, driver(closing(b)), address, hal.Options{}))
	brokenOff(t, err)
	require.Len(t, frames, len(want))
	for i, f := range frames {
		before := ""
		if want[i].Key {
			before = string(nal.Append(nil, second))
		}
		require.Equal(t, before+string(want[i].Bytes), f.Bytes)
	}
}

// TestParameterSetsInBand: a camera whose sequence header has none, or that sends no header at all.
func TestParameterSetsInBand(t *testing.T) {
	c := clip(t, tiny)
	track := c.Stream.Tracks[c.Stream.Video()]
	b := flvtest.Header(1)
	m := flvtest.Muxer{Way: flvtest.Legacy, Stream: c.Stream}
	for _, u := range c.Units {
		if u.Track != c.Stream.Video() {
			continue
		}
		unit := u.Bytes
		if u.Key {
			unit = slices.Concat(nal.Append(nal.Append(nil, track.SPS), track.PPS), u.Bytes)
		}
		b = append(b, m.Frame(u.Track, u.DTS, u.PTS, u.Key, unit)...)
	}
	frames, streams, _ := all(t, open(t, driver(closing(b)), address, hal.Options{}))
	require.Len(t, frames, c.Count(c.Stream.Video()))
	require.Len(t, streams, 1)
	require.Equal(t, track.SPS, streams[0].Tracks[0].SPS)
	require.Equal(t, string(c.Units[0].Bytes), frames[0].Bytes)
}

// TestAReadThatIsCancelledLosesNothing, wherever in a tag that happens: the answer comes byte by byte.
func TestAReadThatIsCancelledLosesNothing(t *testing.T) {
	film := slices.Concat(small(t)...)
	ours, theirs := net.Pipe()
	go func() {
		request := make([]byte, 4096)
		_, _ = theirs.Read(request)
		_, _ = theirs.Write([]byte(ok10))
		_, _ = theirs.Write(film[:600])
		for _, b := range film[600:] {
			if _, err := theirs.Write([]byte{b}); err != nil {
				return
			}
		}
		_ = theirs.Close()
	}()
	s := open(t, flv.Driver{Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }, Patience: time.Minute}, address, hal.Options{})
	var frames []string
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%7)*20*time.Microsecond)
		f, err := s.Read(ctx)
		gaveUp := ctx.Err() != nil
		cancel()
		if err == nil {
			frames = append(frames, string(f.Buf.Bytes()))
			f.Release()
		} else if !gaveUp {
			brokenOff(t, err)
			break
		}
	}
	want := clip(t, tiny).Units
	require.Len(t, frames, len(want))
	for i, f := range frames {
		require.Equal(t, string(want[i].Bytes), f)
	}
}

// TestAFullArena: P6. A live stream lets frames go and says so; a download waits and loses nothing.
func TestAFullArena(t *testing.T) {
	c := clip(t, picture+tone+x264+aac)
	film := film(t, c, flvtest.Legacy)
	opts := hal.Options{ArenaMax: 64 << 10}
	s := open(t, driver(closing(film)), address, opts)
	var held []hal.Frame
	var err error
	for err == nil {
		var f hal.Frame
		if f, err = s.Read(t.Context()); err == nil {
			held = append(held, f)
		}
	}
	brokenOff(t, err)
	require.Positive(t, s.SourceStats().Dropped)
	require.Less(t, len(held), len(c.Units))
	for _, f := range held {
		f.Release()
	}

	s = open(t, driver(download(film)), address, opts)
	read := make(chan hal.Frame, len(c.Units))
	go func() {
		defer close(read)
		for {
			f, err := s.Read(t.Context())
			if err != nil {
				return
			}
			read <- f
		}
	}()
	n := 0
	for f := range read { // behind the reader
		n++
		f.Release()
	}
	require.Len(t, c.Units, n)
	require.Zero(t, s.SourceStats().Dropped)
	_, err = s.Read(t.Context())
	require.Equal(t, io.EOF, err)
}

// TestALiveStreamThatEndsWasBrokenOff: the last chunk is no clean end of a camera.
func TestALiveStreamThatEndsWasBrokenOff(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, tag := range small(t) {
			_, _ = w.Write(tag)
			_ = http.NewResponseController(w).Flush()
		}
	})
	frames, _, err := all(t, open(t, flv.Driver{}, at+"/x.flv", hal.Options{}))
	require.Len(t, frames, len(clip(t, tiny).Units))
	brokenOff(t, err)
	require.ErrorContains(t, err, "the server ended the stream")
}

// TestNothingIsAllocated: P3, a frame from the connection to the arena, in chunks, for H.264 and AAC.
func TestNothingIsAllocated(t *testing.T) {
	for _, args := range []string{picture + tone + x264 + aac, picture + x265} {
		c := clip(t, args)
		s := open(t, flv.Driver{Dial: func(context.Context, string, string) (net.Conn, error) {
			return newReel(c), nil
		}}, address, hal.Options{})
		read := func() {
			f, err := s.Read(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			f.Release()
		}
		for range 3000 {
			read()
		}
		require.Zero(t, testing.AllocsPerRun(10_000, read), "allocations a frame")
		st := s.SourceStats()
		require.Zero(t, st.Malformed+st.Dropped+st.Recovered, st.Fault)
	}
}

// reel is a camera that shows a clip over and over, as fast as it is taken.
type reel struct {
	net.Conn

	head, lap []byte
	stamps    []int // where time stamps lie in lap
	length    uint32
	at        int
}

func newReel(c *packtest.Clip) *reel {
	m := flvtest.Muxer{Way: flvtest.Enhanced, Stream: c.Stream}
	r := &reel{head: slices.Concat([]byte(okChunked), chunk(flvtest.Header(5)))}
	for _, t := range c.Stream.Tracks {
		r.head = append(r.head, chunk(m.Config(t))...)
	}
	for _, u := range c.Units {
		tag := m.Frame(u.Track, u.DTS, u.PTS, u.Key, u.Bytes)
		framed := chunk(tag)
		r.stamps = append(r.stamps, len(r.lap)+len(framed)-2-len(tag)+4)
		r.lap = append(r.lap, framed...)
		r.length = max(r.length, uint32(u.PTS.Milliseconds())+40)
	}
	return r
}

func chunk(b []byte) []byte {
	framed := chunked(b, len(b))
	return framed[len(okChunked) : len(framed)-len("0\r\nX-Trailer: 1\r\n\r\n")]
}

func (r *reel) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	n := copy(p, r.lap[r.at:])
	if r.at += n; r.at == len(r.lap) {
		r.at = 0
		for _, at := range r.stamps {
			b := r.lap[at:]
			ms := uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) | uint32(b[3])<<24
			ms += r.length
			b[0], b[1], b[2], b[3] = byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24)
		}
	}
	return n, nil
}

func (r *reel) Write(p []byte) (int, error)     { return len(p), nil }
func (r *reel) SetReadDeadline(time.Time) error { return nil }
func (r *reel) Close() error                    { return nil }

// BenchmarkRead: one frame from the connection to the arena.
func BenchmarkRead(b *testing.B) {
	c := clip(b, picture+tone+x264+aac)
	s := open(b, flv.Driver{Dial: func(context.Context, string, string) (net.Conn, error) { return newReel(c), nil }}, address, hal.Options{})
	b.ReportAllocs()
	for b.Loop() {
		f, err := s.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
}
