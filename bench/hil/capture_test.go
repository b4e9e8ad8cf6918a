//go:build hil

package hil_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/haltest"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// camera returns the URL of one of vivid's devices, at its smallest size: this is about rules, not about speed.
func camera(dev, params string) string {
	return "v4l2://" + dev + "?size=320x180&rate=25" + params
}

// open opens a source, which is closed at the end of the test where it was not before.
func open(t *testing.T, url string) hal.Source {
	t.Helper()
	src, err := tryOpen(t, url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	return src
}

func tryOpen(t *testing.T, url string) (hal.Source, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return hal.NewRegistry(v4l2.Driver{}).Open(ctx, url, hal.Options{})
}

// cameras loads vivid with a camera of each API, showing colour bars without text, and returns
// their nodes.
func cameras(t *testing.T) (single, multi string) {
	t.Helper()
	const noText = 2
	load(t, "vivid", "n_devs=2", "node_types=0x1,0x1", "multiplanar=1,2", "num_inputs=1,1", "input_types=0,0")
	single, multi = node(t, "vivid-000-vid-cap"), node(t, "vivid-001-vid-cap")
	set(t, single, "OSD Text Mode", noText)
	set(t, multi, "OSD Text Mode", noText)
	return single, multi
}

// H2: what hal.Source promises, on both APIs.
func TestConformance(t *testing.T) {
	single, multi := cameras(t)
	for _, tc := range []struct{ name, url string }{
		{"single-planar", camera(single, "&format=yuyv")},
		{"multi-planar", camera(multi, "&format=nm12")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			haltest.Source(t, haltest.Config{
				Driver: v4l2.Driver{}, URL: tc.url, Live: true, Codec: hal.Raw, Reads: 25, Patience: patience,
				WrongURLs: []string{tc.url + "&format=nope", tc.url + "&colour=blue", "v4l2:///dev/video0?size=wide"},
				Faults:    []haltest.Fault{{URL: "v4l2:///dev/video99", Want: hal.ErrNoDevice}},
			})
		})
	}
}

// H2: each raw format of both APIs shows vivid's colour bars where its layout says, lies in the
// driver's own memory, and is read without an allocation.
func TestCapture(t *testing.T) {
	single, multi := cameras(t)
	for _, dev := range []struct {
		api, node string
		formats   []hal.PixelFormat
	}{
		{"single-planar", single, []hal.PixelFormat{hal.YUYV, hal.UYVY, hal.NV12, hal.NV21, hal.I420}},
		{"multi-planar", multi, []hal.PixelFormat{hal.NM12, hal.YM12, hal.YUYV, hal.NV12, hal.I420}},
	} {
		for _, format := range dev.formats {
			t.Run(dev.api+" "+format.String(), func(t *testing.T) {
				nothingLeft(t)
				src := open(t, camera(dev.node, "&format="+format.String()))
				require.Equal(t, format, src.Stream().Tracks[0].Layout.Pixel)
				begin := look(t, src, func(f hal.Frame) {
					requireBars(t, f)
					requireUncopied(t, f, dev.node)
				})
				allocations := testing.AllocsPerRun(25, func() {
					f, err := src.Read(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					f.Release()
				})
				require.Zero(t, allocations, "of a Read and a Release")
				end := look(t, src, func(f hal.Frame) { requireUncopied(t, f, dev.node) })
				seen := stats(t, src)
				figure(t, "%.1f fps of 25, 0 allocations, 0 copies, %d lost", float64(seen.Frames-1)*1e9/float64(end-begin), seen.Lost+seen.Dropped)
			})
		}
	}
}

// look lets the test look at the next frame, and returns when it was taken.
func look(t *testing.T, src hal.Source, at func(hal.Frame)) (mono int64) {
	t.Helper()
	f := read(t, src)
	defer f.Release()
	at(f)
	return f.Stamp.Mono
}

// requireBars fails where the picture is not the colour bars that vivid shows first: from white
// to black, each darker than the one before, and blue and red where they belong.
func requireBars(t *testing.T, f hal.Frame) {
	t.Helper()
	track := f.Info()
	var bars [8]sample
	for i := range bars {
		bars[i] = at(t, f, (2*i+1)*track.Width/16, track.Height*3/4)
	}
	for i := range bars[1:] {
		require.Less(t, bars[i+1].y, bars[i].y, "bars: %v", bars)
	}
	const red, blue, margin = 5, 6, 32
	require.Greater(t, bars[red].cr, byte(128+margin), "red: %v", bars)
	require.Greater(t, bars[blue].cb, byte(128+margin), "blue: %v", bars)
	require.Less(t, bars[blue].cr, byte(128), "blue: %v", bars)
}
