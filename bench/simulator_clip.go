package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/file"
	"github.com/millrace-video/millrace/hal/nal"
	"github.com/millrace-video/millrace/hal/synth"
)

// What every simulated camera sends: 25 pictures a second and AAC of 48 kHz. 8 pictures last as
// long as 15 pieces of sound, so a loop of a multiple of both joins without a break.
const (
	simRate       = 25
	simSampleRate = 48000
	simSamples    = 1024 // in a piece of sound
	simScale      = 90000
	simStep       = simScale / simRate
	soundBitrate  = 96_000
)

// ClipSpec says what the simulated cameras send.
type ClipSpec struct {
	Codec         hal.Codec // hal.H264 or hal.H265
	Width, Height int
	Bitrate       int // bits a second, pictures and sound
	GOP           int // pictures from one key frame to the next
}

// pictures is how long the loop is: 10 s or more, whole GOPs, and whole pieces of sound.
func (s ClipSpec) pictures() int {
	n := s.GOP
	for n%8 != 0 || n < 10*simRate {
		n += s.GOP
	}
	return n
}

func (s ClipSpec) sounds() int { return s.pictures() / 8 * 15 }

func (s ClipSpec) String() string {
	return fmt.Sprintf("%s-%dx%d-%dk-gop%d", s.Codec, s.Width, s.Height, s.Bitrate/1000, s.GOP)
}

// clip is a loop of access units, as hal.Frame has them; a picture begins with its number.
type clip struct {
	spec             ClipSpec
	video, audio     hal.Track
	pictures, sounds [][]byte
	keys             []bool
}

// findClip returns where the clip's file is. It is made by ffmpeg where it is not in the cache yet;
// without ffmpeg it is the URL of the synthetic camera.
func findClip(ctx context.Context, s ClipSpec) (string, error) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if s.Codec != hal.H264 {
			return "", fmt.Errorf("ffmpeg is not on PATH: only it makes the simulated cameras' %s (apt-get install ffmpeg)", s.Codec)
		}
		return fmt.Sprintf("synth://?size=%dx%d&rate=%d&gop=%d&bitrate=%d&audio=aac&pace=fast", s.Width, s.Height, simRate, s.GOP, s.Bitrate-soundBitrate), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "millrace", "bench")
	path := filepath.Join(dir, s.String()+".mp4")
	if _, err := os.Stat(path); err == nil {
		return "file://" + (&url.URL{Path: path}).EscapedPath() + "?pace=fast", nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	if err := makeClip(ctx, s, path); err != nil {
		return "", err
	}
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?pace=fast", nil
}

// makeClip has ffmpeg encode a moving test card with noise, so that its frames have the sizes of a
// camera's.
func makeClip(ctx context.Context, s ClipSpec, path string) error {
	aside, err := os.CreateTemp(filepath.Dir(path), "new-*.mp4")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(aside.Name()) }() //nolint:errcheck // it is renamed where all went well
	if err := aside.Close(); err != nil {
		return err
	}
	rate := strconv.Itoa(s.Bitrate - soundBitrate)
	gop := strconv.Itoa(s.GOP)
	sets := "scenecut=0:open-gop=0:bframes=0:keyint=" + gop + ":min-keyint=" + gop
	seconds := float64(s.pictures())/simRate + 1
	args := []string{
		"-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d:duration=%g", s.Width, s.Height, simRate, seconds),
		"-f", "lavfi", "-i", fmt.Sprintf("anoisesrc=color=pink:amplitude=0.3:seed=1:sample_rate=%d:duration=%g", simSampleRate, seconds+1),
		"-vf", "noise=alls=12:allf=t,format=yuv420p", "-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-preset", "ultrafast",
	}
	if s.Codec == hal.H265 {
		args = append(args, "-c:v", "libx265", "-tag:v", "hvc1", "-x265-params", sets+":log-level=error")
	} else {
		args = append(args, "-c:v", "libx264", "-x264-params", sets)
	}
	args = append(args, "-c:a", "aac", "-b:a", strconv.Itoa(soundBitrate), "-ac", "2", "-y", aside.Name())
	if said, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg cannot make the simulated cameras' pictures: %w: %s", err, said[:min(len(said), 500)])
	}
	return os.Rename(aside.Name(), path)
}

// loadClip reads a clip from where findClip says.
func loadClip(ctx context.Context, s ClipSpec, where string) (c *clip, err error) {
	src, err := hal.NewRegistry(file.Driver{}, synth.Driver{}).Open(ctx, where, hal.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	stream := src.Stream()
	if stream.Video() < 0 || stream.Audio() < 0 {
		return nil, fmt.Errorf("%s: pictures and sound are wanted", where)
	}
	c = &clip{spec: s, video: stream.Tracks[stream.Video()], audio: stream.Tracks[stream.Audio()]}
	for len(c.pictures) < s.pictures() || len(c.sounds) < s.sounds() {
		f, err := src.Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: ends after %d of %d pictures: %w", where, len(c.pictures), s.pictures(), err)
		}
		c.add(f)
		f.Release()
	}
	for i, key := range c.keys {
		if key != (i%s.GOP == 0) {
			return nil, fmt.Errorf("%s: picture %d: key frames are wanted every %d pictures: remove the file", where, i, s.GOP)
		}
	}
	return c, nil
}

func (c *clip) add(f hal.Frame) {
	switch video := f.Info().Codec.IsVideo(); {
	case video && len(c.pictures) < c.spec.pictures():
		c.pictures = append(c.pictures, c.numbered(f.Buf.Bytes(), f.Key))
		c.keys = append(c.keys, f.Key)
	case !video && len(c.sounds) < c.spec.sounds():
		c.sounds = append(c.sounds, bytes.Clone(f.Buf.Bytes()))
	}
}

// numbered is an access unit with its parameter sets, as cameras send them with key frames, and
// its number in front of the slices. The encoder's own messages go.
func (c *clip) numbered(unit []byte, key bool) []byte {
	var out []byte
	if key {
		for _, set := range [][]byte{c.video.VPS, c.video.SPS, c.video.PPS} {
			if len(set) > 0 {
				out = nal.Append(out, set)
			}
		}
	}
	out = nal.Append(out, numberUnit(c.video.Codec))
	walk := nal.Prefixed(unit)
	for {
		u, ok := walk.Next()
		if !ok {
			return out
		}
		if k := nal.KindOf(c.video.Codec, u[0]); !k.IsSet() && k != nal.SEI {
			out = nal.Append(out, u)
		}
	}
}

// A picture's number is a message of user data (SEI, payload type 5) that every recorder keeps:
// 16 bytes that say whose it is, and 12 digits, which no emulation prevention touches.
const (
	numberOwner  = "millrace-picture"
	numberDigits = 12
)

// numberUnit is the NAL unit with the number 0.
func numberUnit(codec hal.Codec) []byte {
	unit := append(make([]byte, 0, 64), 6)
	if codec == hal.H265 {
		unit = append(unit[:0], 39<<1, 1)
	}
	unit = append(unit, 5, byte(len(numberOwner)+numberDigits))
	unit = append(unit, numberOwner...)
	unit = append(unit, "000000000000"...)
	return append(unit, 0x80)
}

// putNumber writes a number over the digits.
func putNumber(digits []byte, n int64) {
	for i := numberDigits - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}

// numberIn finds the number in the beginning of a frame.
func numberIn(head []byte) (int64, bool) {
	i := bytes.Index(head, []byte(numberOwner))
	if i < 0 || len(head) < i+len(numberOwner)+numberDigits {
		return 0, false
	}
	i += len(numberOwner)
	n, err := strconv.ParseInt(string(head[i:i+numberDigits]), 10, 64)
	return n, err == nil
}
