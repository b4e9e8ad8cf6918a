package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal/synth"
)

const (
	waitLong, waitStep = 60 * time.Second, 50 * time.Millisecond
	secret             = "hunter2-of-the-gate"
)

// binary is the program as it is built, by TestMain; byName are the functions in it that look for
// methods by names which are made up at run time, as the linker tells.
var (
	binary string
	byName []string
)

func TestMain(m *testing.M) { os.Exit(withBinary(m)) }

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "millrace")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "millrace")
	build := exec.CommandContext(context.Background(), "go", "build", "-ldflags", "-X main.version=v0.0.7-test -dumpdep", "-o", binary, ".")
	out, err := build.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		from, _, isDump := strings.Cut(line, " -> ")
		switch name, found := strings.CutSuffix(from, " <ReflectMethod>"); {
		case isDump && found:
			byName = append(byName, name)
		case !isDump && err != nil:
			fmt.Fprint(os.Stderr, line)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// result is what a program said and how it ended.
type result struct {
	code     int
	out, err string
}

// call runs the program to its end.
func call(t *testing.T, dir string, args ...string) result {
	t.Helper()
	return finish(t, start(t, dir, args...))
}

// running is a program under way.
type running struct {
	cmd      *exec.Cmd
	out, err output
}

// output can be read while the program writes it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func start(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*waitLong)
	r := &running{cmd: exec.CommandContext(ctx, binary, args...)}
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = dir, &r.out, &r.err
	r.cmd.Env = append(os.Environ(), "GATE_PASSWORD="+secret)
	require.NoError(t, r.cmd.Start())
	t.Cleanup(cancel)
	return r
}

// finish waits for the program's end. Whatever it said, it showed no secret.
func finish(t *testing.T, r *running) result {
	t.Helper()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	got := result{r.cmd.ProcessState.ExitCode(), r.out.String(), r.err.String()}
	require.NotContains(t, got.out+got.err, secret)
	require.NotContains(t, got.out+got.err, "panic")
	return got
}

// addresses returns free addresses on this machine.
func address(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// tool runs a program of Debian's package ffmpeg, which is the judge of our files.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing: apt-get install ffmpeg (make test does)", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", stderr.String())
	require.Empty(t, stderr.String())
	return string(out)
}

// sound says that ffprobe and ffmpeg find nothing wrong with a file.
func sound(t *testing.T, file string) {
	t.Helper()
	tool(t, "ffprobe", "-v", "error", "-show_streams", file)
	tool(t, "ffmpeg", "-v", "error", "-i", file, "-f", "null", "-")
}

// numbers decodes a file of 640x360 and returns what is burnt in.
func numbers(t *testing.T, file string) []uint32 {
	t.Helper()
	raw := []byte(tool(t, "ffmpeg", "-v", "error", "-i", file, "-an", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"))
	const w, h = 640, 360
	var all []uint32
	for ; len(raw) >= w*h; raw = raw[w*h:] {
		n, ok := synth.ReadNumber(raw[:w*h], w, w, h)
		require.True(t, ok, "picture %d of %s has no number", len(all), file)
		all = append(all, n)
	}
	return all
}

func recordings(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.mp4"))
	require.NoError(t, err)
	return files
}

// up starts millrace run and waits for its summary.
func up(t *testing.T, dir, api string, args ...string) *running {
	t.Helper()
	r := start(t, dir, append([]string{"run", "--listen", api, "--rtsp", address(t)}, args...)...)
	require.Eventually(t, func() bool { return strings.Contains(r.out.String(), "Ctrl-C ends it") }, waitLong, waitStep, "%s", &r.err)
	return r
}

func TestRunRecordsAndLeavesInOrder(t *testing.T) { // A2, P4
	t.Parallel()
	dir, api := t.TempDir(), address(t)
	r := up(t, dir, api, "--data", "rec")
	require.Regexp(t, `synth +synth:// +rec/synth +rtsp://127\.0\.0\.1:\d+/synth`, r.out.String())
	require.Contains(t, r.out.String(), "API: http://"+api)
	require.Eventually(t, func() bool {
		list := call(t, dir, "channel", "list", "--api", api, "--json")
		var answer struct {
			Channels []struct {
				Stages []struct {
					Stats struct{ Fragments int } `json:"stats"`
				} `json:"stages"`
			} `json:"channels"`
		}
		require.NoError(t, json.Unmarshal([]byte(list.out), &answer))
		for _, s := range answer.Channels[0].Stages {
			if s.Stats.Fragments >= 2 {
				return true
			}
		}
		return false
	}, waitLong, waitStep)
	sound(t, recordings(t, filepath.Join(dir, "rec", "synth"))[0]) // while it is written

	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	end := finish(t, r)
	require.Zero(t, end.code, end.err)
	require.Contains(t, end.err, "every stage has left")
	files := recordings(t, filepath.Join(dir, "rec", "synth"))
	require.Len(t, files, 1)
	sound(t, files[0])
	got := numbers(t, files[0])
	for i, n := range got {
		require.Equal(t, got[0]+uint32(i), n)
	}
}

func TestEachChannelIsCommandedAlone(t *testing.T) { // P1, P4, A1
	t.Parallel()
	dir, api := t.TempDir(), address(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte(`
channels:
  - {name: gate, source: "synth://?rate=50"}
  - {name: yard, source: "synth://?rate=50&seed=2", live: {enabled: false}}
  - {name: lane, source: "rtsp://u:${GATE_PASSWORD}@127.0.0.1:1/x", record: {enabled: false}}
`), 0o600))
	r := up(t, dir, api, "--config", "m.yml", "--log-format", "json")
	list := func() string {
		l := call(t, dir, "channel", "list", "--api", api)
		require.Zero(t, l.code, l.err)
		return l.out
	}
	require.Eventually(t, func() bool {
		l := list()
		return strings.Count(l, "running  50.0") == 2 && strings.Contains(l, "connection refused")
	}, waitLong, waitStep)
	for _, step := range []struct{ command, state string }{
		{"pause", "paused"},
		{"start", "running"},
		{"exit", "exited"},
		{"init", "parked"},
		{"start", ""},
	} {
		got := call(t, dir, "channel", step.command, "yard", "--api", api)
		require.Zero(t, got.code, got.err)
		require.Regexp(t, `yard +`+step.state, got.out)
		require.Regexp(t, `gate +running`, list())
	}
	require.Eventually(t, func() bool { return strings.Count(list(), "running") == 2 }, waitLong, waitStep)

	got := call(t, dir, "channel", "start", "nobody", "--api", api)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, `channel "nobody": no such channel: GET /v1/channels lists the channels`)

	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	end := finish(t, r)
	require.Zero(t, end.code, end.err)
	for line := range strings.Lines(end.err) {
		require.True(t, json.Valid([]byte(line)), line)
	}
	for _, name := range []string{"gate", "yard"} {
		files := recordings(t, filepath.Join(dir, "millrace-data", name))
		require.NotEmpty(t, files)
		for _, f := range files {
			sound(t, f)
		}
	}
}

func TestAPortInUseNamesItAndWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	busy := taken.Addr().String()

	got := call(t, dir, "run", "--listen", busy, "--rtsp", address(t))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "the API cannot listen at "+busy+": the address is in use")
	require.Contains(t, got.err, "--listen")

	got = call(t, dir, "run", "--listen", address(t), "--rtsp", busy)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "the RTSP server cannot listen at "+busy+": the address is in use")
	require.Contains(t, got.err, "--rtsp")
}

func TestRecordTakesExactlyTheDuration(t *testing.T) { // H7, R3
	t.Parallel()
	for _, codec := range []string{"h264", "raw"} {
		t.Run(codec, func(t *testing.T) {
			dir := t.TempDir()
			got := call(t, dir, "record", "synth://?size=640x360&rate=25&codec="+codec, "-o", "a.mp4", "--duration", "5s")
			require.Zero(t, got.code, got.err)
			file := filepath.Join(dir, "a.mp4")
			sound(t, file)
			all := numbers(t, file)
			if codec == "h264" {
				require.Len(t, all, 125)
				require.Contains(t, got.err, "a.mp4: ")
				require.Contains(t, got.err, " 0 lost")
				for i, n := range all {
					require.Equal(t, all[0]+uint32(i), n, "every number once and in order")
				}
			}
			require.IsIncreasing(t, all)
		})
	}
}

func TestRecordEndsWithItsSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got := call(t, dir, "record", "synth://?frames=30&pace=fast", "-o", "a.mp4")
	require.Zero(t, got.code, got.err)
	require.Len(t, numbers(t, filepath.Join(dir, "a.mp4")), 30)
}

func TestCtrlCLeavesAWholeFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dir, "record", "synth://", "-o", "a.mp4")
	file := filepath.Join(dir, "a.mp4")
	require.Eventually(t, func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() > 4000
	}, waitLong, waitStep)
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	require.Zero(t, finish(t, r).code)
	sound(t, file)
	require.NotEmpty(t, numbers(t, file))
}

func TestRecordReplacesAFileOnlyWhenTold(t *testing.T) { // A3: nothing is lost
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.mp4")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	got := call(t, dir, "record", "synth://?frames=5&pace=fast", "-o", "a.mp4")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.err, "a.mp4: exists already: choose another name, or --force to replace it")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
	got = call(t, dir, "record", "synth://?frames=5&pace=fast", "-o", "a.mp4", "--force")
	require.Zero(t, got.code, got.err)
	sound(t, file)
}

func TestASourceThatFailsEndsRecordWithItsCause(t *testing.T) { // A3
	t.Parallel()
	for url, cause := range map[string]string{
		"synth://?fail=open":                         "no such device",
		"synth://?fail=after:0":                      "no signal",
		"rtsp://u:" + secret + "@127.0.0.1:1/x":      "rtsp://u:xxxxx@127.0.0.1:1/x",
		"file://" + filepath.Join(t.TempDir(), "no"): "no such file",
	} {
		got := call(t, t.TempDir(), "record", url, "-o", "a.mp4", "--timeout", "1s")
		require.Equal(t, 1, got.code, got.err)
		require.Contains(t, got.err, "no frame came within 1s")
		require.Contains(t, got.err, cause)
	}
}

// A program that looks for methods by a name it makes up at run time (text/template does, and libraries
// for command lines) has to keep every exported method of every type in it: 6 MB of the file, and 4.5 MB
// of what is resident, as pages are read in by the dozen.
func TestMethodsThatNobodyCallsAreNotInTheProgram(t *testing.T) {
	t.Parallel()
	require.Empty(t, byName, "these look for methods by name")
	file, err := os.Stat(binary)
	require.NoError(t, err)
	require.Less(t, file.Size(), int64(28_000_000), "with what debuggers need")
}

func TestWrongUse(t *testing.T) { // A3
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.yml"), []byte("lisen: x\nchannels:\n  - {name: gate, source: \"rtsp://u:"+secret+"@[/x\"}\n"), 0o600))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "expected one of"},
		{[]string{"rum"}, "unexpected argument rum"},
		{[]string{"run", "--colour"}, "unknown flag --colour"},
		{[]string{"run", "--listen", "0.0.0.0:80"}, "--listen 0.0.0.0:80: an address of this machine alone"},
		{[]string{"run", "--config", "none.yml"}, "configuration none.yml: no such file or directory"},
		{[]string{"run", "--config", "bad.yml"}, "bad.yml:1:1: unknown key \"lisen\": do you mean listen?"},
		{[]string{"check", "--config", "bad.yml"}, "2 to correct in bad.yml"},
		{[]string{"check"}, "missing flags: --config"},
		{[]string{"record", "synth://", "-o", "a.mp4", "--transport", "carrier"}, "--transport must be one of"},
		{[]string{"record", "synth://", "-o", "a.mp4", "--transport", "udp"}, "transport goes with rtsp://"},
		{[]string{"record", "synth://?size=1", "-o", "a.mp4"}, "WIDTHxHEIGHT"},
		{[]string{"record", "synth://", "-o", "."}, "a folder: name a file in it"},
		{[]string{"record", "synth://", "-o", "a.mp4", "--duration", "5"}, "--duration"},
		{[]string{"channel", "list", "--api", "a b"}, "HOST:PORT"},
		{[]string{"event", "gate", "--type", "cat"}, "--type: \"cat\" is no source of triggers: motion, person"},
		{[]string{"event", "gate", "--at", "2026-11-21T13:35:12Z"}, "--at goes with --type"},
		{[]string{"event", "gate", "--type", "1", "--at", "noon"}, "--at"},
	} {
		got := call(t, dir, tc.args...)
		require.Equal(t, 2, got.code, "%v: %s", tc.args, got.err)
		require.Contains(t, got.err, tc.want, "%v", tc.args)
		require.Empty(t, got.out)
	}
}

func TestCheckTellsWhatWouldRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yml"), []byte("channels:\n  - name: gate\n    sources: [\"rtsp://u:${GATE_PASSWORD}@h/x\", \"synth://\"]\n    frames: {per_second: 2}\n"), 0o600))
	got := call(t, dir, "check", "--config", "m.yml")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "m.yml is right: 1 channels")
	require.Contains(t, got.out, "uploads 2 pictures a second as JPEG")
	require.NotContains(t, got.out, "frames cannot have")
	require.Contains(t, got.out, "rtsp://u:xxxxx@h/x, else synth://")
}

func TestNoMillraceAnswers(t *testing.T) {
	t.Parallel()
	got := call(t, t.TempDir(), "channel", "list", "--api", address(t))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "start one with millrace run, or say where it is with --api")
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	got := call(t, t.TempDir(), "version")
	require.Zero(t, got.code)
	require.Regexp(t, `^millrace v0\.0\.7-test, go1\.`, got.out)
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"record", "--help"}, {"channel", "--help"}, {"event", "--help"}} {
		got := call(t, t.TempDir(), args...)
		require.Zero(t, got.code)
		require.Contains(t, got.out, "Usage: millrace")
	}
}
