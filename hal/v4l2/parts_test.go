//go:build linux

package v4l2_test

import (
	"context"
	"encoding/binary"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/v4l2"
)

// udevs wraps properties as udev's monitor does.
func udevs(properties string) string {
	b := append([]byte("libudev\x00"), 0xfe, 0xed, 0xca, 0xfe)
	b = binary.NativeEndian.AppendUint32(b, 40)
	b = binary.NativeEndian.AppendUint32(b, 40)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(properties)))
	b = append(b, make([]byte, 16)...)
	return string(b) + properties
}

type eventCase struct {
	message string
	want    v4l2.Event
	ok      bool
}

func eventCases() []eventCase {
	const properties = "ACTION=add\x00DEVPATH=/devices/x/video4linux/video3\x00SUBSYSTEM=video4linux\x00DEVNAME=video3\x00SEQNUM=7\x00"
	added := v4l2.Event{Action: "add", Node: "/dev/video3"}
	return []eventCase{
		{"add@/devices/x/video4linux/video3\x00" + properties, added, true},
		{udevs(strings.Replace(properties, "DEVNAME=", "DEVNAME=/dev/", 1)), added, true},
		{"remove@/x\x00ACTION=remove\x00SUBSYSTEM=video4linux\x00DEVNAME=video0\x00", v4l2.Event{Action: "remove", Node: "/dev/video0"}, true},
		{"add@/x\x00ACTION=add\x00SUBSYSTEM=block\x00DEVNAME=sda\x00", v4l2.Event{}, false},
		{"add@/x\x00ACTION=add\x00SUBSYSTEM=video4linux\x00", v4l2.Event{}, false},
		{"add@/x", v4l2.Event{}, false},
		{"libudev\x00short", v4l2.Event{}, false},
		{strings.Replace(udevs(properties), string([]byte{40, 0, 0, 0}), string([]byte{40, 0, 0, 250}), 2), v4l2.Event{}, false},
		{"", v4l2.Event{}, false},
	}
}

func TestTheKernelSaysWhatCameAndWent(t *testing.T) {
	for _, tc := range eventCases() {
		got, ok := v4l2.ParseEvent([]byte(tc.message))
		require.Equal(t, tc.ok, ok, "%q", tc.message)
		if ok {
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.want.Action == "add", got.Arrived())
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, tc := range eventCases() {
		f.Add([]byte(tc.message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if e, ok := v4l2.ParseEvent(message); ok {
			require.NotEmpty(t, e.Action)
			require.NotEmpty(t, e.Node)
		}
	})
}

func TestAWatchEndsWithItsContextAndWithClose(t *testing.T) {
	w, err := v4l2.NewWatch()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for err == nil { // a camera may be plugged in just now
		_, err = w.Next(ctx)
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	done := make(chan error)
	go func() {
		var err error
		for err == nil {
			_, err = w.Next(context.Background()) //nolint:usetesting // it must outlive nothing but Close
		}
		done <- err
	}()
	require.NoError(t, w.Close())
	require.ErrorIs(t, <-done, fs.ErrClosed)
	require.NoError(t, w.Close())
}

func TestAwaitingACameraEndsWithItsContext(t *testing.T) {
	u, err := url.Parse("v4l2://serial/none-has-this")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, v4l2.New().Await(ctx, u), context.DeadlineExceeded)
}

func TestANodeThatIsNotThereIsNoDevice(t *testing.T) {
	for _, d := range []v4l2.Driver{{}, v4l2.New()} {
		for _, raw := range []string{"v4l2:///dev/video4711", "v4l2://bus/nowhere", "v4l2://serial/none-has-this"} {
			u, err := url.Parse(raw)
			require.NoError(t, err)
			_, err = d.Open(t.Context(), u, hal.Options{})
			require.ErrorIs(t, err, hal.ErrNoDevice, raw)
		}
	}
}

func TestTheSerialNumberIsTheUSBDevicesOwn(t *testing.T) {
	sys := t.TempDir()
	camera := filepath.Join(sys, "devices", "usb1", "1-1", "1-1.2")
	require.NoError(t, os.MkdirAll(filepath.Join(camera, "1-1.2:1.0", "video4linux", "video10"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(sys, "devices", "platform", "vivid.0"), 0o755))
	for _, name := range []string{"video10", "video2", "v4l-subdev0"} {
		require.NoError(t, os.MkdirAll(filepath.Join(sys, "class", "video4linux", name), 0o755))
	}
	write := func(text string, path ...string) {
		require.NoError(t, os.WriteFile(filepath.Join(path...), []byte(text), 0o600))
	}
	link := func(to, name string) {
		require.NoError(t, os.Symlink(to, filepath.Join(sys, "class", "video4linux", name, "device")))
	}
	write("ef\n", camera, "bDeviceClass")
	write("09\n", filepath.Dir(camera), "bDeviceClass")
	write("the hub's\n", filepath.Dir(camera), "serial")
	link(filepath.Join(camera, "1-1.2:1.0"), "video10")
	link(filepath.Join(sys, "devices", "platform", "vivid.0"), "video2")

	require.Empty(t, v4l2.Serial(sys, "video10"), "a camera without a number does not have its hub's")
	write("8F2A\n", camera, "serial")
	require.Equal(t, "8F2A", v4l2.Serial(sys, "video10"))
	require.Empty(t, v4l2.Serial(sys, "video2"))
	nodes, err := v4l2.Nodes(sys)
	require.NoError(t, err)
	require.Equal(t, []string{"video2", "video10"}, nodes)
	nodes, err = v4l2.Nodes(t.TempDir())
	require.NoError(t, err)
	require.Empty(t, nodes)
}

func TestACameraIsKnownByItsPlaceOrItsNumber(t *testing.T) {
	for _, tc := range []struct {
		name              string
		bus, serial, card string
		index             int
		want              bool
	}{
		{"the same place", "usb-1", "", "other", 0, true},
		{"another place, the same number", "usb-9", "A1", "Cam", 0, true},
		{"another place, no number", "usb-9", "", "Cam", 0, false},
		{"the number of another make", "usb-9", "A1", "Toaster", 0, false},
		{"the second node of the same device", "usb-1", "A1", "Cam", 1, false},
	} {
		require.Equal(t, tc.want, v4l2.Same(tc.bus, tc.serial, tc.card, tc.index, "usb-1", "A1", "Cam", 0), tc.name)
	}
	require.False(t, v4l2.Same("", "", "Cam", 0, "", "", "Cam", 0), "what has neither")
}

func TestAControlsNameStandsInAURL(t *testing.T) {
	for in, want := range map[string]string{
		"Brightness": "brightness", "White Balance, Automatic": "white_balance_automatic",
		"  50 Hz (!) ": "50_hz", "Ärger": "rger", "": "",
	} {
		require.Equal(t, want, v4l2.ControlName(in))
	}
}

func TestColoursAreTheKernelsDefaults(t *testing.T) {
	for _, tc := range []struct {
		in   [4]uint32
		want hal.Colour
	}{
		{[4]uint32{}, hal.Colour{}},
		{[4]uint32{1, 0, 0, 0}, hal.Colour{Primaries: 6, Transfer: 1, Matrix: 6}},
		{[4]uint32{3, 0, 0, 0}, hal.Colour{Primaries: 1, Transfer: 1, Matrix: 1}},
		{[4]uint32{7, 0, 0, 0}, hal.Colour{Primaries: 1, Transfer: 13, Matrix: 6, FullRange: true}},
		{[4]uint32{8, 0, 0, 1}, hal.Colour{Primaries: 1, Transfer: 13, Matrix: 6, FullRange: true}},
		{[4]uint32{7, 0, 0, 2}, hal.Colour{Primaries: 1, Transfer: 13, Matrix: 6}},
		{[4]uint32{10, 7, 6, 2}, hal.Colour{Primaries: 9, Transfer: 16, Matrix: 9}},
		{[4]uint32{99, 99, 99, 99}, hal.Colour{}},
	} {
		require.Equal(t, tc.want, v4l2.ColourOf(tc.in[0], tc.in[1], tc.in[2], tc.in[3]), "%v", tc.in)
	}
}

func TestPicturesAreCountedByTheirNumbers(t *testing.T) {
	var tm v4l2.Timing
	for _, step := range []struct {
		number uint32
		lost   uint64
	}{{7, 0}, {8, 0}, {10, 1}, {10, 0}, {0, 0}, {1, 0}, {1<<32 - 1, 0}, {1, 1}} {
		require.Equal(t, step.lost, tm.Follow(step.number), "number %d", step.number)
	}
}

func TestTimeNeverStepsBackNorStands(t *testing.T) {
	var tm v4l2.Timing
	last := time.Duration(-1)
	for _, mono := range []int64{100, 100, 50, 2_000_000, 1_999_999, 3_000_000} {
		at := tm.Place(mono)
		require.Greater(t, at, last)
		last = at
	}
	require.Equal(t, time.Duration(2_999_900), last)
}

type repackCase struct {
	codec        hal.Codec
	in, want     string
	key, picture bool
}

func repackCases() []repackCase {
	return []repackCase{
		{hal.H264, "\x00\x00\x01\x65abc", "\x00\x00\x00\x04\x65abc", true, true},
		{hal.H264, "\x00\x00\x00\x01\x09\x10\x00\x00\x00\x01\x41a\x00\x00", "\x00\x00\x00\x02\x41a", false, true},
		{hal.H264, "\x00\x00\x01\x67a\x00\x00\x01\x67b\x00\x00\x01\x65", "\x00\x00\x00\x02\x67b\x00\x00\x00\x01\x65", true, true},
		{hal.H264, "\x00\x00\x01\x06\x05", "\x00\x00\x00\x02\x06\x05", false, false},
		{hal.H264, "\x00\x00\x01\x00\x00\x01\x00\x00\x01", "", false, false},
		{hal.H264, "nothing", "", false, false},
		{hal.H265, "\x00\x00\x01\x40\x01v\x00\x00\x01\x42\x01s\x00\x00\x01\x44\x01p\x00\x00\x01\x26\x01i", "\x00\x00\x00\x03\x26\x01i", true, true},
		{hal.H265, "\x00\x00\x01\x46\x01\x00\x00\x01\x02\x01d", "\x00\x00\x00\x03\x02\x01d", false, true},
	}
}

func TestAByteStreamGetsLengths(t *testing.T) {
	for _, tc := range repackCases() {
		got, key, picture := v4l2.Repack(tc.codec, []byte(tc.in), &hal.Track{})
		require.Equal(t, tc.want, string(got), "%q", tc.in)
		require.Equal(t, tc.key, key, "%q", tc.in)
		require.Equal(t, tc.picture, picture, "%q", tc.in)
	}
}

func FuzzRepack(f *testing.F) {
	for _, tc := range repackCases() {
		f.Add(tc.codec == hal.H265, []byte(tc.in))
	}
	f.Fuzz(func(t *testing.T, hevc bool, in []byte) {
		codec := hal.H264
		if hevc {
			codec = hal.H265
		}
		got, _, _ := v4l2.Repack(codec, in, &hal.Track{})
		for len(got) > 0 {
			require.GreaterOrEqual(t, len(got), 5)
			n := int(binary.BigEndian.Uint32(got))
			require.Positive(t, n)
			require.LessOrEqual(t, n, len(got)-4)
			got = got[4+n:]
		}
	})
}

func traceCases() []string {
	damaged := yuyv().Start().Picture().Damaged().Short(3).Fault(unix.EIO, unix.POLLERR).Start().Change().Picture().Text()
	multi := v4l2.NewFake(true, "NM12", 16, 4, v4l2.FakePlane{Size: 128, Stride: 32}, v4l2.FakePlane{Size: 64, Stride: 32}).Start().Picture().Text()
	h264 := v4l2.NewFake(false, "H264", 16, 4, v4l2.FakePlane{Size: 64}).Start().Picture([]byte(startCode + sps + startCode + pps + startCode + "\x65x")).Text()
	return []string{damaged, multi, h264}
}

func TestATraceThatIsDamagedNamesTheLine(t *testing.T) {
	whole := traceCases()[0]
	for _, tc := range []struct{ text, says string }{
		{"", "empty"},
		{"hello\n", "line 1: not a trace"},
		{whole + "{\n", "not a call"},
		{whole + `{"t":-1,"call":"poll"}`, "time -1"},
		{whole + `{"t":999999999,"call":"DQBUF","errno":"EWHAT"}`, `unknown error "EWHAT"`},
		{whole + `{"t":999999999,"call":"DQBUF","in":{"Planes":[{},{},{},{},{},{},{},{},{}]}}`, "9 planes"},
		{whole + `{"t":999999999,"call":"poll","in":7}`, "poll"},
	} {
		_, err := v4l2.ReadTrace(strings.NewReader(tc.text))
		require.ErrorContains(t, err, tc.says)
	}
}

func FuzzReplay(f *testing.F) {
	for _, text := range traceCases() {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, loop bool) {
		trace, err := v4l2.ReadTrace(strings.NewReader(text))
		if err != nil {
			return
		}
		u, err := url.Parse(anyCamera)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		src, err := v4l2.Driver{Replay: trace, Loop: loop}.Open(ctx, u, hal.Options{})
		if err != nil {
			return
		}
		for err == nil {
			var frame hal.Frame
			if frame, err = src.Read(ctx); err == nil {
				for i := range frame.Buf.Planes() {
					_ = len(frame.Buf.Plane(i))
				}
				frame.Release()
			}
		}
		require.NoError(t, src.Close())
	})
}
