package encode_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/encode"
)

var (
	_ pipeline.Stage       = (*encode.Stage)(nil)
	_ pipeline.Passer      = (*encode.Stage)(nil)
	_ pipeline.Prioritised = (*encode.Stage)(nil)
	_ pipeline.Extra       = (*encode.Stage)(nil)
	_ pipeline.Counting    = (*encode.Stage)(nil)
	_ hal.KeyFramer        = (*encode.Stage)(nil)
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// bench is a channel around one stage: pictures and sound in, a list of what came out.
type bench struct {
	t                *testing.T
	stage            *encode.Stage
	env              pipeline.Env
	buffers          *pool.Buffers // of raw pictures
	audio            *pool.Arena
	pictureN, soundN int
	run              uint32

	mu     sync.Mutex
	out    []hal.Frame // still on loan
	refuse error
}

func raw(t testing.TB, f hal.PixelFormat, w, h int) hal.Track {
	t.Helper()
	l, err := hal.PackedLayout(f, w, h)
	require.NoError(t, err)
	return hal.Track{Codec: hal.Raw, TimeScale: 90000, Width: w, Height: h, FrameRate: 25, Layout: l}
}

func lpcm() hal.Track {
	return hal.Track{Codec: hal.LPCM, TimeScale: 8000, SampleRate: 8000, Channels: 1, BitDepth: 16}
}

func newBench(t *testing.T, stage *encode.Stage) *bench {
	t.Helper()
	p, err := pool.NewPool(64)
	require.NoError(t, err)
	w, err := p.Reserve(stage.Workers())
	require.NoError(t, err)
	buffers, err := pool.NewBuffers(16, 640*480*2)
	require.NoError(t, err)
	b := &bench{t: t, stage: stage, buffers: buffers, audio: pool.NewArena(pool.ArenaConfig{})}
	b.env = pipeline.Env{Channel: "gate", Workers: w, Clock: hal.NewClock(), Out: b.take}
	t.Cleanup(func() {
		require.NoError(t, stage.Close())
		require.NoError(t, stage.Close(), "a second call is harmless")
		w.Wait()
		w.Close()
		require.NoError(t, p.Close(time.Minute))
		b.clear()
		require.Zero(t, b.buffers.Held(), "pictures never released")
		require.Zero(t, b.audio.Stats().Held, "sound never released")
	})
	return b
}

func (b *bench) open() *bench {
	require.NoError(b.t, b.stage.Open(b.t.Context(), b.env))
	return b
}

func (b *bench) take(f hal.Frame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		f.Release()
		return b.refuse
	}
	b.out = append(b.out, f)
	return nil
}

func (b *bench) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.out {
		f.Release()
	}
	b.out = nil
}

// picture makes the next raw picture: a slope that moves.
func (b *bench) picture(s *hal.Stream, track int) hal.Frame {
	buf, err := b.buffers.Take(b.t.Context())
	require.NoError(b.t, err)
	paint(s.Tracks[track], buf.Bytes(), b.pictureN)
	at := time.Duration(b.pictureN) * 40 * time.Millisecond
	b.pictureN++
	return hal.Frame{Buf: buf, Stream: s, Track: track, Key: true, Stamp: hal.Stamp{Run: b.run, DTS: at, PTS: at, Mono: int64(at)}}
}

// sound makes the next piece of sound, which belongs 10 ms behind the picture before it.
func (b *bench) sound(s *hal.Stream, track int) hal.Frame {
	buf, err := b.audio.Get(160)
	require.NoError(b.t, err)
	at := time.Duration(b.soundN)*40*time.Millisecond + 10*time.Millisecond
	b.soundN++
	return hal.Frame{Buf: buf, Stream: s, Track: track, Key: true, Stamp: hal.Stamp{Run: b.run, DTS: at, PTS: at, Mono: int64(at)}}
}

// paint draws a slope that moves with n: what is at x, y of the whole picture is slope(n, x, y).
func paint(tr hal.Track, mem []byte, n int) {
	p := tr.Layout.Planes
	for i := range mem[:tr.Layout.Size] {
		mem[i] = 128
	}
	for y := range tr.Height {
		for x := range tr.Width {
			switch tr.Layout.Pixel {
			case hal.YUYV:
				mem[y*p[0].Stride+2*x] = slope(n, x, y)
			case hal.UYVY:
				mem[y*p[0].Stride+2*x+1] = slope(n, x, y)
			case hal.I420, hal.NV12, hal.NV21, hal.NM12, hal.YM12, hal.PixelUnknown:
				mem[y*p[0].Stride+x] = slope(n, x, y)
			}
		}
	}
}

func slope(n, x, y int) byte { return byte(60 + (x/2+y/4+n)%120) }

func (b *bench) work(f hal.Frame) {
	require.NoError(b.t, b.stage.Work(b.t.Context(), f))
}

func (b *bench) flush() {
	require.NoError(b.t, b.stage.Flush(b.t.Context()))
}

// pictures and sounds return what came out, by track kind.
func (b *bench) pictures() []hal.Frame { return b.which(true) }

func (b *bench) which(video bool) []hal.Frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []hal.Frame
	for _, f := range b.out {
		if f.Info().Codec.IsVideo() == video {
			all = append(all, f)
		}
	}
	return all
}

func stats(s *encode.Stage) encode.Stats { return s.Stats().(encode.Stats) } //nolint:forcetypeassert // that is what it is

func withSoft() *hal.Registry { return hal.NewRegistry(soft.Driver{}) }

func TestWhatIsEncodedAlreadyPasses(t *testing.T) {
	s := encode.To(withSoft(), hal.H264, encode.Config{})
	h264 := hal.Track{Codec: hal.H264, Width: 64, Height: 64}
	require.True(t, s.Passes(&hal.Stream{Tracks: []hal.Track{h264}}))
	require.True(t, s.Passes(&hal.Stream{Tracks: []hal.Track{lpcm(), h264}}))
	require.True(t, s.Passes(&hal.Stream{Tracks: []hal.Track{lpcm()}}))
	require.False(t, s.Passes(&hal.Stream{Tracks: []hal.Track{lpcm(), raw(t, hal.I420, 64, 64)}}))

	// and it does where the engine hands it over all the same
	b := newBench(t, s).open()
	stream := &hal.Stream{Tracks: []hal.Track{lpcm()}}
	b.work(b.sound(stream, 0))
	b.flush()
	require.Len(t, b.out, 1)
	require.Same(t, stream, b.out[0].Stream)
}

// H3: where nobody names a codec, raw pictures become H.264, and JPEG where nothing makes that. What only
// passes needs no encoder: none is looked for, whose library would stay in memory.
func TestTheCodecThatNobodyNamesIsChosenWithTheFirstRawPicture(t *testing.T) {
	fake := &fakes{list: []*fake{{name: "h264", inputs: []hal.PixelFormat{hal.I420}}}}
	for name, tc := range map[string]struct {
		reg  *hal.Registry
		want hal.Codec
	}{
		"H.264 is there": {hal.NewRegistry(fake), hal.H264},
		"it is not":      {hal.NewRegistry(soft.Driver{OpenH264: []string{"/none.so"}}), hal.MJPEG},
	} {
		t.Run(name, func(t *testing.T) {
			before := fake.listed
			b := newBench(t, encode.To(tc.reg, hal.CodecUnknown, encode.Config{})).open()
			coded := &hal.Stream{Tracks: []hal.Track{lpcm()}}
			b.work(b.sound(coded, 0))
			require.Equal(t, before, fake.listed, "nobody looks while frames only pass")
			b.work(b.picture(&hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 64, 64)}}, 0))
			b.flush()
			require.Equal(t, tc.want, b.out[len(b.out)-1].Info().Codec)
		})
	}
	require.Equal(t, 4, encode.To(hal.NewRegistry(), hal.CodecUnknown, encode.Config{Parallel: 3}).Workers(), "it may be JPEG")
}

func TestDefaults(t *testing.T) { // P5: the encode stage stands above the others
	s := encode.To(withSoft(), hal.H264, encode.Config{})
	require.Equal(t, "encode", s.Name())
	require.Equal(t, -5, s.Nice())
	require.Equal(t, 1, s.Workers())
	require.Equal(t, 4, encode.To(withSoft(), hal.MJPEG, encode.Config{Parallel: 3}).Workers())
	require.Equal(t, 1, encode.To(withSoft(), hal.H264, encode.Config{Parallel: 3}).Workers())
}

func TestOpenTakesAllOrNothing(t *testing.T) { // P4
	for name, tc := range map[string]struct {
		reg    *hal.Registry
		codec  hal.Codec
		cfg    encode.Config
		change func(*pipeline.Env)
		want   string
	}{
		"no encoder":  {reg: withSoft(), codec: hal.AV1, want: "no encoder for av1"},
		"no driver":   {reg: hal.NewRegistry(), codec: hal.H264, want: "no encoder for h264"},
		"bit rate":    {reg: withSoft(), codec: hal.H264, cfg: encode.Config{Bitrate: -1}, want: "bit rate -1"},
		"GOP":         {reg: withSoft(), codec: hal.H264, cfg: encode.Config{GOP: -1}, want: "GOP -1"},
		"quality":     {reg: withSoft(), codec: hal.MJPEG, cfg: encode.Config{Quality: 101}, want: "quality 101"},
		"parallel":    {reg: withSoft(), codec: hal.MJPEG, cfg: encode.Config{Parallel: -1}, want: "parallel -1"},
		"nice":        {reg: withSoft(), codec: hal.H264, cfg: encode.Config{Nice: 20}, want: "nice 20"},
		"profile":     {reg: withSoft(), codec: hal.H264, cfg: encode.Config{Profile: "x"}, want: "baseline, main, high"},
		"pixel":       {reg: withSoft(), codec: hal.H264, cfg: encode.Config{Pixel: hal.YUYV}, want: "i420 or nv12"},
		"crop":        {reg: withSoft(), codec: hal.H264, cfg: encode.Config{Crop: encode.Rect{X: 1, Width: 2, Height: 2}}, want: "even numbers"},
		"scale":       {reg: withSoft(), codec: hal.H264, cfg: encode.Config{Scale: encode.Size{Width: 3, Height: 2}}, want: "scale to 3x2"},
		"in a branch": {reg: withSoft(), codec: hal.H264, change: func(e *pipeline.Env) { e.Out = nil }, want: "trunk"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, encode.To(tc.reg, tc.codec, tc.cfg))
			if tc.change != nil {
				tc.change(&b.env)
			}
			require.ErrorContains(t, b.stage.Open(t.Context(), b.env), tc.want)
			require.Zero(t, b.env.Workers.Running())
		})
	}
	t.Run("no worker left", func(t *testing.T) {
		b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{}))
		block := make(chan struct{})
		require.NoError(t, b.env.Workers.Go(func() error { <-block; return nil }, nil))
		require.ErrorIs(t, b.stage.Open(t.Context(), b.env), pool.ErrShareUsedUp)
		close(block)
	})
}

func TestPicturesBecomeFramesAndSoundKeepsItsPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		reg   *hal.Registry
		codec hal.Codec
		cfg   encode.Config
	}{
		"openh264":              {withSoft(), hal.H264, encode.Config{GOP: 5}},
		"JPEG":                  {withSoft(), hal.MJPEG, encode.Config{}},
		"JPEG, four at once":    {withSoft(), hal.MJPEG, encode.Config{Parallel: 4}},
		"JPEG by Go itself":     {withSoft(), hal.MJPEG, encode.Config{Parallel: 2, Prefer: []string{"gojpeg"}}},
		"an encoder with delay": {hal.NewRegistry(&fakes{list: []*fake{{name: "slow", delay: 3}}}), hal.H264, encode.Config{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, encode.To(tc.reg, tc.codec, tc.cfg)).open()
			in := &hal.Stream{Tracks: []hal.Track{lpcm(), raw(t, hal.YUYV, 160, 120)}}
			const count = 20
			b.work(b.sound(in, 0)) // before the first picture: nobody knows the stream yet
			b.soundN = 0
			for range count {
				b.work(b.picture(in, 1))
				b.work(b.sound(in, 0))
			}
			b.flush()
			require.Len(t, b.out, 2*count+1)
			for i, f := range b.out[1:] {
				require.Same(t, b.out[0].Stream, f.Stream, "one stream for all")
				at := time.Duration(i/2) * 40 * time.Millisecond
				if i%2 == 1 {
					at += 10 * time.Millisecond
				}
				require.Equal(t, at, f.Stamp.DTS, "frame %d", i)
				require.Equal(t, 1-i%2, f.Track)
				require.False(t, f.Gap)
				if i%2 == 0 {
					require.Positive(t, f.EncodeBegin)
				}
			}
			s := b.out[0].Stream
			require.Equal(t, lpcm(), s.Tracks[0])
			require.Equal(t, tc.codec, s.Tracks[1].Codec)
			require.Equal(t, 160, s.Tracks[1].Width)

			st := stats(b.stage)
			require.EqualValues(t, count, st.Pictures)
			require.EqualValues(t, count, st.Frames)
			require.Positive(t, st.Bytes)
			require.NotEmpty(t, st.Encoder)
			require.Zero(t, st.Lost+st.Failures)
		})
	}
}

func TestTheNextRunKeepsTheStream(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{GOP: 100})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.NV12, 160, 120)}}
	for run := range 3 {
		b.run, b.pictureN = uint32(run), 0
		for range 4 {
			b.work(b.picture(in, 0))
		}
		if run == 0 {
			b.flush() // of the others none: a new run speaks for itself
		}
	}
	b.flush()
	frames := b.pictures()
	require.Len(t, frames, 12)
	for i, f := range frames {
		require.Same(t, frames[0].Stream, f.Stream, "equal parameters keep the pointer")
		require.Equal(t, i%4 == 0, f.Key)
		require.EqualValues(t, i/4, f.Stamp.Run)
	}
}

func TestAnEqualStreamChangesNothing(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{GOP: 100})).open()
	for range 4 {
		b.work(b.picture(&hal.Stream{Tracks: []hal.Track{raw(t, hal.NV12, 160, 120)}}, 0))
	}
	b.flush()
	for i, f := range b.pictures() {
		require.Equal(t, i == 0, f.Key)
	}
}

func TestAnotherFormatOpensTheEncoderAnew(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{GOP: 100})).open()
	streams := []*hal.Stream{
		{Tracks: []hal.Track{raw(t, hal.YUYV, 160, 120), lpcm()}},
		{Tracks: []hal.Track{raw(t, hal.NV12, 160, 120), lpcm()}}, // looks the same when encoded
		{Tracks: []hal.Track{raw(t, hal.NV12, 320, 240), lpcm()}},
		{Tracks: []hal.Track{raw(t, hal.NV12, 320, 240)}},
	}
	for _, in := range streams {
		b.work(b.picture(in, 0))
		b.work(b.picture(in, 0))
		if len(in.Tracks) > 1 {
			b.work(b.sound(in, 1))
		}
	}
	b.flush()
	frames := b.pictures()
	require.Len(t, frames, 8)
	require.Len(t, b.which(false), 3)
	for i := range frames {
		require.Equal(t, i%2 == 0, frames[i].Key)
		require.Same(t, frames[i/2*2].Stream, frames[i].Stream)
	}
	require.Same(t, frames[0].Stream, frames[2].Stream)
	require.NotSame(t, frames[2].Stream, frames[4].Stream)
	require.NotSame(t, frames[4].Stream, frames[6].Stream)
	require.Len(t, frames[6].Stream.Tracks, 1)
	require.Equal(t, 320, frames[4].Info().Width)
}

func TestRequestKeyFrame(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{GOP: 100})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120)}}
	b.work(b.picture(in, 0))
	b.work(b.picture(in, 0))
	b.stage.RequestKeyFrame()
	b.work(b.picture(in, 0))
	b.work(b.picture(in, 0))
	b.flush()
	keys := ""
	for _, f := range b.pictures() {
		keys += map[bool]string{true: "I", false: "p"}[f.Key]
	}
	require.Equal(t, "IpIp", keys)
}

// H3: software is the fallback of hardware that fails.
func TestAnEncoderThatKeepsFailingGivesWayToTheNext(t *testing.T) {
	for name, bad := range map[string]*fake{
		"in Write": {name: "bad", rank: 100, failWrite: 2},
		"in Read":  {name: "bad", rank: 100, failRead: 2},
		"at once":  {name: "bad", rank: 100, failOpen: errors.New("device is busy")},
	} {
		t.Run(name, func(t *testing.T) {
			good := &fake{name: "good", rank: 50}
			b := newBench(t, encode.To(hal.NewRegistry(&fakes{list: []*fake{good, bad}}), hal.H264, encode.Config{})).open()
			in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120), lpcm()}}
			for range 30 {
				b.work(b.picture(in, 0))
				b.work(b.sound(in, 1))
			}
			b.flush()
			require.Equal(t, 1, good.opened)
			if bad.failOpen == nil {
				require.Equal(t, 3, bad.opened, "three times in a row")
				require.EqualValues(t, 3, stats(b.stage).Failures)
			}
			require.Equal(t, "good", stats(b.stage).Encoder)
			require.Len(t, b.which(false), 30, "sound is not lost")
			frames := b.pictures()
			last := frames[len(frames)-1]
			require.Equal(t, 29*40*time.Millisecond, last.Stamp.DTS)
			next := time.Duration(0)
			for i, f := range frames {
				require.Equal(t, f.Stamp.DTS != next, f.Gap, "frame %d", i)
				next = f.Stamp.DTS + 40*time.Millisecond
			}
			require.Len(t, frames, 30-int(stats(b.stage).Lost), "what is lost is counted")
		})
	}
}

func TestWithNoEncoderLeftTheStageFails(t *testing.T) {
	bad := &fake{name: "bad", failWrite: 1}
	b := newBench(t, encode.To(hal.NewRegistry(&fakes{list: []*fake{bad}}), hal.H264, encode.Config{})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120)}}
	for range 3 {
		b.work(b.picture(in, 0))
	}
	err := b.stage.Work(t.Context(), b.picture(in, 0))
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorContains(t, err, "bad was given up")
	require.NoError(t, b.stage.Close())
	bad.failWrite = 0
	b.open() // as supervision does: everything is tried again
	b.work(b.picture(in, 0))
	b.flush()
	require.Len(t, b.pictures(), 1)
}

func TestAPictureThatIsNotWhatItsStreamSaysFailsTheStage(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{Scale: encode.Size{Width: 80, Height: 60}})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120)}}
	f := b.picture(in, 0)
	f.Buf.Shorten(100)
	require.ErrorContains(t, b.stage.Work(t.Context(), f), "do not fit into 100 bytes")
}

func TestWhatFailsBehindTheStageIsItsError(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{})).open()
	b.refuse = errors.New("the tee is gone")
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120)}}
	var err error
	for range 100 {
		if err = b.stage.Work(t.Context(), b.picture(in, 0)); err != nil {
			break
		}
	}
	if err == nil {
		err = b.stage.Flush(t.Context())
	}
	require.ErrorIs(t, err, b.refuse)
	require.Zero(t, stats(b.stage).Failures, "the encoder is not to blame")
}

func TestAReaderThatPanicsFailsTheStage(t *testing.T) { // P8
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{}))
	b.env.Out = func(f hal.Frame) error { f.Release(); panic("a bug downstream") }
	b.open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120)}}
	b.work(b.picture(in, 0))
	err := b.stage.Flush(t.Context())
	var p *pool.PanicError
	require.ErrorAs(t, err, &p)
}

func TestCloseWithoutFlushLetsAllGo(t *testing.T) {
	slow := &fake{name: "slow", delay: 8}
	b := newBench(t, encode.To(hal.NewRegistry(&fakes{list: []*fake{slow}}), hal.H264, encode.Config{})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120), lpcm()}}
	for range 5 {
		b.work(b.picture(in, 0))
		b.work(b.sound(in, 1))
	}
	require.NoError(t, b.stage.Close())
	require.Empty(t, b.out)
	require.Zero(t, b.buffers.Held())
	require.Zero(t, b.audio.Stats().Held)
	b.open()
	b.work(b.picture(in, 0))
	b.flush()
	require.Len(t, b.out, 1)
}

func TestWorkGivesUpPromptly(t *testing.T) {
	stuck := &fake{name: "stuck", delay: 1 << 20}
	b := newBench(t, encode.To(hal.NewRegistry(&fakes{list: []*fake{stuck}}), hal.H264, encode.Config{})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120)}}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("exit")
	stuck.full = func() { cancel(why) }
	var err error
	for err == nil {
		err = b.stage.Work(ctx, b.picture(in, 0))
	}
	require.ErrorIs(t, err, why)
	require.ErrorIs(t, b.stage.Flush(ctx), why)
}

func TestSoundWithoutAPictureIsBounded(t *testing.T) {
	b := newBench(t, encode.To(withSoft(), hal.H264, encode.Config{})).open()
	in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.I420, 160, 120), lpcm()}}
	for range 1000 {
		b.work(b.sound(in, 1))
	}
	require.LessOrEqual(t, b.audio.Stats().Held, 256)
	require.Empty(t, b.out)
	b.work(b.picture(in, 0))
	b.flush()
	require.Len(t, b.which(false), 256)
	require.EqualValues(t, 1000-256, stats(b.stage).Lost)
}

func TestAFrameCostsNoAllocation(t *testing.T) { // P3
	for _, cfg := range []encode.Config{
		{GOP: 5, Bitrate: 20_000_000},
		{GOP: 5, Bitrate: 20_000_000, Crop: encode.Rect{X: 16, Y: 16, Width: 96, Height: 64}, Scale: encode.Size{Width: 80, Height: 48}, Pixel: hal.NV12},
	} {
		t.Run(fmt.Sprintf("%+v", cfg), func(t *testing.T) {
			b := newBench(t, encode.To(withSoft(), hal.H264, cfg))
			through := make(chan struct{}, 1)
			b.env.Out = func(f hal.Frame) error { f.Release(); through <- struct{}{}; return nil }
			b.open()
			in := &hal.Stream{Tracks: []hal.Track{raw(t, hal.YUYV, 160, 120)}}
			pics := []hal.Frame{b.picture(in, 0), b.picture(in, 0), b.picture(in, 0)}
			for i, f := range pics {
				noise := rand.New(rand.NewPCG(1, uint64(i)))
				for k := range f.Buf.Bytes() {
					f.Buf.Bytes()[k] = byte(noise.Uint32())
				}
			}
			n, ctx := 0, t.Context()
			one := func() {
				f := pics[n%3].Retain()
				n++
				f.Stamp.DTS = time.Duration(n) * 40 * time.Millisecond
				f.Stamp.PTS = f.Stamp.DTS
				if err := b.stage.Work(ctx, f); err != nil {
					t.Error(err)
				}
				<-through
			}
			for range 1000 { // until the arena's chunks have been round
				one()
			}
			require.Zero(t, testing.AllocsPerRun(100, one))
			for _, f := range pics {
				f.Release()
			}
		})
	}
}
