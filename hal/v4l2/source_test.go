//go:build linux

package v4l2_test

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/hal/v4l2"
)

const anyCamera = "v4l2:///dev/video0"

// yuyv is a camera of 16×4 YUYV with lines of 40 bytes.
func yuyv() *v4l2.Fake {
	return v4l2.NewFake(false, "YUYV", 16, 4, v4l2.FakePlane{Size: 160, Stride: 40})
}

// open opens a fake camera; it is closed when the test ends.
func open(t *testing.T, f *v4l2.Fake, rawURL string) hal.Source {
	t.Helper()
	src, err := tryOpen(t, f, rawURL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	return src
}

func tryOpen(t *testing.T, f *v4l2.Fake, rawURL string) (hal.Source, error) {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return v4l2.Driver{Replay: f.Trace()}.Open(t.Context(), u, hal.Options{})
}

func read(t *testing.T, src hal.Source) hal.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	f, err := src.Read(ctx)
	require.NoError(t, err)
	return f
}

func readError(t *testing.T, src hal.Source) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	f, err := src.Read(ctx)
	f.Release()
	require.Error(t, err)
	return err
}

func stats(t *testing.T, src hal.Source) hal.SourceStats {
	t.Helper()
	r, ok := src.(hal.Reporter)
	require.True(t, ok)
	return r.SourceStats()
}

func picture(n int, of byte) []byte { return bytes.Repeat([]byte{of}, n) }

func jpegFile(n int) []byte {
	b := append([]byte{0xff, 0xd8, 0xff, 0xe0}, picture(n, 7)...)
	return append(b, 0xff, 0xd9)
}

const (
	startCode = "\x00\x00\x00\x01"
	sps       = "\x67\x42\x00\x0a\xf8\x41\xa2"
	pps       = "\x68\xce\x38\x80"
)

func TestConformance(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fake  *v4l2.Fake
		codec hal.Codec
		data  [][]byte
	}{
		{"raw, single-planar", yuyv(), hal.Raw, [][]byte{picture(160, 3)}},
		{
			"raw, multi-planar", v4l2.NewFake(true, "NM12", 16, 4, v4l2.FakePlane{Size: 128, Stride: 32}, v4l2.FakePlane{Size: 64, Stride: 32}),
			hal.Raw,
			[][]byte{picture(128, 1), picture(64, 2)},
		},
		{"JPEG", v4l2.NewFake(false, "MJPG", 16, 4, v4l2.FakePlane{Size: 4096}), hal.MJPEG, [][]byte{jpegFile(500)}},
		{
			"H.264", v4l2.NewFake(false, "H264", 16, 4, v4l2.FakePlane{Size: 4096}), hal.H264,
			[][]byte{[]byte(startCode + "\x09\x10" + startCode + sps + startCode + pps + startCode + "\x65\x88\x84slice" + startCode + "\x65\x11more")},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.fake.Start()
			for range 50 {
				tc.fake.Picture(tc.data...)
			}
			haltest.Source(t, haltest.Config{
				Driver: v4l2.Driver{Replay: tc.fake.Trace(), Loop: true}, URL: anyCamera, Live: true, Codec: tc.codec, Reads: 30,
				WrongURLs: []string{
					"v4l2://", "v4l2:///etc/passwd", "v4l2:///dev/../etc/x", "v4l2://bus/", "v4l2:///dev/video0?size=1x",
					"v4l2://user:secret@bus/usb-1", "v4l2:///dev/video0?format=aac", "v4l2:///dev/video0?nonsense=1",
				},
			})
		})
	}
}

func TestARawPictureIsHandedOnWhereItLies(t *testing.T) {
	f := v4l2.NewFake(true, "YM12", 16, 4, v4l2.FakePlane{Size: 128, Stride: 32}, v4l2.FakePlane{Size: 32, Stride: 16}, v4l2.FakePlane{Size: 40, Stride: 20})
	f.Start().Picture(picture(128, 1), picture(32, 2), picture(40, 3)).Picture()
	src := open(t, f, anyCamera+"?format=ym12&size=16x4")
	frame := read(t, src)
	track := *frame.Info()
	require.Equal(t, hal.Layout{
		Pixel:  hal.YM12,
		Planes: [3]hal.Plane{{Stride: 32}, {Memory: 1, Stride: 16}, {Memory: 2, Stride: 20}},
		Size:   128 + 32 + 40,
	}, track.Layout)
	require.Equal(t, hal.Colour{Primaries: 1, Transfer: 1, Matrix: 1}, track.Colour)
	require.InDelta(t, 100, track.FrameRate, 0)
	require.Equal(t, 3, frame.Buf.Planes())
	for i, n := range []int{128, 32, 40} {
		require.Equal(t, picture(n, byte(i+1)), frame.Buf.Plane(i))
	}
	frame.Release()
	read(t, src).Release()
	require.ErrorIs(t, readError(t, src), hal.ErrNoDevice, "a trace's end is a camera that is gone")
}

func TestTheSmallestPictureOfAFormatDecidesWhereItsPlanesLie(t *testing.T) {
	for _, tc := range []struct {
		pixel  string
		plane  v4l2.FakePlane
		planes [3]hal.Plane
		size   int
	}{
		{"YUYV", v4l2.FakePlane{Size: 160, Stride: 40}, [3]hal.Plane{{Stride: 40}}, 160},
		{"UYVY", v4l2.FakePlane{Size: 128}, [3]hal.Plane{{Stride: 32}}, 128},
		{"NV12", v4l2.FakePlane{Size: 200, Stride: 20}, [3]hal.Plane{{Stride: 20}, {Offset: 80, Stride: 20}}, 120},
		{"NV21", v4l2.FakePlane{Size: 96, Stride: 16}, [3]hal.Plane{{Stride: 16}, {Offset: 64, Stride: 16}}, 96},
		{"YU12", v4l2.FakePlane{Size: 96, Stride: 16}, [3]hal.Plane{{Stride: 16}, {Offset: 64, Stride: 8}, {Offset: 80, Stride: 8}}, 96},
	} {
		for _, multi := range []bool{false, true} {
			src := open(t, v4l2.NewFake(multi, tc.pixel, 16, 4, tc.plane).Start().Picture(), anyCamera)
			l := src.Stream().Tracks[0].Layout
			require.Equal(t, tc.planes, l.Planes, tc.pixel)
			require.Equal(t, tc.size, l.Size, tc.pixel)
		}
	}
}

func TestAnAccessUnitComesWithLengthsAndItsParameterSetsInTheStream(t *testing.T) {
	f := v4l2.NewFake(false, "H264", 16, 4, v4l2.FakePlane{Size: 4096}).Start()
	f.Picture([]byte(startCode + "\x41late")) // before the first key frame
	f.Picture([]byte(startCode + sps + startCode + pps))
	f.Picture([]byte(startCode + "\x65key"))
	f.Picture([]byte("\x00\x00\x01\x09\xf0\x00\x00\x01\x41delta\x00\x00"))
	f.Picture([]byte(startCode + "\x67\x42new" + startCode + pps + startCode + "\x65key"))
	f.Picture([]byte("no unit at all")).Picture([]byte(startCode + "\x41delta"))
	src := open(t, f, anyCamera)
	stream := src.Stream()
	require.Equal(t, sps, string(stream.Tracks[0].SPS))
	require.Equal(t, pps, string(stream.Tracks[0].PPS))
	for i, want := range []struct {
		bytes    string
		key, gap bool
		same     bool
	}{
		{"\x00\x00\x00\x04\x65key", true, true, true},
		{"\x00\x00\x00\x06\x41delta", false, false, true},
		{"\x00\x00\x00\x04\x65key", true, false, false},
		{"\x00\x00\x00\x06\x41delta", false, true, false},
	} {
		frame := read(t, src)
		require.Equal(t, want.bytes, string(frame.Buf.Bytes()), i)
		require.Equal(t, want.key, frame.Key, i)
		require.Equal(t, want.gap, frame.Gap, i)
		require.Equal(t, want.same, frame.Stream == stream, i)
		frame.Release()
	}
	require.Equal(t, "\x67\x42new", string(src.Stream().Tracks[0].SPS))
	require.Equal(t, uint64(1), stats(t, src).Malformed)
}

func TestWhatIsMissingIsCountedAndMarked(t *testing.T) {
	f := yuyv().Start().Picture().Skip(3).Picture().Damaged().Picture().Short(100).Picture()
	src := open(t, f, anyCamera)
	for i, gap := range []bool{false, true, true, true} {
		frame := read(t, src)
		require.Equal(t, gap, frame.Gap, "picture %d", i)
		frame.Release()
	}
	st := stats(t, src)
	require.Equal(t, uint64(3), st.Lost)
	require.Equal(t, uint64(2), st.Malformed)
	require.Equal(t, uint64(4), st.Frames)
	require.Contains(t, st.Fault, "shorter")
}

func TestStampsAreTheDrivers(t *testing.T) {
	src := open(t, yuyv().Start().Picture().Picture().After(25*time.Millisecond).Picture(), anyCamera)
	var first hal.Frame
	for i, at := range []time.Duration{0, 10 * time.Millisecond, 45 * time.Millisecond} {
		frame := read(t, src)
		if i == 0 {
			first = frame
		}
		require.Equal(t, at, frame.Stamp.PTS)
		require.Equal(t, at, frame.Stamp.DTS)
		require.InDelta(t, first.Stamp.Mono+int64(at), frame.Stamp.Mono, 2000)
		frame.Release()
	}
}

func TestAFatalErrorIsGotOverOnceAndTold(t *testing.T) {
	f := yuyv().Start().Picture().Fault(unix.EIO, unix.POLLERR).Start().Picture()
	f.Fault(unix.EIO, unix.POLLERR).Fault(unix.EIO, unix.POLLERR)
	src := open(t, f, anyCamera)
	read(t, src).Release()
	frame := read(t, src)
	require.True(t, frame.Gap)
	frame.Release()
	st := stats(t, src)
	require.Equal(t, uint64(1), st.Recovered)
	require.Contains(t, st.Fault, "input/output error")
	err := readError(t, src)
	require.ErrorIs(t, err, hal.ErrNoSignal)
	require.ErrorIs(t, err, unix.EIO)
	require.ErrorIs(t, readError(t, src), unix.EIO, "and so is every further Read")
}

func TestACameraThatIsUnpluggedIsNoDevice(t *testing.T) {
	src := open(t, yuyv().Start().Picture().Fault(unix.ENODEV, unix.POLLERR|unix.POLLHUP), anyCamera)
	held := read(t, src)
	require.ErrorIs(t, readError(t, src), hal.ErrNoDevice)
	before := bytes.Clone(held.Buf.Bytes())
	require.NoError(t, src.Close())
	require.Equal(t, before, held.Buf.Bytes())
	held.Release()
}

func TestACallThatIsRefusedOnceIsMadeAgain(t *testing.T) {
	for _, name := range []string{"REQBUFS", "STREAMON", "QBUF"} {
		f := yuyv()
		if name == "QBUF" {
			f.Accept(name, v4l2.FakeBuffers) // the first to come back is refused
		}
		if name == "REQBUFS" {
			f.RefuseFirst(name).Start()
		} else {
			f.Refuse(name).Start()
		}
		for range 20 {
			f.Picture()
		}
		src := open(t, f, anyCamera)
		for range 10 {
			frame := read(t, src)
			require.False(t, frame.Gap)
			frame.Release()
		}
		require.EqualValues(t, 1, stats(t, src).Recovered)
		require.Contains(t, stats(t, src).Fault, "VIDIOC_"+name)
	}
}

func TestACallThatIsRefusedTwiceIsAnError(t *testing.T) {
	f := yuyv().Refuse("STREAMON").Refuse("STREAMON").Start().Picture()
	_, err := tryOpen(t, f, anyCamera)
	require.ErrorIs(t, err, hal.ErrNoSignal)
	require.ErrorContains(t, err, "VIDIOC_STREAMON: invalid argument")
}

func TestABufferThatCannotBeQueuedBeginsTheStreamAnew(t *testing.T) {
	f := yuyv().Accept("QBUF", v4l2.FakeBuffers).Refuse("QBUF").Refuse("QBUF").Start().Picture()
	f.After(200 * time.Millisecond)
	f.Start().Picture()
	src := open(t, f, anyCamera)
	read(t, src).Release()
	frame := read(t, src)
	require.True(t, frame.Gap)
	frame.Release()
	require.Equal(t, uint64(1), stats(t, src).Recovered)
}

func TestASignalThatChangesBeginsANewStream(t *testing.T) {
	f := yuyv().Start().Picture().Change()
	f.Format("YUYV", 32, 8, v4l2.FakePlane{Size: 512, Stride: 64}).Start().Picture(picture(512, 9))
	// What loose calls answer is the last answer: ask in the words of the trace.
	src := open(t, f, anyCamera+"?size=16x4")
	first := read(t, src)
	stream := first.Stream
	require.Equal(t, 16, stream.Tracks[0].Width)
	first.Release()
	second := read(t, src)
	require.NotSame(t, stream, second.Stream)
	require.Equal(t, 32, second.Info().Width)
	require.True(t, second.Gap)
	require.Equal(t, picture(512, 9), second.Buf.Bytes())
	second.Release()
}

func TestWhatTheCameraCannotDoIsSaidWithWhatItCan(t *testing.T) {
	f := yuyv().Start().Picture()
	for _, tc := range []struct{ query, says string }{
		{"?format=nv12", "does not deliver nv12: it can do yuyv 16x4 up to 100 a second"},
		{"?size=640x480", "makes YUYV 16x4 of YUYV 640x480: it can do yuyv 16x4"},
		{"?ctrl.brightness=7", `no control "brightness"`},
	} {
		_, err := tryOpen(t, f, anyCamera+tc.query)
		require.ErrorIs(t, err, hal.ErrUnsupported)
		require.ErrorContains(t, err, tc.says)
	}
}

func TestWithoutFreeBuffersPicturesAreDroppedAndTheReaderSleeps(t *testing.T) {
	f := yuyv().Start()
	for range 100 {
		f.Picture()
	}
	src := open(t, f, anyCamera)
	var held []hal.Frame
	for range v4l2.FakeBuffers {
		held = append(held, read(t, src))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	_, err := src.Read(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	done := make(chan struct{})
	go func() { // from another goroutine, while Read waits
		defer close(done)
		for _, h := range held {
			h.Release()
		}
	}()
	frame := read(t, src)
	<-done
	require.True(t, frame.Gap)
	frame.Release()
	require.NotZero(t, stats(t, src).Dropped)
	require.Zero(t, stats(t, src).Lost)
}

// P3, and Must show 2: nothing is allocated and nothing copied from the driver to the reader.
func TestNothingIsAllocatedFrameByFrame(t *testing.T) {
	for _, multi := range []bool{false, true} {
		f := v4l2.NewFake(multi, "MJPG", 16, 4, v4l2.FakePlane{Size: 4096}).Start()
		for i := range 300 {
			f.Picture(jpegFile(100 + i%7))
		}
		src := open(t, f, anyCamera)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			frame, err := src.Read(t.Context())
			require.NoError(t, err)
			frame.Release()
		}))
	}
}

type file struct {
	bytes.Buffer
	closed bool
}

func (f *file) Close() error {
	f.closed = true
	return nil
}

func TestATraceOfAReplayedTraceIsACameraAgain(t *testing.T) {
	fake := v4l2.NewFake(true, "NM12", 16, 4, v4l2.FakePlane{Size: 128, Stride: 32}, v4l2.FakePlane{Size: 64, Stride: 32}).Start()
	fake.Picture(picture(128, 1), picture(64, 2)).Skip(1).Picture(picture(128, 3), picture(64, 4)).Fault(unix.EIO, unix.POLLERR).Start()
	fake.Picture(picture(128, 5), picture(64, 6)).Fault(unix.ENODEV, unix.POLLHUP)
	trace := fake.Trace()
	for range 3 {
		var out file
		d := v4l2.Driver{Replay: trace, Payload: 1 << 20, Record: func(string) (io.WriteCloser, error) { return &out, nil }}
		u, err := url.Parse(anyCamera)
		require.NoError(t, err)
		src, err := d.Open(t.Context(), u, hal.Options{})
		require.NoError(t, err)
		for i, gap := range []bool{false, true, true} {
			frame := read(t, src)
			require.Equal(t, gap, frame.Gap)
			require.Equal(t, picture(128, byte(2*i+1)), frame.Buf.Plane(0))
			require.Equal(t, picture(64, byte(2*i+2)), frame.Buf.Plane(1))
			frame.Release()
		}
		require.ErrorIs(t, readError(t, src), hal.ErrNoDevice)
		require.Equal(t, uint64(1), stats(t, src).Lost)
		require.NoError(t, src.Close())
		require.True(t, out.closed)
		trace, err = v4l2.ReadTrace(&out.Buffer)
		require.NoError(t, err)
	}
}

// Who gets a trace need not know with which parameters it was recorded.
func TestATraceKnowsWhatItsCameraWasAskedFor(t *testing.T) {
	f, err := os.Open("testdata/vivid-single.jsonl")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	trace, err := v4l2.ReadTrace(f)
	require.NoError(t, err)
	for _, asked := range []string{"?size=320x180&rate=25&format=yuyv", "", ""} {
		var out file
		d := v4l2.Driver{Replay: trace, Record: func(string) (io.WriteCloser, error) { return &out, nil }}
		u, err := url.Parse(anyCamera + asked)
		require.NoError(t, err)
		src, err := d.Open(t.Context(), u, hal.Options{})
		require.NoError(t, err)
		require.Equal(t, hal.YUYV, src.Stream().Tracks[0].Layout.Pixel)
		require.Equal(t, 320, src.Stream().Tracks[0].Width)
		for range 6 {
			read(t, src).Release()
		}
		require.NoError(t, src.Close())
		trace, err = v4l2.ReadTrace(&out.Buffer)
		require.NoError(t, err)
	}
}

func TestATraceWithoutPicturesShowsNone(t *testing.T) {
	var out file
	d := v4l2.Driver{
		Replay: yuyv().Start().Picture(append([]byte("a secret picture"), picture(144, 1)...)).Trace(),
		Record: func(string) (io.WriteCloser, error) { return &out, nil },
	}
	u, err := url.Parse(anyCamera)
	require.NoError(t, err)
	src, err := d.Open(t.Context(), u, hal.Options{})
	require.NoError(t, err)
	read(t, src).Release()
	require.NoError(t, src.Close())
	require.Contains(t, out.String(), `"call":"DQBUF"`)
	require.NotContains(t, out.String(), `"data"`)
}

// The traces in testdata were recorded in a virtual machine: vivid of Linux 6.1, amd64, whose
// error injections were pressed after every fourth picture or so (a buffer marked as damaged,
// a fatal streaming error, at last a disconnect). They replay on every architecture.
func TestATraceOfARealDriverReplays(t *testing.T) {
	for name, format := range map[string]string{"single": "yuyv", "multi": "nm12"} {
		f, err := os.Open("testdata/vivid-" + name + ".jsonl")
		require.NoError(t, err)
		trace, err := v4l2.ReadTrace(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		u, err := url.Parse(anyCamera + "?size=320x180&rate=25&format=" + format)
		require.NoError(t, err)
		src, err := v4l2.Driver{Replay: trace}.Open(t.Context(), u, hal.Options{})
		require.NoError(t, err)
		gaps := 0
		for err == nil {
			var frame hal.Frame
			if frame, err = src.Read(t.Context()); err == nil {
				require.NoError(t, haltest.Payload(frame))
				if frame.Gap {
					gaps++
				}
				frame.Release()
			}
		}
		require.ErrorIs(t, err, hal.ErrNoDevice)
		require.Equal(t, 2, gaps, "one of the damaged buffer, one of the fatal error")
		st := stats(t, src)
		require.Equal(t, uint64(1), st.Malformed)
		require.Equal(t, uint64(1), st.Recovered)
		require.Contains(t, st.Fault, "input/output error")
		require.Equal(t, uint64(12), st.Frames+st.Lost+st.Dropped)
		require.NoError(t, src.Close())
	}
}
