package pack_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
	"github.com/millrace-video/millrace/stages/pack"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

const (
	picture = "testsrc2=size=320x240:rate=25:duration=3"
	beep    = "sine=frequency=1000:duration=3"
)

var (
	h264Args = []string{"-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-pix_fmt", "yuv420p"}
	h265Args = []string{"-f", "lavfi", "-i", picture, "-c:v", "libx265", "-x265-params", "log-level=error:keyint=25:bframes=2:no-open-gop=1", "-preset", "ultrafast", "-tag:v", "hvc1"}
	av1Args  = []string{"-f", "lavfi", "-i", picture, "-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "25"}
	jpegArgs = []string{"-f", "lavfi", "-i", picture, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-tag:v", "mp4v"}
	aacArgs  = []string{"-f", "lavfi", "-i", beep, "-c:a", "aac", "-ar", "44100"}
	opusArgs = []string{"-f", "lavfi", "-i", beep, "-c:a", "libopus"}
)

// both encodes a picture and a sound.
func both(video, audio []string) []string {
	args := append([]string{}, video[:4]...)
	args = append(args, audio[:4]...)
	args = append(args, video[4:]...)
	return append(args, audio[4:]...)
}

// clip is one row of the tables: what is written.
type clip struct {
	name string
	make func(t testing.TB) *packtest.Clip
}

func encoded(name string, args []string) clip {
	return clip{name, func(t testing.TB) *packtest.Clip { return encode(t, args) }}
}

// encode makes a clip once: that takes longer than all that is tested with it.
func encode(t testing.TB, args []string) *packtest.Clip {
	t.Helper()
	key := strings.Join(args, " ")
	made.Lock()
	defer made.Unlock()
	if made.clips[key] == nil {
		made.clips[key] = packtest.Encode(t, args...)
	}
	c := made.clips[key]
	return &packtest.Clip{Stream: &hal.Stream{Tracks: slices.Clone(c.Stream.Tracks)}, Units: slices.Clone(c.Units)}
}

var made = struct {
	sync.Mutex
	clips map[string]*packtest.Clip
}{clips: map[string]*packtest.Clip{}}

func withSound(name string, track hal.Track, format string) clip {
	return clip{name, func(t testing.TB) *packtest.Clip {
		c := encode(t, h264Args)
		c.Sound(t, track, format, track.SampleRate/50, "-f", "lavfi", "-i", beep, "-ar", "8000")
		return c
	}}
}

func clips() []clip {
	return []clip{
		encoded("H.264 with B-frames", h264Args),
		encoded("H.265 with B-frames", h265Args),
		encoded("AV1", av1Args),
		encoded("JPEG", jpegArgs),
		encoded("AAC alone", aacArgs),
		encoded("H.264 and AAC", both(h264Args, aacArgs)),
		encoded("H.265 and Opus", both(h265Args, opusArgs)),
		withSound("H.264 and A-law", hal.Track{Codec: hal.G711A, TimeScale: 8000, SampleRate: 8000, Channels: 1}, "alaw"),
		withSound("H.264 and µ-law", hal.Track{Codec: hal.G711U, TimeScale: 8000, SampleRate: 8000, Channels: 1}, "mulaw"),
		withSound("H.264 and LPCM", hal.Track{Codec: hal.LPCM, TimeScale: 8000, SampleRate: 8000, Channels: 1, BitDepth: 16}, "s16be"),
	}
}

// written packs a clip, a fragment a second, and returns the file and its fragments' sizes, the
// head first.
func written(t testing.TB, c *packtest.Clip) (file []byte, sizes []int) {
	t.Helper()
	arena := pool.NewArena(pool.ArenaConfig{})
	var p *pack.Packer
	add := func(parts [][]byte) {
		if n := len(bytes.Join(parts, nil)); n > 0 {
			file, sizes = append(file, bytes.Join(parts, nil)...), append(sizes, n)
		}
	}
	for i := range c.Units {
		f := c.Frame(t, arena, i)
		if p == nil {
			m, err := pack.Plan(c.Stream, f)
			require.NoError(t, err)
			p = pack.NewPacker(m)
			add([][]byte{m.Head()})
		}
		require.NoError(t, p.Add(f))
		if p.Ready(time.Second) {
			add(p.Cut())
			p.Release()
		}
	}
	add(p.Finish())
	p.Release()
	require.Zero(t, p.Frames())
	require.Zero(t, p.Bytes())
	require.Zero(t, arena.Stats().Held, "frames never released")
	return file, sizes
}

func TestWhatIsPackedIsWhatWasGiven(t *testing.T) { // R5
	for _, tc := range clips() {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.make(t)
			file, sizes := written(t, c)
			require.GreaterOrEqual(t, len(sizes), 4, "a fragment a second, after the head")
			asMediacommon(t, file, sizes)

			path := filepath.Join(t.TempDir(), "a.mp4")
			require.NoError(t, os.WriteFile(path, file, 0o600))
			back := packtest.Parse(t, file)
			require.Len(t, back.Units, len(c.Units))
			packets := packtest.Probe(t, path)
			for track := range c.Stream.Tracks {
				sameTrack(t, c, back, track)
				noSeams(t, of(back, track))
				seen(t, c, packets, track)
				if c.Stream.Tracks[track].Codec.IsVideo() {
					require.Equal(t, c.Count(track), packtest.Plays(t, path, track))
				}
			}
		})
	}
}

func of(c *packtest.Clip, track int) []packtest.Unit {
	var units []packtest.Unit
	for _, u := range c.Units {
		if u.Track == track {
			units = append(units, u)
		}
	}
	return units
}

// sameTrack compares bytes, marks and times with what mediacommon reads back.
func sameTrack(t *testing.T, c, back *packtest.Clip, track int) {
	t.Helper()
	want, got := of(c, track), of(back, track)
	require.Len(t, got, len(want))
	law := c.Stream.Tracks[track].Codec
	for i := range want {
		require.Equal(t, want[i].DTS-c.Units[0].DTS, got[i].DTS, "unit %d", i)
		require.Equal(t, want[i].PTS-c.Units[0].DTS, got[i].PTS, "unit %d", i)
		require.Equal(t, want[i].Key, got[i].Key, "unit %d", i)
		if law != hal.G711A && law != hal.G711U {
			require.True(t, bytes.Equal(want[i].Bytes, got[i].Bytes), "unit %d", i)
		}
	}
}

// noSeams says that every sample ends where the next begins, and that the last lasts as long as
// the one before it.
func noSeams(t *testing.T, units []packtest.Unit) {
	t.Helper()
	for i := 1; i < len(units); i++ {
		require.Equal(t, units[i].DTS, units[i-1].End, "unit %d", i)
	}
	n := len(units)
	require.InDelta(t, units[n-2].End-units[n-2].DTS, units[n-1].End-units[n-1].DTS, 2)
}

// seen compares with what ffprobe sees. It cuts uncompressed sound anew.
func seen(t *testing.T, c *packtest.Clip, packets []packtest.Packet, track int) {
	t.Helper()
	info := c.Stream.Tracks[track]
	scale := float64(info.SampleRate)
	if info.Codec.IsVideo() {
		scale = 90000
	}
	got := slices.DeleteFunc(slices.Clone(packets), func(p packtest.Packet) bool { return p.Track != track })
	want := of(c, track)
	if slices.Contains([]hal.Codec{hal.LPCM, hal.G711A, hal.G711U}, info.Codec) {
		bytes := 0
		for _, p := range got {
			bytes += p.Size
		}
		require.Equal(t, 3*8000*2, bytes)
		return
	}
	require.Len(t, got, len(want))
	for i, p := range got {
		require.Equal(t, int64(math.Round((want[i].DTS-c.Units[0].DTS).Seconds()*scale)), p.DTS)
		require.Equal(t, int64(math.Round((want[i].PTS-c.Units[0].DTS).Seconds()*scale)), p.PTS)
		require.Equal(t, want[i].Key, p.Key, "packet %d", i)
		require.Len(t, want[i].Bytes, p.Size)
	}
}

// asMediacommon says that every fragment's bytes are those that mediacommon would write.
func asMediacommon(t *testing.T, file []byte, sizes []int) {
	t.Helper()
	var parts fmp4.Parts
	require.NoError(t, parts.Unmarshal(file))
	require.Len(t, parts, len(sizes)-1)
	at := sizes[0]
	for i, part := range parts {
		var want seekablebuffer.Buffer
		part.SequenceNumber = uint32(i + 1)
		require.NoError(t, part.Marshal(&want))
		require.True(t, bytes.Equal(want.Bytes(), file[at:at+sizes[i+1]]), "fragment %d", i)
		at += sizes[i+1]
	}
}
