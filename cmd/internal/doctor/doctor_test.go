package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/doctor"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/soft"
	"github.com/millrace-video/millrace/pool"
)

const ms = time.Millisecond

// act is how a camera behaves.
type act struct {
	track      hal.Track
	sound      bool
	open       time.Duration // until it is open
	first      time.Duration // until the first picture
	every      time.Duration
	keyEvery   int // pictures; 0: the first only
	slowEvery  int // each so many pictures come late
	slow       time.Duration
	age        time.Duration // of a picture when it comes
	freezeAt   int           // nothing comes from here on
	failAt     int
	endAt      int
	backAt     int // a stamp that does not rise
	reordered  bool
	gapAt      int
	recorded   bool // not live
	failOpen   error
	counts     hal.SourceStats
	changeAt   int
	held       *int // pictures on loan
	closeFails error
}

// camera is a source that behaves as told.
type camera struct {
	act
	clock  *hal.Clock
	stream *hal.Stream
	arena  *pool.Arena
	n      int
	began  int64
}

func (c *camera) Stream() *hal.Stream          { return c.stream }
func (c *camera) Live() bool                   { return !c.recorded }
func (c *camera) SourceStats() hal.SourceStats { return c.counts }

func (c *camera) Close() error {
	*c.held = c.arena.Stats().Held
	return c.closeFails
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *camera) Read(ctx context.Context) (hal.Frame, error) {
	d := c.every
	switch {
	case c.n == 0:
		d = c.first
	case c.freezeAt > 0 && c.n >= c.freezeAt:
		d = time.Hour
	case c.failAt > 0 && c.n >= c.failAt:
		return hal.Frame{}, fmt.Errorf("the cable is out: %w", hal.ErrNoDevice)
	case c.endAt > 0 && c.n >= c.endAt:
		return hal.Frame{}, io.EOF
	case c.slowEvery > 0 && c.n%c.slowEvery == 0:
		d = c.slow
	case c.recorded:
		d = 0
	}
	if err := wait(ctx, d); err != nil {
		return hal.Frame{}, err
	}
	if c.began == 0 {
		c.began = c.clock.Mono()
	}
	b, err := c.arena.Get(1000)
	if err != nil {
		return hal.Frame{}, err
	}
	now := c.clock.Mono()
	f := hal.Frame{Buf: b, Stream: c.stream, Key: c.n == 0 || c.keyEvery > 0 && c.n%c.keyEvery == 0, Gap: c.gapAt > 0 && c.n == c.gapAt}
	f.Stamp = hal.Stamp{DTS: time.Duration(now - c.began), Mono: now - int64(c.age)}
	if c.recorded {
		f.Stamp.DTS = time.Duration(c.n) * c.every
	}
	f.Stamp.PTS = f.Stamp.DTS
	if c.reordered {
		f.Stamp.PTS += 2 * c.every
	}
	if c.backAt > 0 && c.n == c.backAt {
		f.Stamp.Mono -= int64(time.Second)
	}
	if c.changeAt > 0 && c.n == c.changeAt {
		c.stream = &hal.Stream{Tracks: c.stream.Tracks}
		f.Stream = c.stream
	}
	c.n++
	return f, nil
}

// cameras is a driver, named as the kernel's, whose cameras behave as their format says.
type cameras map[string]act

func (cameras) Name() string         { return "v4l2" }
func (cameras) Schemes() []string    { return []string{"v4l2"} }
func (cameras) Check(*url.URL) error { return nil }

func (all cameras) Open(ctx context.Context, u *url.URL, opts hal.Options) (hal.Source, error) {
	a, ok := all[u.Query().Get("format")]
	if !ok {
		return nil, hal.ErrUnsupported
	}
	if err := wait(ctx, a.open); err != nil {
		return nil, err
	}
	if a.failOpen != nil {
		return nil, a.failOpen
	}
	tracks := []hal.Track{a.track}
	if a.sound {
		tracks = append(tracks, hal.Track{Codec: hal.AAC, SampleRate: 48000, Channels: 2})
	}
	if a.held == nil {
		a.held = new(int)
	}
	return &camera{act: a, clock: opts.Clock, stream: &hal.Stream{Tracks: tracks}, arena: pool.NewArena(pool.ArenaConfig{})}, nil
}

func h264(rate float64) hal.Track {
	return hal.Track{Codec: hal.H264, Width: 1280, Height: 720, FrameRate: rate}
}

func raw(w, h int, rate float64) hal.Track {
	return hal.Track{Codec: hal.Raw, Width: w, Height: h, FrameRate: rate, Layout: hal.Layout{Pixel: hal.YUYV}}
}

// examine measures one format of a camera.
func examine(t *testing.T, a act) doctor.Report {
	t.Helper()
	var r doctor.Report
	synctest.Test(t, func(t *testing.T) {
		d := doctor.Doctor{Registry: hal.NewRegistry(cameras{"": a}, soft.Driver{}), Duration: 10 * time.Second, Timeout: 5 * time.Second}
		began := time.Now() //nolint:forbidigo // the bubble's
		r = d.Examine(t.Context(), doctor.Patient{URL: "v4l2:///dev/video0", Shown: "v4l2:///dev/video0"}, nil)
		require.LessOrEqual(t, time.Since(began), 15*time.Second, "it ends in time") //nolint:forbidigo // as above
	})
	require.Len(t, r.Formats, 1)
	return r
}

func TestWhatACameraDeliversIsMeasured(t *testing.T) { // H2
	held := -1
	r := examine(t, act{track: h264(25), sound: true, open: 100 * ms, first: 300 * ms, every: 40 * ms, keyEvery: 50, age: 30 * ms, held: &held})
	m := r.Formats[0]
	require.InDelta(t, 25, m.Rate, 0.01)
	require.InDelta(t, 40, m.IntervalP50, 0.01)
	require.InDelta(t, 40, m.IntervalP99, 0.01)
	require.InDelta(t, 30, m.DelayP50, 0.01)
	require.InDelta(t, 100, m.OpenMS, 0.01)
	require.InDelta(t, 400, m.FirstMS, 0.01)
	require.InDelta(t, 2000, m.KeyInterval, 0.01)
	require.InDelta(t, 8*1000*25, m.Bitrate, 1)
	require.InDelta(t, 10, m.Seconds, 0.1)
	require.Equal(t, "aac 48000 Hz 2 ch", m.Sound)
	require.Equal(t, "h264", m.Format)
	require.Equal(t, 1280, m.Width)
	require.InDelta(t, 25, m.Announced, 0)
	require.Empty(t, m.Odd)
	require.Empty(t, m.Error)
	require.True(t, r.Works())
	require.Equal(t, "choose v4l2:///dev/video0: h264 1280x720, 25.0 a second, recorded as it comes", r.Advice)
	require.Zero(t, held, "frames never released")
}

func TestWhatIsOddIsNamed(t *testing.T) { // H2
	well := act{track: h264(25), every: 40 * ms, keyEvery: 50}
	for _, tc := range []struct {
		name   string
		change func(*act)
		want   string
	}{
		{"half the rate", func(a *act) { a.every = 80 * ms; a.keyEvery = 25 }, "announced 25 a second, delivers 12.5"},
		{"late", func(a *act) { a.first = 2300 * ms }, "first picture after 2.3 s"},
		{"uneven", func(a *act) { a.slowEvery, a.slow, a.every = 20, 120*ms, 36*ms }, "uneven: pictures come each 36 ms, but one in a hundred after 120 ms or more"},
		{"back", func(a *act) { a.backAt = 30 }, "1 time stamps do not rise"},
		{"ahead", func(a *act) { a.age = -time.Second }, "time stamps lie in the future"},
		{"old", func(a *act) { a.age = 3 * time.Second }, "pictures are 3.0 s old when they come"},
		{"one key frame", func(a *act) { a.keyEvery = 0 }, "key frames are rare (one only)"},
		{"rare key frames", func(a *act) { a.keyEvery = 125 }, "key frames are rare (one each 5.0 s)"},
		{"B-frames", func(a *act) { a.reordered = true }, "it has B-frames"},
		{"gaps", func(a *act) { a.gapAt = 9 }, "1 gaps"},
		{"another format", func(a *act) { a.changeAt = 9 }, "1 changes of the format"},
		{"frozen", func(a *act) { a.freezeAt = 100 }, "nothing came in the last 6.0 s"},
		{
			"losses", func(a *act) {
				a.counts = hal.SourceStats{Lost: 3, Malformed: 4, Dropped: 5, Recovered: 1, Fault: "a spark"}
			},
			"3 lost; 4 malformed; 5 dropped for want of a free buffer; 1 faults that it got over; the last fault: a spark",
		},
		{"it does not close", func(a *act) { a.closeFails = errors.New("stuck") }, "it does not close cleanly: stuck"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := well
			tc.change(&a)
			r := examine(t, a)
			require.Contains(t, strings.Join(r.Odd, "; "), tc.want)
			require.Contains(t, r.Advice, "; odd: ")
			require.True(t, r.Works())
		})
	}
}

func TestACameraThatDeliversNothingIsNotChosen(t *testing.T) { // A3
	for _, tc := range []struct {
		act  act
		want string
	}{
		{act{track: h264(25), failOpen: hal.ErrNoDevice}, "choose nothing: open v4l2:///dev/video0: no such device"},
		{act{track: h264(25), open: time.Hour}, "choose nothing: no signal: nothing within 5s (--timeout)"},
		{act{track: h264(25), first: time.Hour}, "choose nothing: no signal: open, but no picture within 5s (--timeout)"},
		{act{track: h264(25), every: 40 * ms, failAt: 51}, "choose nothing: it fails after 2.0 s: the cable is out: no such device"},
		{act{track: hal.Track{Codec: hal.AAC}, every: 40 * ms, endAt: 9}, "choose nothing: it ended without a picture"},
	} {
		r := examine(t, tc.act)
		require.Contains(t, r.Advice, tc.want)
		require.False(t, r.Works())
	}
}

func TestAFileIsMeasuredByItsOwnStamps(t *testing.T) {
	r := examine(t, act{track: h264(25), every: 40 * ms, keyEvery: 25, endAt: 101, recorded: true})
	require.True(t, r.Formats[0].Ended)
	require.InDelta(t, 25, r.Formats[0].Rate, 0.01)
	require.InDelta(t, 4, r.Formats[0].Seconds, 0.01)
	require.Empty(t, r.Odd)
}

// devices is a camera with these formats.
func devices(formats ...hal.Format) []hal.Device {
	return []hal.Device{
		{Driver: "synth", URL: "synth://"},
		{Driver: "v4l2", URL: "v4l2://bus/usb-1?index=1", Node: "/dev/video4", Serial: "S1", Formats: formats},
	}
}

func format(name string, w, h int, rates ...float64) hal.Format {
	return hal.Format{Name: name, Width: w, Height: h, Rates: rates}
}

func TestEveryFormatThatAConfigurationCouldUseIsMeasured(t *testing.T) { // H2
	there := devices(
		format("yuyv", 1920, 1080, 5), format("yuyv", 640, 480, 30), format("yuyv", 1280, 720, 10),
		format("mjpeg", 3840, 2160, 30), format("mjpeg", 1920, 1080, 30), format("h265", 640, 480))
	for _, tc := range []struct {
		url  string
		all  bool
		want []string
	}{
		{"v4l2:///dev/video4", false, []string{
			"v4l2:///dev/video4?format=yuyv&size=640x480", "v4l2:///dev/video4?format=mjpeg&size=1920x1080", "v4l2:///dev/video4?format=h265&size=640x480",
		}},
		{"v4l2://bus/usb-1?index=1&rate=10", false, []string{
			"v4l2://bus/usb-1?index=1&rate=10&format=yuyv&size=640x480", "v4l2://bus/usb-1?index=1&rate=10&format=mjpeg&size=1920x1080",
			"v4l2://bus/usb-1?index=1&rate=10&format=h265&size=640x480",
		}},
		{"v4l2://serial/S1?format=mjpeg", true, []string{"v4l2://serial/S1?format=mjpeg&size=3840x2160", "v4l2://serial/S1?format=mjpeg&size=1920x1080"}},
		{"v4l2:///dev/video4?size=640x480", false, []string{"v4l2:///dev/video4?size=640x480&format=yuyv", "v4l2:///dev/video4?size=640x480&format=h265"}},
		{"v4l2:///dev/video4?format=hevc&size=640x480", false, []string{"v4l2:///dev/video4?format=hevc&size=640x480"}},
		{"v4l2:///dev/video4?size=333x222", false, []string{"v4l2:///dev/video4?size=333x222"}},
		{"v4l2:///dev/video9", false, []string{"v4l2:///dev/video9"}},
		{"v4l2://bus/usb-1", false, []string{"v4l2://bus/usb-1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := doctor.Doctor{Registry: hal.NewRegistry(cameras{}), Duration: ms, Timeout: ms, All: tc.all}
			r := d.Examine(t.Context(), doctor.Patient{URL: tc.url, Shown: tc.url}, there)
			var got []string
			for _, m := range r.Formats {
				got = append(got, m.URL)
			}
			require.Equal(t, tc.want, got)
		})
	}
}

func TestThereIsAnEndToHowManyFormatsAreMeasured(t *testing.T) {
	var many []hal.Format
	for i := range 300 {
		many = append(many, format(fmt.Sprintf("f%d", i), 640, 480))
	}
	synctest.Test(t, func(t *testing.T) {
		told := 0
		d := doctor.Doctor{Registry: hal.NewRegistry(cameras{}), Duration: ms, Timeout: ms, Progress: func(string) { told++ }}
		r := d.Examine(t.Context(), doctor.Patient{URL: "v4l2:///dev/video4"}, devices(many...))
		require.Len(t, r.Formats, 24)
		require.Equal(t, 24, told)
		require.Contains(t, r.Unlisted, "276 of 300 formats")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r = d.Examine(ctx, doctor.Patient{URL: "v4l2:///dev/video4"}, devices(many...))
		require.Empty(t, r.Formats)
		require.Contains(t, r.Unlisted, "told to end")
		require.False(t, r.Works())
	})
}

func TestTheBestFormatIsChosen(t *testing.T) { // H2
	good := func(track hal.Track) act {
		return act{track: track, every: time.Duration(float64(time.Second) / track.FrameRate), keyEvery: 30}
	}
	jpeg := hal.Track{Codec: hal.MJPEG, Width: 1280, Height: 720, FrameRate: 30}
	half := good(h264(30))
	half.every *= 2
	for _, tc := range []struct {
		name string
		all  cameras
		want string
	}{
		{"what needs no encoder", cameras{"h264": good(h264(30)), "yuyv": good(raw(1280, 720, 30)), "mjpeg": good(jpeg)}, "h264"},
		{"what delivers as it announces", cameras{"h264": half, "yuyv": good(raw(640, 480, 30)), "mjpeg": good(jpeg)}, "mjpeg"},
		{"what moves", cameras{"h264": half, "yuyv": good(raw(1920, 1080, 5)), "mjpeg": good(jpeg)}, "mjpeg"},
		{"what is small when it is recorded", cameras{"yuyv": good(raw(1280, 720, 30)), "mjpeg": good(jpeg)}, "yuyv"},
		{"the larger", cameras{"yuyv": good(raw(640, 480, 30)), "mjpeg": good(jpeg)}, "mjpeg"},
		{"what works at all", cameras{"yuyv": good(raw(1920, 1080, 5)), "h264": {track: h264(30), failOpen: hal.ErrUnsupported}}, "yuyv"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var formats []hal.Format
				for _, name := range []string{"h264", "yuyv", "mjpeg"} {
					if _, ok := tc.all[name]; ok {
						formats = append(formats, format(name, 1, 1))
					}
				}
				d := doctor.Doctor{Registry: hal.NewRegistry(tc.all, soft.Driver{}), Duration: 5 * time.Second, Timeout: time.Second}
				r := d.Examine(t.Context(), doctor.Patient{URL: "v4l2:///dev/video4", Shown: "v4l2:///dev/video4"}, devices(formats...))
				require.Equal(t, "v4l2:///dev/video4?format="+tc.want+"&size=1x1", r.Choice, r.Advice)
			})
		})
	}
}
