package hal_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// driver stands for one of the real ones.
type driver struct {
	name    string
	schemes []string
	devices []hal.Device
	lists   error
	makes   []hal.EncoderInfo
	opens   error

	opened []string
}

func (d *driver) Name() string      { return d.name }
func (d *driver) Schemes() []string { return d.schemes }
func (d *driver) Check(u *url.URL) error {
	if u.Query().Has("bad") {
		return errors.New("unknown parameter bad")
	}
	return nil
}

func (d *driver) Open(context.Context, *url.URL, hal.Options) (hal.Source, error) {
	return nil, d.opens
}
func (d *driver) Devices(context.Context) ([]hal.Device, error) { return d.devices, d.lists }
func (d *driver) Encoders(context.Context) ([]hal.EncoderInfo, error) {
	return d.makes, nil
}

func (d *driver) OpenEncoder(_ context.Context, name string, _ hal.EncoderConfig) (hal.Encoder, error) {
	d.opened = append(d.opened, name)
	return nil, d.opens
}

// H1: a source is named by a URL, and the driver is found by its scheme.
func TestTheSchemeNamesTheDriver(t *testing.T) {
	a, b := &driver{name: "a", schemes: []string{"a"}}, &driver{name: "b", schemes: []string{"b", "bs"}}
	reg := hal.NewRegistry(a, b)
	got, u, err := reg.Lookup("bs://host/path")
	require.NoError(t, err)
	require.Same(t, b, got)
	require.Equal(t, "host", u.Host)
	require.Panics(t, func() { hal.NewRegistry(a, a) }, "two of one name are a bug")
}

// A3: what is wrong with a source is said with what would be right, and never with its password.
func TestWrongSourcesAreExplained(t *testing.T) {
	reg := hal.NewRegistry(&driver{name: "a", schemes: []string{"a", "as"}, opens: hal.ErrNoDevice})
	for rawURL, want := range map[string]string{
		"":                            `no driver takes "": one of a, as`,
		"x://admin:sekrit@host":       `no driver takes "x": one of a, as`,
		"a://admin:sekrit@host?bad=1": "unknown parameter bad",
		"a://admin:se#krit@host":      "must be written as %XX",
		"a://admin:se krit@host":      "must be written as %XX",
		"a://admin:sekrit@host/%zz":   "invalid URL escape",
	} {
		_, _, err := reg.Lookup(rawURL)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "krit", rawURL)
		_, err = reg.Open(t.Context(), rawURL, hal.Options{})
		require.ErrorIs(t, err, hal.ErrUnsupported)
		require.NotContains(t, err.Error(), "krit", rawURL)
	}
	_, err := reg.Open(t.Context(), "a://admin:sekrit@host", hal.Options{})
	require.ErrorIs(t, err, hal.ErrNoDevice)
	require.NotContains(t, err.Error(), "sekrit")
	require.Contains(t, err.Error(), "admin")
}

func TestRedact(t *testing.T) {
	for rawURL, want := range map[string]string{
		"rtsp://u:p@h/x":      "rtsp://u:xxxxx@h/x",
		"rtsp://u@h/x":        "rtsp://u@h/x",
		"synth://":            "synth://",
		"rtsp://u:p%zz@h/x":   "rtsp://xxxxx@h/x",
		"rtsp://u:a@b:c@h:99": "rtsp://u:xxxxx@h:99",
		"u:p ass@h":           "xxxxx@h",
		"rtsp://a@b:p?ss@h":   "rtsp://xxxxx@h",
		"http://h/x.flv?user=admin&password=p&channel=0":         "http://h/x.flv?user=admin&password=xxxxx&channel=0",
		"http://u:p@h/?Token=pq;n=1&%70wd=p&X-Amz-Signature=p#p": "http://u:xxxxx@h/?Token=xxxxx;n=1&%70wd=xxxxx&X-Amz-Signature=xxxxx",
		"synth://?size=640x360&pass=&gop=5":                      "synth://?size=640x360&pass=&gop=5",
		"rtsp://h/?a=1&&b&=":                                     "rtsp://h/?a=1&&b&=",
	} {
		got := hal.Redact(rawURL)
		require.NotContains(t, got, ":p")
		require.NotContains(t, got, "=p")
		require.Equal(t, want, got)
	}
}

// A3: no password is shown, whatever stands around it.
func FuzzRedact(f *testing.F) {
	f.Add("user", "host/path")
	f.Add("%zz", "[::1]:99x")
	f.Fuzz(func(t *testing.T, user, host string) {
		if strings.ContainsAny(user, "/?#@:") {
			return // the password would not stand in its place
		}
		const secret = "Sw0rdfish77"
		require.NotContains(t, hal.Redact("rtsp://"+user+":"+secret+"@"+host), secret)
		if !strings.ContainsAny(host, "@?#") {
			require.NotContains(t, hal.Redact("http://"+host+"?user="+user+"&token="+secret), secret)
		}
	})
}

// One driver's failure hides no other's devices.
func TestOneFailureHidesNoOtherDevices(t *testing.T) {
	reg := hal.NewRegistry(
		&driver{name: "a", lists: errors.New("no permission")},
		&driver{name: "b", devices: []hal.Device{{Name: "cam"}}})
	found, err := reg.Devices(t.Context())
	require.EqualError(t, err, "driver a: no permission")
	require.Len(t, found, 1)
}

// H3: encoders are tried by rank; the configuration's own order stands above it.
func TestEncodersByRankAndByPreference(t *testing.T) {
	soft := &driver{name: "soft", makes: []hal.EncoderInfo{
		{Name: "slow", Codec: hal.H264, Rank: 10}, {Name: "jpeg", Codec: hal.MJPEG, Rank: 99}, {Name: "fast", Codec: hal.H264, Rank: 50},
	}}
	hard := &driver{name: "hard", makes: []hal.EncoderInfo{{Name: "chip", Codec: hal.H264, Rank: 100, Hardware: true}}, opens: errors.New("busy")}
	reg := hal.NewRegistry(soft, hard)
	order := func(prefer ...string) (names []string) {
		infos, err := reg.Encoders(t.Context(), hal.H264, prefer...)
		require.NoError(t, err)
		for _, i := range infos {
			names = append(names, i.Name)
		}
		return names
	}
	require.Equal(t, []string{"chip", "fast", "slow"}, order())
	require.Equal(t, []string{"slow", "chip", "fast"}, order("slow", "unknown"))
	cfg := hal.EncoderConfig{Codec: hal.H264}
	_, info, err := reg.OpenEncoder(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, "fast", info.Name, "the next best where the best does not open")
	require.Equal(t, []string{"chip"}, hard.opened)
	_, info, err = reg.OpenEncoder(t.Context(), cfg, "chip", "fast")
	require.NoError(t, err)
	require.Equal(t, "slow", info.Name)
	_, _, err = reg.OpenEncoder(t.Context(), cfg, "fast", "slow")
	require.ErrorIs(t, err, hal.ErrUnsupported)
	require.ErrorContains(t, err, "encoder chip: busy")
}

func TestStreamsCompareByWhatADecoderSees(t *testing.T) {
	a := &hal.Stream{Tracks: []hal.Track{{Codec: hal.AAC, SampleRate: 48000}, {Codec: hal.H264, SPS: []byte{1}}}}
	b := &hal.Stream{Tracks: []hal.Track{{Codec: hal.AAC, SampleRate: 48000}, {Codec: hal.H264, SPS: []byte{1}}}}
	require.True(t, a.Equal(b))
	b.Tracks[1].SPS = []byte{2}
	require.False(t, a.Equal(b))
	require.False(t, a.Equal(nil))
	require.Equal(t, 1, a.Video())
	require.Equal(t, 0, a.Audio())
	require.Equal(t, -1, (&hal.Stream{}).Video())
}

func TestNamesAreReadBack(t *testing.T) {
	for c := hal.Raw; c <= hal.G711U; c++ {
		got, err := hal.ParseCodec(c.String())
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	for p := hal.I420; p <= hal.YM12; p++ {
		got, err := hal.ParsePixelFormat(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	_, err := hal.ParseCodec("vp9")
	require.ErrorContains(t, err, "h264")
	_, err = hal.ParseCodec("unknown")
	require.Error(t, err)
	_, err = hal.ParsePixelFormat("rgb")
	require.ErrorContains(t, err, "yuyv")
}

func TestPackedLayouts(t *testing.T) {
	for pixel, size := range map[hal.PixelFormat]int{hal.I420: 96, hal.NV12: 96, hal.NV21: 96, hal.YUYV: 128, hal.UYVY: 128} {
		l, err := hal.PackedLayout(pixel, 8, 8)
		require.NoError(t, err)
		require.Equal(t, size, l.Size, pixel)
	}
	for _, side := range [][2]int{{0, 8}, {7, 8}, {8, 1}, {-2, 8}, {1 << 20, 8}} {
		_, err := hal.PackedLayout(hal.I420, side[0], side[1])
		require.ErrorContains(t, err, "even")
	}
	_, err := hal.PackedLayout(hal.NM12, 8, 8)
	require.Error(t, err)
}

// An error of the wall clock under a second is slewed, at 500 ppm; a larger one opens a new
// anchor. Mono never follows either.
func TestTheClockLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hal.NewClock()
		start, number := c.Mono(), c.Anchor().Number
		at := func(d time.Duration) int64 { return start + int64(d) }
		true0 := c.Wall(start)
		require.False(t, c.Observe(at(100*time.Second), true0.Add(100*time.Second+40*time.Millisecond)))
		require.Equal(t, true0.Add(100*time.Second+40*time.Millisecond), c.Wall(at(100*time.Second)), "40 ms are within 100 s × 500 ppm")
		require.False(t, c.Observe(at(110*time.Second), true0.Add(110*time.Second+540*time.Millisecond)))
		require.Equal(t, true0.Add(110*time.Second+45*time.Millisecond), c.Wall(at(110*time.Second)), "5 ms in 10 s, no more")
		require.Equal(t, number, c.Anchor().Number)
		year := true0.Add(50 * 365 * 24 * time.Hour)
		require.True(t, c.Observe(at(120*time.Second), year), "from 1970 to today when NTP arrives")
		require.Equal(t, year, c.Wall(at(120*time.Second)))
		require.Equal(t, number+1, c.Anchor().Number)
		before := c.Mono()
		time.Sleep(time.Second) //nolint:forbidigo // simulated time
		require.Equal(t, int64(time.Second), c.Mono()-before)
		require.True(t, c.Sync(), "the system's own clock is the first again")
		require.WithinDuration(t, c.Now(), time.Now(), time.Millisecond) //nolint:forbidigo // simulated time
	})
}

func TestWatchingTheClockEndsWhenTold(t *testing.T) {
	c := hal.NewClock()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- c.Watch(ctx, func() { t.Error("nobody has set the clock") }) }()
	cancel()
	require.NoError(t, <-left)
	require.EqualValues(t, 1, c.Anchor().Number)
}

func TestWatchingTheClockSeesWhatWasMissed(t *testing.T) { // a board that boots in 1970
	c := hal.NewClock()
	c.Observe(c.Mono(), time.Unix(0, 0)) // what it was before somebody set it
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, c.Watch(ctx, cancel))
	require.WithinDuration(t, time.Now(), c.Now(), time.Minute)
	require.EqualValues(t, 3, c.Anchor().Number)
}
