package rtsp_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/g711"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
)

// shot is a frame, its bytes copied.
type shot struct {
	hal.Stamp

	key, gap bool
	b        []byte
}

// judge decodes with ffmpeg, which must find nothing wrong.
func judge(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-threads", "1"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &complaints
	require.NoError(t, cmd.Run(), "%s", complaints.String())
	require.Empty(t, complaints.String(), "the decoder complains")
	return out.Bytes()
}

// annexB makes a byte stream of access units.
func annexB(tr hal.Track, shots []shot) []byte {
	var out []byte
	for _, set := range [][]byte{tr.VPS, tr.SPS, tr.PPS} {
		if set != nil {
			out = append(append(out, 0, 0, 0, 1), set...)
		}
	}
	for _, s := range shots {
		for b := s.b; len(b) >= 4; {
			n := int(binary.BigEndian.Uint32(b))
			out = append(append(out, 0, 0, 0, 1), b[4:4+n]...)
			b = b[4+n:]
		}
	}
	return out
}

// brightness returns the mean brightness of each picture, in the order they are shown.
func brightness(t *testing.T, tr hal.Track, shots []shot) []float64 {
	t.Helper()
	var all []float64
	if tr.Codec == hal.MJPEG {
		for _, s := range shots {
			img, err := jpeg.Decode(bytes.NewReader(s.b))
			require.NoError(t, err)
			require.Equal(t, image.Pt(tr.Width, tr.Height), img.Bounds().Max.Sub(img.Bounds().Min).Add(image.Pt(0, 0)))
			ycc, ok := img.(*image.YCbCr)
			require.True(t, ok)
			all = append(all, mean(ycc.Y))
		}
		return all
	}
	name := map[hal.Codec]string{hal.H264: "h264", hal.H265: "hevc"}[tr.Codec]
	raw := judge(t, annexB(tr, shots), "-f", name, "-i", "pipe:0",
		"-fps_mode", "passthrough", "-vf", "scale=16:9", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1")
	for picture := range slices.Chunk(raw, 16*9) {
		all = append(all, mean(picture))
	}
	return all
}

func mean(b []byte) float64 {
	sum := 0
	for _, v := range b {
		sum += int(v)
	}
	return float64(sum) / float64(len(b))
}

// flashes returns when the picture turns white.
func flashes(t *testing.T, tr hal.Track, shots []shot) []time.Duration {
	t.Helper()
	light := brightness(t, tr, shots)
	require.Len(t, light, len(shots), "pictures decoded")
	var pts, out []time.Duration
	for _, s := range shots {
		pts = append(pts, s.PTS)
	}
	slices.Sort(pts)
	for i := 1; i < len(light); i++ {
		if light[i] > 210 && light[i-1] <= 210 {
			out = append(out, pts[i])
		}
	}
	return out
}

// samples decodes sound to 16 bits, mono.
func samples(t *testing.T, tr hal.Track, shots []shot) []byte {
	t.Helper()
	rate := strconv.Itoa(tr.SampleRate)
	switch tr.Codec { //nolint:exhaustive // the films have no other
	case hal.G711A, hal.G711U:
		var out []byte
		for _, s := range shots {
			if tr.Codec == hal.G711A {
				out = append(out, decodeALaw(s.b)...)
			} else {
				out = append(out, decodeMuLaw(s.b)...)
			}
		}
		return out
	case hal.AAC:
		var pkts mpeg4audio.ADTSPackets
		for _, s := range shots {
			pkts = append(pkts, &mpeg4audio.ADTSPacket{
				Type: mpeg4audio.ObjectTypeAACLC, SampleRate: tr.SampleRate,
				ChannelConfig: uint8(tr.Channels), AU: s.b,
			})
		}
		raw, err := pkts.Marshal()
		require.NoError(t, err)
		return judge(t, raw, "-f", "aac", "-i", "pipe:0", "-f", "s16le", "-ac", "1", "-ar", rate, "pipe:1")
	case hal.Opus:
		var ts bytes.Buffer
		track := &mpegts.Track{Codec: &tscodecs.Opus{ChannelCount: tr.Channels}} //nolint:staticcheck // Desc says no more
		w := &mpegts.Writer{W: &ts, Tracks: []*mpegts.Track{track}}
		require.NoError(t, w.Initialize())
		for _, s := range shots {
			require.NoError(t, w.WriteOpus(track, int64(s.PTS)*9/100000, [][]byte{s.b}))
		}
		return judge(t, ts.Bytes(), "-f", "mpegts", "-i", "pipe:0", "-f", "s16le", "-ac", "1", "-ar", rate, "pipe:1")
	default:
		t.Fatalf("no decoder for %s", tr.Codec)
		return nil
	}
}

func decodeALaw(b []byte) []byte {
	var d g711.Alaw
	d.Unmarshal(b)
	return littleEndian(d)
}

func decodeMuLaw(b []byte) []byte {
	var d g711.Mulaw
	d.Unmarshal(b)
	return littleEndian(d)
}

func littleEndian(b []byte) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return b
}

// beeps returns when the sound sets in.
func beeps(t *testing.T, tr hal.Track, shots []shot) []time.Duration {
	t.Helper()
	raw := samples(t, tr, shots)
	total := len(raw) / 2
	begins := make([]int, len(shots)) // the first sample of each frame
	for i := range shots {
		begins[i] = i * total / len(shots)
		if i > 0 && (tr.Codec == hal.G711A || tr.Codec == hal.G711U) {
			begins[i] = begins[i-1] + len(shots[i-1].b)
		}
	}
	quiet := tr.SampleRate / 5
	silent := quiet
	var out []time.Duration
	for i := range total {
		v := math.Abs(float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))))
		if v < 6000 {
			silent++
			continue
		}
		if silent >= quiet {
			at, _ := slices.BinarySearch(begins, i+1)
			into := time.Duration(i-begins[at-1]) * time.Second / time.Duration(tr.SampleRate)
			out = append(out, shots[at-1].PTS+into)
		}
		silent = 0
	}
	return out
}

func names(d []time.Duration) string {
	var s []string
	for _, v := range d {
		s = append(s, v.Round(time.Millisecond).String())
	}
	return strings.Join(s, " ")
}
