package file_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
)

var (
	mediaMu  sync.Mutex
	mediaDir string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "millrace-file")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a test's main
	}
	mediaDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code) //nolint:forbidigo // a test's main
}

// What ffmpeg makes the test files from: 2 s of a moving picture, and a tone.
const (
	picture = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 "
	tone    = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=2 "
	x264    = "-c:v libx264 -preset veryfast -threads 1 -pix_fmt yuv420p -g 25 -bf 3 "
	x265    = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:bframes=3:pools=1:frame-threads=1 -pix_fmt yuv420p "
	aac     = "-c:a aac -b:a 64k "
)

// recipes says how each file is made. IN(name) is a file made before.
var recipes = map[string]string{
	"h264.mp4":      picture + tone + x264 + aac,
	"last.mp4":      "-i IN(h264.mp4) -c copy",
	"first.mp4":     "-i IN(h264.mp4) -c copy -movflags +faststart",
	"frag.mp4":      "-i IN(h264.mp4) -c copy -movflags +frag_keyframe+empty_moov+default_base_moof",
	"delay.mp4":     "-i IN(h264.mp4) -c copy -movflags +frag_keyframe+delay_moov",
	"each.mp4":      "-i IN(h264.mp4) -c copy -movflags +frag_every_frame+empty_moov",
	"dash.mp4":      "-i IN(h264.mp4) -c copy -movflags +dash+global_sidx+frag_keyframe",
	"negative.mp4":  "-i IN(h264.mp4) -c copy -movflags +negative_cts_offsets",
	"offset.mp4":    "-itsoffset 0.5 -i IN(h264.mp4) -i IN(h264.mp4) -map 0:v -map 1:a -c copy",
	"h265.mp4":      picture + x265 + "-tag:v hvc1",
	"hev1.mp4":      "-i IN(h265.mp4) -c copy -tag:v hev1 -movflags +frag_keyframe+empty_moov",
	"opus.mp4":      tone + "-c:a libopus -b:a 48k",
	"av1.mp4":       "-f lavfi -i testsrc2=size=160x120:rate=10:duration=1 -c:v libaom-av1 -cpu-used 8 -usage realtime -g 5",
	"mjpeg.mp4":     picture + "-c:v mjpeg -q:v 10",
	"jpeg.mov":      picture + "-c:v mjpeg -q:v 10",
	"pcm.mov":       picture + tone + x264 + "-c:a pcm_s16le",
	"pcmbe.mov":     tone + "-c:a pcm_s24be",
	"ulaw.mov":      tone + "-ar 8000 -c:a pcm_mulaw",
	"h264.ts":       "-i IN(h264.mp4) -c copy",
	"h264.m2ts":     "-i IN(video.mp4) -c copy -mpegts_m2ts_mode 1 -f mpegts",
	"h265.ts":       "-i IN(h265.mp4) -c copy",
	"opus.ts":       "-i IN(opus.mp4) -c copy",
	"wrap.ts":       "-i IN(h264.mp4) -c copy -output_ts_offset 95442.7",
	"mp2.ts":        picture + tone + x264 + "-c:a mp2",
	"video.mp4":     "-i IN(h264.mp4) -c copy -an",
	"h264.h264":     "-i IN(h264.mp4) -an -c copy -bsf:v h264_mp4toannexb -f h264",
	"aud.264":       "-i IN(h264.mp4) -an -c copy -bsf:v h264_mp4toannexb,h264_metadata=aud=insert -f h264",
	"h265.265":      "-i IN(h265.mp4) -an -c copy -bsf:v hevc_mp4toannexb -f hevc",
	"slices.mp4":    picture + "-c:v libx264 -preset veryfast -pix_fmt yuv420p -threads 1 -x264-params slices=4:keyint=10:bframes=2",
	"slices.h264":   "-i IN(slices.mp4) -c copy -bsf:v h264_mp4toannexb -f h264",
	"vp9.mp4":       "-f lavfi -i testsrc2=size=64x48:rate=5:duration=0.4 -c:v libvpx-vp9",
	"pcm.wav":       tone + "-c:a pcm_s16le",
	"flv.flv":       "-i IN(h264.mp4) -c copy",
	"long.mp4":      "-f lavfi -i testsrc2=size=320x240:rate=25:duration=20 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=20 -c:v libx264 -preset ultrafast -threads 1 -g 50 " + aac,
	"long-frag.mp4": "-i IN(long.mp4) -c copy -movflags +frag_keyframe+empty_moov",
	"long.ts":       "-i IN(long.mp4) -c copy",
	"long.h264":     "-i IN(long.mp4) -an -c copy -bsf:v h264_mp4toannexb -f h264",
	"avsync.mp4":    "-f lavfi -i testsrc2=size=160x120:rate=25:duration=1 -f lavfi -i sine=sample_rate=48000:duration=1.5 -c:v libx264 -preset ultrafast -threads 1 " + aac,
	"tiny.mp4":      "-f lavfi -i testsrc2=size=64x48:rate=10:duration=0.6 -f lavfi -i sine=sample_rate=8000:duration=0.6 -c:v libx264 -threads 1 -g 3 -bf 1 -c:a aac -b:a 16k -movflags +faststart",
	"tiny-frag.mp4": "-i IN(tiny.mp4) -c copy -movflags +frag_keyframe+empty_moov",
	"tiny.ts":       "-i IN(tiny.mp4) -c copy",
	"tiny.h264":     "-i IN(tiny.mp4) -an -c copy -bsf:v h264_mp4toannexb -f h264",
	"tiny-hevc.mp4": "-f lavfi -i testsrc2=size=64x64:rate=10:duration=0.6 -c:v libx265 -x265-params log-level=none:keyint=3:bframes=1:pools=1:frame-threads=1:info=0",
	"tiny.265":      "-i IN(tiny-hevc.mp4) -c copy -bsf:v hevc_mp4toannexb -f hevc",
	"big.mp4":       "-f lavfi -i testsrc2=size=320x240:rate=25:duration=1 -c:v libx264 -qp 1 -preset ultrafast -threads 1",
}

// media makes one of the recipes' files and returns its path.
func media(t testing.TB, name string) string {
	t.Helper()
	mediaMu.Lock()
	defer mediaMu.Unlock()
	return made(t, name)
}

func made(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(mediaDir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	recipe, ok := recipes[name]
	require.True(t, ok, "no recipe for %s", name)
	args := []string{"-hide_banner", "-v", "error", "-y"}
	for a := range strings.FieldsSeq(recipe) {
		if in, found := strings.CutPrefix(a, "IN("); found {
			a = made(t, strings.TrimSuffix(in, ")"))
		}
		args = append(args, a)
	}
	tmp := filepath.Join(mediaDir, "tmp-"+name)
	out, err := exec.Command("ffmpeg", append(args, tmp)...).CombinedOutput() //nolint:noctx // bounded by go test
	require.NoError(t, err, "ffmpeg (Debian package ffmpeg) makes %s: %s", name, out)
	require.NoError(t, os.Rename(tmp, path))
	return path
}

// packet is one frame, as ffprobe or we see it.
type packet struct {
	Track    int
	PTS, DTS time.Duration
	Key      bool
	Size     int
	MD5      string
}

// probed is ffprobe's view of a file, its tracks in the file's order.
func probed(t testing.TB, path string) []packet {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-show_packets", "-show_streams", "-show_data_hash", "md5", //nolint:noctx // bounded by go test
		"-of", "json", path).Output()
	require.NoError(t, err, "ffprobe (Debian package ffmpeg)")
	var r struct {
		Packets []struct {
			Index    int `json:"stream_index"`
			PTS, DTS int64
			Size     string
			Flags    string
			Hash     string `json:"data_hash"`
		}
		Streams []struct {
			Base string `json:"time_base"`
		}
	}
	require.NoError(t, json.Unmarshal(out, &r))
	all := make([]packet, 0, len(r.Packets))
	for _, p := range r.Packets {
		scale, err := strconv.ParseInt(strings.TrimPrefix(r.Streams[p.Index].Base, "1/"), 10, 64)
		require.NoError(t, err)
		size, err := strconv.Atoi(p.Size)
		require.NoError(t, err)
		all = append(all, packet{
			Track: p.Index, PTS: ticks(p.PTS, scale), DTS: ticks(p.DTS, scale),
			Key: strings.Contains(p.Flags, "K"), Size: size, MD5: strings.ToLower(strings.TrimPrefix(p.Hash, "MD5:")),
		})
	}
	return all
}

func ticks(n, scale int64) time.Duration {
	r := new(big.Rat).SetFrac64(n*int64(time.Second), scale)
	f, _ := r.Float64()
	return time.Duration(int64(f + 0.5 - float64(btoi(f < 0))))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func openURL(t testing.TB, url string, opts hal.Options) hal.Source {
	t.Helper()
	src, err := hal.NewRegistry(file.Driver{}).Open(context.Background(), url, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, src.Close()) })
	return src
}

// play reads a source to its end and gives every frame back.
func play(t testing.TB, src hal.Source) ([]packet, []hal.Frame, error) {
	t.Helper()
	var all []packet
	var frames []hal.Frame
	for {
		f, err := src.Read(t.Context())
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, frames, err
		}
		sum := md5.Sum(f.Buf.Bytes())
		all = append(all, packet{
			Track: f.Track, PTS: f.Stamp.PTS, DTS: f.Stamp.DTS, Key: f.Key, Size: f.Buf.Len(), MD5: hex.EncodeToString(sum[:]),
		})
		f.Release()
		frames = append(frames, f)
	}
}

func played(t testing.TB, name string) []packet {
	t.Helper()
	src := openURL(t, "file://"+media(t, name)+"?pace=fast", hal.Options{})
	all, _, err := play(t, src)
	require.NoError(t, err)
	require.Zero(t, file.Held(src), "frames never released")
	return all
}

// track picks one track's packets and counts time from the earliest DTS of all.
func track(all []packet, i int) []packet {
	origin := all[0].DTS
	for _, p := range all {
		origin = min(origin, p.DTS)
	}
	var some []packet
	for _, p := range all {
		if p.Track == i {
			p.PTS -= origin
			p.DTS -= origin
			some = append(some, p)
		}
	}
	return some
}

func tracks(all []packet) int {
	n := 0
	for _, p := range all {
		n = max(n, p.Track+1)
	}
	return n
}
