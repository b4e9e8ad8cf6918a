package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// Issue, Build 2: the floor reads the sockets and writes what came, byte for byte, and the simulator knows
// what it sent.
func TestFloorWritesWhatComes(t *testing.T) {
	s := cameras(t, small(hal.H264), 2)
	dir := t.TempDir()
	cfg := readersConfig{URLs: []string{s.url(0), s.url(1)}, Files: []string{filepath.Join(dir, "0"), filepath.Join(dir, "1")}}
	r := newReaders(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	require.Eventually(t, func() bool { return s.standing().Begun == 2 && s.wheel.pace().Units > 60 }, time.Minute, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	got, err := os.ReadFile(cfg.Files[0])
	require.NoError(t, err)
	require.Len(t, got, int(r.bytes[0].Load()))
	packets := 0
	for rest := got; len(rest) >= 4; packets++ {
		require.EqualValues(t, '$', rest[0])
		rest = rest[min(len(rest), 4+int(rest[2])<<8+int(rest[3])):]
	}
	require.Greater(t, packets, 10)
	first := s.sessionLog()[0]
	n, ok := numberIn(got)
	require.True(t, ok)
	require.Equal(t, firstSessions(s.sessionLog())[0].FirstPicture, n)
	require.NotZero(t, first.Played)
}

// Issue, Build 2: a process in a role is told what to do by a line and answers a line for each question.
func TestRoleAnswers(t *testing.T) {
	spec := small(hal.H264)
	where, err := findClip(t.Context(), spec)
	require.NoError(t, err)
	config, err := json.Marshal(SimulatorConfig{Spec: spec, Clip: where, Channels: 1})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, RunRole(t.Context(), roleSimulator, strings.NewReader(string(config)+"\naddress\nstanding\nmark\npace\nsessions\n"), &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 6)
	require.Contains(t, lines[1], `"127.0.0.1:`)
	require.JSONEq(t, "[]", lines[5])
	require.ErrorContains(t, RunRole(t.Context(), roleSimulator, strings.NewReader(string(config)+"\nnonsense\n"), &out), "nonsense")
	require.ErrorContains(t, RunRole(t.Context(), "nobody", strings.NewReader("{}\n"), &out), "nobody")
	require.ErrorContains(t, RunRole(t.Context(), roleFloor, strings.NewReader(""), &out), "no configuration")
}

// Issue, Build 2: a process's accounts are what the kernel says of it, to the millisecond.
func TestAccountsOfAProcess(t *testing.T) {
	self := []int{os.Getpid()}
	before, err := usageOf(self)
	require.NoError(t, err)
	var first, last syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &first))
	for last = first; cpuOf(last)-cpuOf(first) < 50*time.Millisecond; {
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &last))
	}
	after, err := usageOf(self)
	require.NoError(t, err)
	got := after.minus(before).CPU
	require.GreaterOrEqual(t, got, 50*time.Millisecond)
	require.Less(t, got, 10*time.Second)
	memory, err := memoryOf(self)
	require.NoError(t, err)
	require.Greater(t, memory, int64(1<<20))
	require.Less(t, memory, int64(4<<30))
}

func cpuOf(u syscall.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }

// Issue, Build 2: percentiles of lateness.
func TestSpread(t *testing.T) {
	var h histogram
	require.Zero(t, h.spread())
	for i := range 100 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	got := h.spread()
	require.InDelta(t, 50, got.P50, 0.2)
	require.InDelta(t, 99, got.P99, 0.2)
	require.InDelta(t, 100, got.Max, 1e-9)
	h.add(time.Hour)
	require.InDelta(t, 3_600_000, h.spread().Max, 1e-9)
}

// Issue, Must show 3, 9: what is missing in a file is found: a picture, a piece of sound, the opening key frame.
func TestFilesAreChecked(t *testing.T) {
	spec := small(hal.H264)
	where, err := findClip(t.Context(), spec)
	require.NoError(t, err)
	c, err := loadClip(t.Context(), spec, where)
	require.NoError(t, err)
	n := len(c.sounds)
	whole := func(c Checked) { require.True(t, c.whole(), "%+v", c) }
	for _, tc := range []struct {
		name     string
		pictures []int64
		sounds   []int
		want     func(Checked)
	}{
		{"all", []int64{25, 26, 27}, []int{n - 2, n - 1, 0, 1}, whole},
		{"a picture is missing", []int64{25, 27}, nil, func(c Checked) { require.EqualValues(t, 1, c.Missing) }},
		{"a picture is there twice", []int64{25, 25, 26}, nil, func(c Checked) { require.EqualValues(t, 1, c.Twice) }},
		{"the opening is lost", []int64{26, 27}, nil, func(c Checked) { require.Equal(t, 1, c.NoOpening) }},
		{"a piece of sound is missing", []int64{25}, []int{0, 1, 2, 3, 5, 6, 7}, func(c Checked) { require.Positive(t, c.SoundHoles) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got Checked
			k := check{Checked: &got, sent: Session{FirstPicture: 25}, clip: c, next: -1}
			for _, number := range tc.pictures {
				k.picture(number)
			}
			for _, at := range tc.sounds {
				k.piece(len(c.sounds[at]))
			}
			tc.want(got)
			require.NotEmpty(t, got.String())
		})
	}
}

// Issue, Must show 3: the files of other recorders are checked, too; ffprobe says where their frames lie.
func TestFilesOfOthersAreChecked(t *testing.T) {
	spec := small(hal.H264)
	s := cameras(t, spec, 1)
	dir := t.TempDir()
	pattern := func(int) string { return filepath.Join(dir, "*.mp4") }
	packtest.Tool(t, "ffmpeg", "-rtsp_transport", "tcp", "-i", s.url(0), "-c", "copy", "-t", "1.5", filepath.Join(dir, "a.mp4"))
	sent := s.sessionLog()
	got, err := checkFiles(t.Context(), pattern, sent, s.clip)
	require.NoError(t, err)
	require.True(t, got.whole(), "%+v", got)
	require.Greater(t, got.Pictures, int64(30))
	require.Empty(t, firstSessions([]Session{{Channel: 3, Played: 1}}), "a camera that was left before its first picture lost none")
	sent[0].FirstPicture--
	got, err = checkFiles(t.Context(), pattern, sent, s.clip)
	require.NoError(t, err)
	require.Equal(t, 1, got.NoOpening)
}

// Issue, Must show 1, 2, 5, 9: promises follow from the figures.
func TestRecordPromises(t *testing.T) {
	report := func(ours, watched, many, mb, openings float64) *Report {
		r := &Report{}
		b := &Record{Channels: []int{8, 256}, Viewers: true, Clip: small(hal.H264), starts: map[int]startup{256: {time.Second, 4 * time.Second}}}
		for _, n := range b.Channels {
			add := func(recorder string, viewers int, values ...Value) {
				r.Add(resultName(recorder, b.Clip, n, viewers), n, values...)
			}
			add(floorName, 0, Value{2, unitCPU})
			add(ffmpegName, 0, Value{6, unitCPU})
			add(mediamtxName, 0, Value{5, unitCPU})
			add(oursName, 0, Value{ours, unitCPU}, Value{mb * float64(n), unitMemory}, Value{mb, unitMemoryOne}, Value{openings, unitOpenings})
			add(oursName, 1, Value{watched, unitCPU})
			if n == 8 {
				add(oursName, manyViewers, Value{many, unitCPU})
			}
		}
		b.Judge(r)
		return r
	}
	held := func(r *Report, what string) (held bool) {
		t.Helper()
		found := false
		for _, p := range r.Promises {
			if strings.HasPrefix(p.What, what) {
				found, held = true, p.Held
			}
		}
		require.True(t, found, "%s: %+v", what, r.Promises)
		return held
	}
	good := report(1.2, 3, 6.2, 1, 0) // a viewer costs 0.4: 2.6 of 2 are 1.3 times
	require.True(t, good.Held(), "%+v", good.Promises)
	require.Len(t, good.Charts, 2)
	for what, r := range map[string]*Report{
		"CPU at 8 channels, nobody watching, to the floor":                report(1.3, 3, 6.2, 1, 0),
		"CPU at 8 channels, nobody watching, to the best peer (mediamtx)": report(1.3, 3, 6.2, 1, 0),
		"CPU at 256 channels, a viewer each":                              report(1.2, 3.2, 6.2, 1, 0),
		"memory at 256 channels":                                          report(1.2, 3, 6.2, 1.2, 0),
		"opening key frames lost":                                         report(1.2, 3, 6.2, 1, 1),
	} {
		require.False(t, held(r, what), what)
	}
	late := &Record{Channels: []int{8}, starts: map[int]startup{8: {2 * time.Second, 3 * time.Second}}}
	r := &Report{}
	late.Judge(r)
	require.False(t, held(r, "start with 8 channels until the first"))
	require.True(t, held(r, "start with 8 channels until all"))
}

// Issue, Must show 3: the highest number that held each time is named.
func TestCapacityIsTheHighestThatHeldEachTime(t *testing.T) {
	for _, tc := range []struct {
		attempts []attempt
		want     string
		held     bool
	}{
		{[]attempt{{channels: 256, held: true}, {channels: 300, held: true}, {channels: 400}}, "300", true},
		{[]attempt{{channels: 256, held: true}, {channels: 300, held: true}, {channels: 256, held: true}, {channels: 300}}, "256", true},
		{[]attempt{{channels: 256}}, "0", false},
	} {
		r := &Report{}
		(&Record{Capacity: CapacitySteps(), attempts: tc.attempts}).Judge(r)
		require.Equal(t, tc.held, r.Promises[0].Held)
		require.Equal(t, tc.want+" is the highest that held", r.Promises[0].Got)
	}
}

// Issue, Build 2: what is not there is left out and named; what is unknown is refused.
func TestPeersThatAreNotThere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	all, skipped, err := chosen([]string{"auto"})
	require.NoError(t, err)
	require.Len(t, all, 2, "the floor and ours")
	require.Len(t, skipped, 3)
	require.Contains(t, skipped[0], "apt-get install ffmpeg")
	_, _, err = chosen([]string{"vlc"})
	require.ErrorContains(t, err, "vlc")
	require.Error(t, (&Record{Channels: []int{0}}).Validate())
	require.Error(t, (&Record{Clip: ClipSpec{Width: 161, Height: 120}}).Validate())
	where, err := findClip(t.Context(), small(hal.H264))
	require.NoError(t, err)
	c, err := loadClip(t.Context(), small(hal.H264), where)
	require.NoError(t, err, "the synthetic camera stands in for ffmpeg")
	require.Len(t, c.pictures, small(hal.H264).pictures())
	_, err = findClip(t.Context(), small(hal.H265))
	require.ErrorContains(t, err, "ffmpeg is not on PATH")
}

// Issue, Build 2: a request is bounded, and packets in between are thrown away.
func TestSimulatorRefusesNonsense(t *testing.T) {
	for _, url := range []string{"rtsp://h/other", "rtsp://h", "rtsp://h/cam-1", "rtsp://h/camX", ""} {
		_, _, ok := channelOf(url)
		require.False(t, ok, url)
	}
	channel, track, ok := channelOf("rtsp://127.0.0.1:1/cam017/trackID=1")
	require.True(t, ok)
	require.Equal(t, []int{17, 1}, []int{channel, track})
	for _, text := range []string{
		"", "$\x00\xff", "A B\r\n\r\n", strings.Repeat("x", 10_000),
		"PLAY rtsp://h/cam0 RTSP/1.0\r\n" + strings.Repeat("a: b\r\n", 1000),
		"PLAY rtsp://h/cam0 RTSP/1.0\r\nContent-Length: 99999999999\r\n\r\n",
	} {
		_, err := readRequest(readerOf(text))
		require.Error(t, err, "%.40q", text)
	}
	q, err := readRequest(readerOf("$\x01\x00\x02xxPLAY rtsp://h/cam0 RTSP/1.0\r\nCSeq: 7\r\nContent-Length: 2\r\n\r\nab"))
	require.NoError(t, err)
	require.Equal(t, request{method: "PLAY", url: "rtsp://h/cam0", cseq: "7"}, q)
}

func readerOf(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
