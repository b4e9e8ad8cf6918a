package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fixture is the trace of a camera of 64×32 YUYV that delivers what it announces.
func fixture(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs("../internal/app/testdata/yuyv.trace")
	require.NoError(t, err)
	return "v4l2+trace://" + file
}

func TestDoctorMeasuresAndSaysWhatToChoose(t *testing.T) { // H2, H7
	t.Parallel()
	got := call(t, t.TempDir(), "doctor", "synth://?size=640x360&rate=50", fixture(t)+"?loop=1", "-d", "1s")
	require.Contains(t, []int{0, 3}, got.code, got.err) // 3 where this machine was too slow to be even
	require.Regexp(t, `h264 +640x360 +50 +\d+\.\d `, got.out)
	require.Contains(t, got.out, "choose synth://?size=640x360&rate=50: h264 640x360, ")
	require.Regexp(t, `yuyv +64x32 +100 +\d+\.\d `, got.out)
	require.Contains(t, got.err, "measuring synth://?size=640x360&rate=50: 1 of 1, 11s at most")
}

func TestDoctorAsJSON(t *testing.T) {
	t.Parallel()
	got := call(t, t.TempDir(), "doctor", "synth://?frames=50&pace=fast", "--json")
	require.Zero(t, got.code, got.err)
	var answer struct {
		Cameras []struct {
			Choose  string `json:"choose"`
			Formats []struct {
				Rate     float64 `json:"rate"`
				Pictures int     `json:"pictures"`
				Ended    bool    `json:"ended"`
				Sound    string  `json:"sound"`
			} `json:"formats"`
		} `json:"cameras"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &answer))
	require.Len(t, answer.Cameras, 1)
	require.Equal(t, "synth://?frames=50&pace=fast", answer.Cameras[0].Choose)
	f := answer.Cameras[0].Formats[0]
	require.Equal(t, 50, f.Pictures)
	require.InDelta(t, 25, f.Rate, 0.1)
	require.True(t, f.Ended)
	require.NotEmpty(t, f.Sound)
}

// A3: the exit code says which of them it was.
func TestDoctorsExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(
		"channels:\n  - {name: gate, sources: [\"synth://?frames=9&pace=fast\", \"rtsp://u:${GATE_PASSWORD}@127.0.0.1:1/x\"]}\n"), 0o600))
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{0, "choose synth://", []string{"synth://?frames=9&pace=fast"}},
		{1, "1 of 1 cameras deliver nothing", []string{"synth://?fail=open"}},
		{1, "choose nothing: open rtsp://u:xxxxx@127.0.0.1:1/x", []string{"rtsp://u:" + secret + "@127.0.0.1:1/x"}},
		{1, "1 of 2 cameras deliver nothing", []string{"--config", "m.yml"}},
		{3, "key frames are rare (one only)", []string{"synth://?frames=200&gop=500&pace=fast"}},
		{2, "no driver takes", []string{"nonsense://x"}},
		{2, "--duration and --timeout: a time above 0", []string{"synth://", "-d", "0s"}},
		{2, "--config names the cameras", []string{"synth://", "--config", "m.yml"}},
		{2, "no such file", []string{"--config", "none.yml"}},
		{2, "transport goes with rtsp", []string{"synth://", "--transport", "udp"}},
	} {
		got := call(t, dir, append([]string{"doctor", "-d", "1s", "--timeout", "5s"}, tc.args...)...)
		require.Equal(t, tc.code, got.code, "%v: %s%s", tc.args, got.out, got.err)
		require.Contains(t, got.out+got.err, tc.want)
	}
}

func TestTraceNeedsACamera(t *testing.T) { // A3
	t.Parallel()
	dir := t.TempDir()
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{2, "only what the kernel's cameras say is traced: v4l2:///dev/video0", []string{"synth://", "-o", "a.trace"}},
		{2, "no camera is named", []string{"v4l2://", "-o", "a.trace"}},
		{2, "--duration", []string{"v4l2:///dev/nowhere", "-o", "a.trace", "-d", "0s"}},
		{2, "a folder", []string{"v4l2:///dev/nowhere", "-o", "."}},
		{1, "nothing was traced: ", []string{"v4l2:///dev/nowhere", "-o", "a.trace"}},
	} {
		got := call(t, dir, append([]string{"trace"}, tc.args...)...)
		require.Equal(t, tc.code, got.code, got.err)
		require.Contains(t, got.err, tc.want)
	}
	require.NoFileExists(t, filepath.Join(dir, "a.trace"))
}

// H2: a trace is recorded of whatever answers, another trace too, and plays as what it was of.
func TestATraceThatIsRecordedPlaysAsTheCameraDid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{nil, {"--pictures"}} {
		got := call(t, dir, append([]string{"trace", fixture(t) + "?loop=1", "-o", "a.trace", "-d", "500ms", "-f"}, args...)...)
		require.Zero(t, got.code, got.err)
		require.Regexp(t, `a\.trace: \d+ pictures, \d+ bytes`, got.err)
		got = call(t, dir, "doctor", "v4l2+trace://"+filepath.Join(dir, "a.trace"), "--json")
		require.Contains(t, got.out, `"format": "yuyv"`)
		require.NotContains(t, got.out, `"pictures": 0`)
	}
	got := call(t, dir, "trace", fixture(t), "-o", "a.trace")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.err, "exists already")

	// The end of the fixture is a camera that is unplugged: what it said until then is kept.
	got = call(t, dir, "trace", fixture(t), "-o", "b.trace")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.err, "b.trace: 20 pictures")
	require.Contains(t, got.err, "the trace holds how it ended: ")
}
