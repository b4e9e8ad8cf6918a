package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/config"
	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
	"github.com/millrace-video/millrace/pipeline"
)

const password = "s3cr3t:p@ss/word"

// env is a small world: two variables, one file, and the synthetic camera's driver beside one
// that takes every RTSP URL.
func env() config.Env {
	reg := hal.NewRegistry(synth.Driver{})
	return config.Env{
		Lookup: func(name string) (string, bool) {
			v, ok := map[string]string{"GATE_PASSWORD": password, "TOKEN": "to&ken value"}[name]
			return v, ok
		},
		ReadFile: func(name string) ([]byte, error) {
			switch name {
			case "/run/secrets/gate":
				return []byte(password + "\n"), nil
			case "/run/secrets/two":
				return []byte("one\ntwo\n"), nil
			}
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		},
		Check: func(url, transport string) error {
			if strings.HasPrefix(url, "rtsp://") {
				return nil
			}
			if transport != "" {
				return errors.New("transport goes with rtsp:// and rtsps:// sources, not with synth")
			}
			_, _, err := reg.Lookup(url)
			return err
		},
	}
}

func TestEveryKeyIsRead(t *testing.T) { // A3
	text := `
data: /srv/rec
listen: 127.0.0.1:9090
log: {level: debug, format: json}
rtsp: {enabled: true, listen: "0.0.0.0:554", udp: "0.0.0.0:6000", max_readers: 8, drop_after: 3s}
engine: {workers: 500, replay: 1Mi, init_timeout: 3s, exit_timeout: 4s}
disk: {max_bytes: 2T, min_free: 20G}
defaults:
  settle: 5s
  record: {segment_duration: 1h30m}
channels:
  - name: gate
    sources:
      - rtsp://admin:${GATE_PASSWORD}@10.0.0.9/main?token=${TOKEN}
      - {url: rtsp://10.0.0.8/x, user: bob, password: file:/run/secrets/gate, transport: multicast}
      - synth://
    pause: close
    open_timeout: 4s
    buffers: 6
    nice: -3
    encode: {codec: h265, bitrate: 4.5M, gop: 30, profile: main, prefer: [a, b], crop: 640x360+2+4, scale: 320x180, nice: -5}
    record: {dir: west, segment_bytes: 64Mi, fragment_duration: 500ms, ring: 8M, sync: fragment, on_command: true, merge: keep, merge_bytes: 2G, resume: 0s, keep: 7d, max_bytes: 50G, keep_events: 30d12h}
    live: {frames: 99, bytes: 1M, full: drop-oldest}
  - name: yard
    source: synth://?size=640x480
    encode: {codec: mjpeg, quality: 70, parallel: 2, prefer: turbojpeg}
    record: {enabled: false}
    live: {enabled: false}
`
	c, err := config.Parse("m.yml", []byte(text), env())
	require.NoError(t, err)
	require.Equal(t, "/srv/rec", c.Data)
	require.Equal(t, "127.0.0.1:9090", c.Listen)
	require.Equal(t, config.Log{Level: "debug", Format: "json"}, c.Log)
	require.Equal(t, config.RTSP{Enabled: true, Listen: "0.0.0.0:554", UDP: "0.0.0.0:6000", MaxReaders: 8, DropAfter: 3 * time.Second}, c.RTSP)
	require.Equal(t, config.Engine{Workers: 500, Replay: 1 << 20, InitTimeout: 3 * time.Second, ExitTimeout: 4 * time.Second}, c.Engine)
	require.Equal(t, config.Disk{MaxBytes: 2e12, MinFree: 20e9}, c.Disk)

	gate := c.Channels[0]
	require.Equal(t, []config.Source{
		{URL: "rtsp://admin:s3cr3t%3Ap%40ss%2Fword@10.0.0.9/main?token=to%26ken+value", Shown: "rtsp://admin:xxxxx@10.0.0.9/main?token=xxxxx"},
		{URL: "rtsp://bob:s3cr3t%3Ap%40ss%2Fword@10.0.0.8/x", Shown: "rtsp://bob:xxxxx@10.0.0.8/x", Transport: "multicast"},
		{URL: "synth://", Shown: "synth://"},
	}, gate.Sources)
	require.True(t, gate.CloseOnPause)
	require.Equal(t, []any{4 * time.Second, 5 * time.Second, 6, -3}, []any{gate.OpenTimeout, gate.Settle, gate.Buffers, gate.Nice})
	require.Equal(t, config.Encode{
		Codec: hal.H265, Bitrate: 4_500_000, GOP: 30, Profile: "main", Parallel: 1, Prefer: []string{"a", "b"},
		Crop: config.Rectangle{X: 2, Y: 4, Width: 640, Height: 360}, Scale: config.Size{Width: 320, Height: 180}, Nice: -5,
	}, gate.Encode)
	require.Equal(t, config.Record{
		Enabled: true, Dir: "west", SegmentDuration: 90 * time.Minute, SegmentBytes: 64 << 20, FragmentDuration: 500 * time.Millisecond, Ring: 8_000_000,
		Sync: 1, OnCommand: true, Merge: "keep", MergeBytes: 2_000_000_000, Resume: 0,
		Keep: 7 * 24 * time.Hour, MaxBytes: 50e9, KeepEvents: (30*24 + 12) * time.Hour,
		Growth: pipeline.Growth{Start: 1 << 20},
	}, gate.Record)
	require.Equal(t, config.Live{Enabled: true, Frames: 99, Bytes: 1_000_000, Full: pipeline.DropOldest}, gate.Live)
	require.Equal(t, "/srv/rec/west", gate.Folder(c.Data))

	yard := c.Channels[1]
	require.Equal(t, config.Encode{Codec: hal.MJPEG, Quality: 70, Parallel: 2, Prefer: []string{"turbojpeg"}}, yard.Encode)
	require.False(t, yard.Record.Enabled)
	require.False(t, yard.Live.Enabled)
	require.Equal(t, "password xxxxx, again xxxxx", c.Scrub("password "+password+", again s3cr3t%3Ap%40ss%2Fword"))
}

// R1, R2: the ring is a maximum alone, or everything its size and its reader follow.
func TestTheRing(t *testing.T) {
	c, err := config.Parse("m.yml", []byte(with(`    record:
      ring: {max: 1G, start: 4Mi, step: 500M, piece: 8Mi, threshold: 0.5, shrink_after: 1m}
      read: {initial: 200ms, floor: 50ms, max: 10s, empty: 3}
`)), env())
	require.NoError(t, err)
	r := c.Channels[0].Record
	require.EqualValues(t, 1_000_000_000, r.Ring)
	require.Equal(t, pipeline.Growth{Start: 4 << 20, Step: 500_000_000, Piece: 8 << 20, ShrinkAfter: time.Minute}, r.Growth)
	require.Equal(t, pipeline.Pace{Initial: 200 * time.Millisecond, Floor: 50 * time.Millisecond, Max: 10 * time.Second, Empty: 3, Threshold: 0.5}, r.Read)
}

func TestChannelsByName(t *testing.T) {
	c, err := config.Parse("m.yml", []byte("channels:\n  b:\n    source: synth://\n  a:\n    source: synth://\n"), env())
	require.NoError(t, err)
	require.Equal(t, []config.Channel{
		config.DefaultChannel("b", config.Source{URL: "synth://", Shown: "synth://"}),
		config.DefaultChannel("a", config.Source{URL: "synth://", Shown: "synth://"}),
	}, c.Channels)
}

func TestDollarBraceCanBeWritten(t *testing.T) {
	c, err := config.Parse("m.yml", []byte("data: a$${b}c\nchannels: {a: {source: 'synth://'}}"), env())
	require.NoError(t, err)
	require.Equal(t, "a${b}c", c.Data)
}

// A URL that is a secret as a whole shows its host alone.
func TestAWholeURLFromTheEnvironment(t *testing.T) {
	e := env()
	e.Lookup = func(string) (string, bool) { return "rtsp://u:pass@10.0.0.9/live?token=abcdef", true }
	c, err := config.Parse("m.yml", []byte("channels: {a: {source: '${CAMERA}'}}"), e)
	require.NoError(t, err)
	require.Equal(t, "rtsp://u:xxxxx@10.0.0.9/live?xxxxx", c.Channels[0].Sources[0].Shown)
}

func TestBrokenConfigurations(t *testing.T) { // A3: file, line, column, what would be right; all at once
	for _, tc := range broken() {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse("m.yml", []byte(tc.text), env())
			var problems config.FileError
			require.ErrorAs(t, err, &problems)
			require.Equal(t, tc.want, err.Error())
			for _, secret := range []string{password, "s3cr3t", "hunter2"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yml"), env())
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "none.yml: no such file or directory: name an existing file with --config")
}

// What is larger or deeper than a configuration is refused before it costs memory or time.
func TestHostileSizes(t *testing.T) {
	for name, text := range map[string]string{
		"too large":     strings.Repeat("#", 1<<20+1),
		"lists":         strings.Repeat("[", 100_000),
		"objects":       strings.Repeat("{a: ", 50_000),
		"entries":       strings.Repeat("- ", 50_000),
		"keys":          strings.Repeat("? ", 50_000),
		"indentation":   deep(),
		"many keys":     strings.Repeat("a: b\n", 60_000),
		"many tokens":   "a: [" + strings.Repeat("a,", 150_000) + "]",
		"tags":          "a: " + strings.Repeat("!!x ", 50_000),
		"aliases":       "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]\n",
		"a quoted text": "a: \"" + strings.Repeat("x", 1<<20-100),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("m.yml", []byte(text), env())
			var problems config.FileError
			require.ErrorAs(t, err, &problems)
			require.LessOrEqual(t, len(problems), 250)
		})
	}
}

func deep() string {
	var b strings.Builder
	for i := range 1000 {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, tc := range broken() {
		f.Add([]byte(tc.text))
	}
	for _, tc := range brokenUploads() {
		f.Add([]byte(tc.text))
	}
	f.Add([]byte("channels:\n  - name: a\n    source: rtsp://u:${GATE_PASSWORD}@h/p\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := config.Parse("m.yml", text, env())
		if err != nil {
			var problems config.FileError
			require.ErrorAs(t, err, &problems)
			require.NotEmpty(t, problems)
			require.NotContains(t, err.Error(), password)
			return
		}
		require.NotEmpty(t, cfg.Channels)
		for _, ch := range cfg.Channels {
			require.NoError(t, pipeline.CheckName(ch.Name))
			require.NotEmpty(t, ch.Sources)
			for _, s := range ch.Sources {
				require.NotContains(t, s.Shown, password)
			}
		}
	})
}
