package synth_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
)

func wrongURLs() map[string]string {
	return map[string]string{ // and what the error must say
		"synth://?sise=640x360":                `unknown parameter "sise": one of audio, bitrate, codec`,
		"synth://?size=640":                    "size=640: WIDTHxHEIGHT",
		"synth://?size=641x360":                "both even",
		"synth://?size=8x8":                    "from 160x112 to 4096x4096",
		"synth://?size=99999999999999x2":       "parameter size",
		"synth://?rate=0":                      "parameter rate=0: pictures a second from 1 to 240",
		"synth://?rate=1/0":                    "parameter rate",
		"synth://?rate=25.":                    "parameter rate",
		"synth://?rate=NaN":                    "parameter rate",
		"synth://?rate=1e3":                    "parameter rate",
		"synth://?rate=1.00000000000000000001": "parameter rate",
		"synth://?codec=h265":                  "parameter codec=h265: h264 or raw",
		"synth://?codec=raw&pixel=nm12":        "parameter pixel=nm12: i420, yuyv, uyvy, nv12 or nv21",
		"synth://?pixel=i420":                  "pixel goes with codec=raw",
		"synth://?codec=raw&gop=5":             "gop and bitrate go with codec=h264",
		"synth://?gop=0":                       "parameter gop=0: a whole number from 1",
		"synth://?seed=-1":                     "parameter seed",
		"synth://?audio=mp3":                   "parameter audio=mp3: none, aac, lpcm, pcma or pcmu",
		"synth://?frames=0":                    "parameter frames",
		"synth://?still=yes":                   "parameter still=yes: always, or until:N",
		"synth://?pace=slow":                   "parameter pace=slow: live or fast",
		"synth://?bitrate=M":                   "parameter bitrate",
		"synth://?bitrate=NaN":                 "parameter bitrate",
		"synth://?bitrate=300M":                "parameter bitrate=300M: bits a second from 1k to 200M",
		"synth://?fail=soon":                   "parameter fail=soon: after:N, counted in pictures, or open",
		"synth://?stall=after:x":               "parameter stall=after:x: after:N",
		"synth://?panic=after:-1":              "parameter panic",
		"synth://?gop=5&gop=6":                 "parameter gop is given 2 times",
		"synth://?size=%zz":                    "parameters do not parse",
		"synth://me:secret@host/path":          "has no host, user or path",
		"synth://?sise=1&rate=0":               "parameter rate=0",
	}
}

func TestAWrongParameterIsNamedWithWhatWouldBeRight(t *testing.T) { // A3
	for raw, want := range wrongURLs() {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		err = synth.Driver{}.Check(u)
		require.ErrorContains(t, err, want, raw)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestDefaults(t *testing.T) {
	u, err := url.Parse("synth://")
	require.NoError(t, err)
	c, err := synth.Parse(u)
	require.NoError(t, err)
	require.Equal(t, synth.Config{
		Card:  synth.Card{Width: 640, Height: 360, Rate: synth.Rate{Num: 25, Den: 1}, Seed: 1},
		Codec: hal.H264, Pixel: hal.I420, GOP: 50, Audio: hal.AAC,
	}, c)
}

func FuzzParse(f *testing.F) {
	for raw := range wrongURLs() {
		f.Add(raw)
	}
	f.Add("synth://?size=320x240&rate=30000/1001&codec=raw&pixel=nv12&seed=7&audio=pcma&frames=9&pace=fast")
	f.Add("synth://?bitrate=2.5M&gop=1&fail=after:3&stall=after:4&panic=after:5")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		c, err := synth.Parse(u)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, c.Rate.Float(), 1.0)
		require.LessOrEqual(t, c.Rate.Float(), 240.0)
		require.LessOrEqual(t, max(c.Width, c.Height), 4096)
		require.GreaterOrEqual(t, c.GOP, 1)
		require.Positive(t, c.Time(1))
		require.Positive(t, c.Time(1<<30))
	})
}

func TestRateTimesNeverDrift(t *testing.T) {
	for s, hours := range map[string]time.Duration{"25": time.Hour, "12.5": time.Hour, "1": time.Hour, "240": time.Hour} {
		r, err := synth.ParseRate(s)
		require.NoError(t, err)
		require.Equal(t, hours, r.Time(int(r.Float()*3600)))
	}
	ntsc, err := synth.ParseRate("29.97")
	require.NoError(t, err)
	require.Equal(t, 1001*time.Second, ntsc.Time(30000))
	require.Equal(t, 33366667*time.Nanosecond, ntsc.Time(1))
	for _, n := range []int{0, 1, 2, 29, 30, 31, 1799, 107892, 1 << 30} {
		require.Equal(t, n, ntsc.Frame(ntsc.Time(n)))
		require.Equal(t, n+1, ntsc.Frame(ntsc.Time(n)+1))
	}
}
