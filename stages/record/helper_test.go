package record_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pipeline"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack/packtest"
	"github.com/millrace-video/millrace/stages/record"
)

var (
	_ pipeline.Bound    = record.Ring{}
	_ pipeline.Stage    = (*record.Recorder)(nil)
	_ pipeline.EndBatch = (*record.Recorder)(nil)
	_ pipeline.Counting = (*record.Recorder)(nil)
)

// rig feeds a recorder and keeps the ledger.
type rig struct {
	t      *testing.T
	r      *record.Recorder
	arena  *pool.Arena
	dir    string
	clock  *hal.Clock
	log    strings.Builder
	asked  int
	offset time.Duration // is added to every stamp
	run    uint32
}

// recorder opens a recorder on a directory of its own.
func recorder(t *testing.T, cfg record.Config) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rec", "gate")
	return rigged(t, record.To(dir, cfg), dir)
}

func rigged(t *testing.T, r *record.Recorder, dir string) *rig {
	t.Helper()
	g := &rig{t: t, r: r, arena: pool.NewArena(pool.ArenaConfig{}), dir: dir, clock: hal.NewClock()}
	require.NoError(t, r.Open(t.Context(), g.env()))
	return g
}

func (g *rig) env() pipeline.Env {
	return pipeline.Env{Channel: "gate", Clock: g.clock, Log: logTo(&g.log).With("channel", "gate"), RequestKeyFrame: func() { g.asked++ }}
}

// frame makes unit i of a clip.
func (g *rig) frame(c *packtest.Clip, i int) hal.Frame {
	f := c.Frame(g.t, g.arena, i)
	f.Stamp.DTS += g.offset
	f.Stamp.PTS += g.offset
	f.Stamp.Run = g.run
	f.Stamp.Mono = g.clock.Mono()
	return f
}

// feed gives the recorder the units for which keep says yes (nil: all).
func (g *rig) feed(c *packtest.Clip, keep func(i int, u packtest.Unit) bool) {
	g.t.Helper()
	for i, u := range c.Units {
		if keep == nil || keep(i, u) {
			require.NoError(g.t, g.r.Work(g.t.Context(), g.frame(c, i)))
		}
	}
}

// close ends the recording, looks into the ledger and returns the files.
func (g *rig) close() []string {
	g.t.Helper()
	require.NoError(g.t, g.r.Flush(g.t.Context()))
	require.NoError(g.t, g.r.Close())
	require.Zero(g.t, g.arena.Stats().Held, "frames never released")
	return g.files()
}

func (g *rig) files() []string {
	g.t.Helper()
	all, err := filepath.Glob(filepath.Join(g.dir, "*"))
	require.NoError(g.t, err)
	return all
}

func (g *rig) stats() record.Stats {
	s, ok := g.r.Stats().(record.Stats)
	require.True(g.t, ok)
	return s
}

// parsed reads a file back.
func parsed(t *testing.T, path string) *packtest.Clip {
	t.Helper()
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	return packtest.Parse(t, file)
}

// counts is how many frames of each track the files hold together.
func counts(t *testing.T, files []string, tracks int) []int {
	t.Helper()
	n := make([]int, tracks)
	for _, path := range files {
		for _, u := range parsed(t, path).Units {
			n[u.Track]++
		}
	}
	return n
}

// letters shows a track of a file: K is a key frame, . another.
func letters(c *packtest.Clip, track int) string {
	var b strings.Builder
	for _, u := range c.Units {
		if u.Track == track {
			b.WriteString(map[bool]string{true: "K", false: "."}[u.Key])
		}
	}
	return b.String()
}

// gops is what letters shows of n groups of 25 pictures.
func gops(n int) string { return strings.Repeat("K"+strings.Repeat(".", 24), n) }

// pictures is three seconds of H.264 with B-frames, a key frame each second; with sound, AAC
// beside it.
func pictures(t testing.TB, sound bool) *packtest.Clip {
	t.Helper()
	clips.Lock()
	defer clips.Unlock()
	c := clips.made[sound]
	if c == nil {
		args := []string{"-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=3"}
		coding := []string{"-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-sc_threshold", "0", "-pix_fmt", "yuv420p"}
		if sound {
			args = append(args, "-f", "lavfi", "-i", "sine=frequency=1000:duration=3")
			coding = append(coding, "-c:a", "aac", "-ar", "48000")
		}
		c = packtest.Encode(t, append(args, coding...)...)
		clips.made[sound] = c
	}
	return &packtest.Clip{Stream: c.Stream, Units: slices.Clone(c.Units)}
}

// clips is what pictures has made: encoding takes longer than all that is tested with it.
var clips = struct {
	sync.Mutex
	made map[bool]*packtest.Clip
}{made: map[bool]*packtest.Clip{}}

// plays has ffmpeg judge all files and returns how many pictures it decoded.
func plays(t *testing.T, files []string) int {
	t.Helper()
	n := 0
	for _, path := range files {
		n += packtest.Plays(t, path, 0)
	}
	return n
}

func names(files []string) string {
	base := make([]string, 0, len(files))
	for _, f := range files {
		base = append(base, filepath.Base(f))
	}
	return fmt.Sprint(base)
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
