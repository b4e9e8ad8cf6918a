// Package packtest gives tests of the MP4 writer encoded content to write, made by ffmpeg, and
// ffprobe as the judge of what was written.
package packtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/pool"
)

// Unit is one encoded frame of a clip.
type Unit struct {
	Track    int
	DTS, PTS time.Duration
	End      time.Duration // DTS and duration, as the file says
	Key      bool
	Bytes    []byte
}

// Clip is encoded content in the order of its DTS.
type Clip struct {
	Stream *hal.Stream
	Units  []Unit
}

// Tool runs one of ffmpeg's programs and returns what it wrote to its standard output. It fails
// the test where the program is missing, returns an error or complains.
func Tool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install ffmpeg", name)
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-v", "error"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	require.NoError(t, err, "%s %q: %s", name, args, complaints.String())
	require.Empty(t, complaints.String(), "%s %q", name, args)
	return out.Bytes()
}

// Encode returns what ffmpeg makes of these arguments: inputs and codecs, without the output.
func Encode(t testing.TB, args ...string) *Clip {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.mp4")
	args = append(args, "-movflags", "frag_keyframe+delay_moov+default_base_moof", "-threads", "1", "-y", path)
	Tool(t, "ffmpeg", args...)
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	c := Parse(t, file)
	keys := map[int][]bool{}
	for _, p := range Probe(t, path) { // mediacommon does not read first_sample_flags
		keys[p.Track] = append(keys[p.Track], p.Key)
	}
	for i := range c.Units {
		u := &c.Units[i]
		u.Key, keys[u.Track] = keys[u.Track][0], keys[u.Track][1:]
	}
	return c
}

// Parse returns what a fragmented MP4 holds, read by mediacommon. What follows its last whole
// fragment is left alone.
func Parse(t testing.TB, file []byte) *Clip {
	t.Helper()
	var head fmp4.Init
	require.NoError(t, head.Unmarshal(bytes.NewReader(file)))
	c := &Clip{Stream: &hal.Stream{}}
	byID := map[int]int{}
	for i, track := range head.Tracks {
		byID[track.ID] = i
		c.Stream.Tracks = append(c.Stream.Tracks, halTrack(t, track))
	}
	var parts fmp4.Parts
	require.NoError(t, parts.Unmarshal(file))
	for _, p := range parts {
		for _, track := range p.Tracks {
			i, at := byID[track.ID], int64(track.BaseTime)
			scale := int64(head.Tracks[i].TimeScale)
			for _, s := range track.Samples {
				c.Units = append(c.Units, Unit{
					Track: i, Key: !s.IsNonSyncSample, Bytes: s.Payload,
					DTS: duration(at, scale), PTS: duration(at+int64(s.PTSOffset), scale),
					End: duration(at+int64(s.Duration), scale),
				})
				at += int64(s.Duration)
			}
		}
	}
	c.sort()
	return c
}

func (c *Clip) sort() {
	slices.SortStableFunc(c.Units, func(a, b Unit) int { return cmp.Compare(a.DTS, b.DTS) })
}

// duration is cut to whole ns, as sources do.
func duration(n, scale int64) time.Duration {
	return time.Duration(n/scale)*time.Second + time.Duration(n%scale)*time.Second/time.Duration(scale)
}

func halTrack(t testing.TB, track *fmp4.InitTrack) hal.Track {
	t.Helper()
	h := hal.Track{TimeScale: track.TimeScale}
	switch c := track.Codec.(type) {
	case *codecs.H264:
		h.Codec, h.SPS, h.PPS = hal.H264, c.SPS, c.PPS
	case *codecs.H265:
		h.Codec, h.VPS, h.SPS, h.PPS = hal.H265, c.VPS, c.SPS, c.PPS
	case *codecs.AV1:
		h.Codec = hal.AV1
		header := slices.Clone(c.SequenceHeader)
		h.SPS = append([]byte{header[0] | 2, byte(len(header) - 1)}, header[1:]...)
	case *codecs.MJPEG:
		h.Codec, h.Width, h.Height = hal.MJPEG, c.Width, c.Height
	case *codecs.MPEG4Audio:
		config, err := c.Config.Marshal()
		require.NoError(t, err)
		h.Codec, h.AudioConfig, h.SampleRate, h.Channels = hal.AAC, config, c.Config.SampleRate, int(c.Config.ChannelConfig)
	case *codecs.Opus:
		h.Codec, h.SampleRate, h.Channels = hal.Opus, 48000, c.ChannelCount
	case *codecs.LPCM:
		h.Codec, h.SampleRate, h.Channels, h.BitDepth = hal.LPCM, c.SampleRate, c.ChannelCount, c.BitDepth
	default:
		t.Fatalf("a clip of %T", c)
	}
	return h
}

// Sound adds a track of raw sound, as ffmpeg makes it from these arguments in the given format
// (alaw, mulaw, s16be), in packets of the given number of samples.
func (c *Clip) Sound(t testing.TB, track hal.Track, format string, samples int, args ...string) {
	t.Helper()
	raw := Tool(t, "ffmpeg", append(args, "-f", format, "-")...)
	size := samples * track.Channels * max(1, track.BitDepth/8)
	i := len(c.Stream.Tracks)
	c.Stream = &hal.Stream{Tracks: append(slices.Clone(c.Stream.Tracks), track)}
	for n := 0; len(raw) > 0; n++ {
		piece := raw[:min(size, len(raw))]
		raw = raw[len(piece):]
		at := duration(int64(n*samples), int64(track.SampleRate))
		c.Units = append(c.Units, Unit{Track: i, DTS: at, PTS: at, Key: true, Bytes: piece})
	}
	c.sort()
}

// Frame returns unit i as a frame whose bytes lie in the arena.
func (c *Clip) Frame(t testing.TB, a *pool.Arena, i int) hal.Frame {
	t.Helper()
	u := c.Units[i]
	b, err := a.Get(len(u.Bytes))
	require.NoError(t, err)
	copy(b.Bytes(), u.Bytes)
	return hal.Frame{
		Buf: b, Stream: c.Stream, Track: u.Track, Key: u.Key,
		Stamp: hal.Stamp{DTS: u.DTS, PTS: u.PTS, Mono: int64(u.DTS)},
	}
}

// Count returns how many units of the track there are.
func (c *Clip) Count(track int) int {
	n := 0
	for _, u := range c.Units {
		if u.Track == track {
			n++
		}
	}
	return n
}

// Packet is one packet of a file as ffprobe sees it, in the time base of its track.
type Packet struct {
	Track              int
	DTS, PTS, Duration int64
	Size               int
	Key                bool
}

// Probe returns the packets of a file, in which ffprobe finds nothing wrong.
func Probe(t testing.TB, path string) []Packet {
	t.Helper()
	return packets(t, Tool(t, "ffprobe", append(showPackets(), path)...))
}

// ProbeBroken is Probe for a file that may end anywhere.
func ProbeBroken(t testing.TB, path string) []Packet {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffprobe", append(append([]string{"-v", "fatal"}, showPackets()...), path)...)
	out, err := cmd.Output()
	require.NoError(t, err, path)
	return packets(t, out)
}

func showPackets() []string {
	return []string{"-show_entries", "packet=stream_index,dts,pts,duration,size,flags", "-of", "json"}
}

func packets(t testing.TB, out []byte) []Packet {
	t.Helper()
	var found struct {
		Packets []struct {
			Track    int    `json:"stream_index"`
			DTS      int64  `json:"dts"`
			PTS      int64  `json:"pts"`
			Duration int64  `json:"duration"`
			Size     string `json:"size"`
			Flags    string `json:"flags"`
		} `json:"packets"`
	}
	require.NoError(t, json.Unmarshal(out, &found))
	all := make([]Packet, 0, len(found.Packets))
	for _, p := range found.Packets {
		size, err := strconv.Atoi(p.Size)
		require.NoError(t, err)
		all = append(all, Packet{p.Track, p.DTS, p.PTS, p.Duration, size, strings.HasPrefix(p.Flags, "K")})
	}
	return all
}

// Plays decodes a whole file and fails the test where ffmpeg finds anything wrong with it. It
// returns how many frames of the track came out.
func Plays(t testing.TB, path string, track int) int {
	t.Helper()
	out := Tool(t, "ffmpeg", "-xerror", "-i", path, "-map", "0", "-vsync", "passthrough", "-f", "framecrc", "-")
	n := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, strconv.Itoa(track)+",") {
			n++
		}
	}
	return n
}
