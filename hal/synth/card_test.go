package synth_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
)

func paint(t *testing.T, c synth.Card, p hal.PixelFormat, frame int) []byte {
	t.Helper()
	layout, err := hal.PackedLayout(p, c.Width, c.Height)
	require.NoError(t, err)
	b := make([]byte, layout.Size)
	require.NoError(t, c.Paint(b, layout, frame))
	return b
}

func TestEveryPixelFormatShowsTheSameCard(t *testing.T) {
	c := synth.Card{Width: 322, Height: 242, Rate: synth.Rate{Num: 25, Den: 1}, Seed: 5}
	want := paint(t, c, hal.I420, 77)
	for _, p := range []hal.PixelFormat{hal.NV12, hal.NV21, hal.YUYV, hal.UYVY} {
		name := map[hal.PixelFormat]string{hal.YUYV: "yuyv422", hal.UYVY: "uyvy422"}[p]
		if name == "" {
			name = p.String()
		}
		got := ffmpeg(t, paint(t, c, p, 77), "-f", "rawvideo", "-pix_fmt", name, "-s", "322x242", "-i", "IN",
			"-sws_flags", "neighbor+accurate_rnd", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-")
		require.Equal(t, want[:322*242], got[:322*242], "luma of %v", p)
		require.True(t, bytes.Equal(want, got), "chroma of %v", p)
	}
}

func TestCardsOfOtherSeedsDiffer(t *testing.T) {
	a := synth.Card{Width: 320, Height: 240, Rate: synth.Rate{Num: 25, Den: 1}, Seed: 1}
	b, again := a, a
	b.Seed = 2
	require.NotEqual(t, paint(t, a, hal.I420, 0), paint(t, b, hal.I420, 0))
	require.Equal(t, paint(t, a, hal.I420, 9), paint(t, again, hal.I420, 9))
}

func TestTheClockShowsThePicturesTime(t *testing.T) {
	c := synth.Card{Width: 640, Height: 360, Rate: synth.Rate{Num: 25, Den: 1}}
	require.Equal(t, "00:00:00:00", c.Clock(0))
	require.Equal(t, "00:01:01:03", c.Clock(61*25+3))
	require.Equal(t, "11:00:00:24", c.Clock(11*3600*25+24))
}

func TestFlashesBeginAtWholeSeconds(t *testing.T) {
	for _, s := range []string{"25", "29.97", "10", "60"} {
		rate, err := synth.ParseRate(s)
		require.NoError(t, err)
		c := synth.Card{Width: 176, Height: 144, Rate: rate}
		for sec := 1; sec < 30; sec++ {
			first := rate.Frame(time.Duration(sec) * time.Second)
			require.True(t, c.Flash(first), "%s: frame %d", s, first)
			require.False(t, c.Flash(first-1), "%s: frame %d", s, first-1)
			for _, frame := range []int{first, first - 1} {
				pic := paint(t, c, hal.I420, frame)
				flash, ok := synth.ReadFlash(pic, 176, 176, 144)
				require.True(t, ok)
				require.Equal(t, c.Flash(frame), flash)
			}
		}
	}
}

func TestTheNumberSurvivesLossAndScaling(t *testing.T) { // H7
	const n = 12
	for _, tc := range []struct{ name, from, scale, codec string }{
		{"x264 at 60 kbit/s", "640x360", "640:360", "-c:v libx264 -preset ultrafast -b:v 60k"},
		{"MPEG-4, coarse", "640x360", "640:360", "-c:v mpeg4 -q:v 31"},
		{"JPEG, coarse", "322x242", "322:242", "-c:v mjpeg -q:v 31"},
		{"a quarter of 1080p", "1920x1080", "480:270", "-c:v libx264 -preset ultrafast -crf 35"},
		{"a sixth of 1080p", "1920x1080", "320:180", "-c:v mpeg4 -q:v 4"},
		{"enlarged", "320x240", "800:600", "-c:v mpeg4 -q:v 8"},
		{"another shape", "640x360", "320:240", "-c:v mpeg4 -q:v 8"},
		{"another shape, odd factors", "960x540", "720:576", "-c:v mpeg4 -q:v 8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			src := open(t, fmt.Sprintf("synth://?size=%s&frames=%d&audio=none&pace=fast", tc.from, n), hal.Options{})
			args := []string{"-f", "h264", "-i", "IN", "-vf", "scale=" + tc.scale, "-fps_mode", "passthrough"}
			args = append(append(args, strings.Fields(tc.codec)...), "-f", "nut", "-")
			coded := ffmpeg(t, annexB(t, src), args...)
			var w, h int
			_, err := fmt.Sscanf(tc.scale, "%d:%d", &w, &h)
			require.NoError(t, err)
			pics := ffmpeg(t, coded, "-i", "IN", "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-")
			require.Len(t, pics, n*w*h)
			card := synth.Card{Rate: synth.Rate{Num: 25, Den: 1}}
			for i := range n {
				pic := pics[i*w*h:][:w*h]
				got, ok := synth.ReadNumber(pic, w, w, h)
				require.True(t, ok, "no number in picture %d", i)
				require.EqualValues(t, i, got)
				flash, ok := synth.ReadFlash(pic, w, w, h)
				require.True(t, ok)
				require.Equal(t, card.Flash(i), flash, "flash in picture %d", i)
			}
		})
	}
}

func FuzzReadNumber(f *testing.F) {
	c := synth.Card{Width: 160, Height: 112, Rate: synth.Rate{Num: 25, Den: 1}}
	layout, err := hal.PackedLayout(hal.I420, 160, 112)
	require.NoError(f, err)
	b := make([]byte, layout.Size)
	require.NoError(f, c.Paint(b, layout, 12345))
	f.Add(b[:160*112], 160, 160, 112)
	f.Add(b[:160*112], 161, 160, 112)
	f.Add(b[:64*45], 64, 64, 45)
	f.Add([]byte{}, -1, 1<<30, -5)
	f.Fuzz(func(_ *testing.T, luma []byte, stride, w, h int) {
		synth.ReadNumber(luma, stride, w, h)
		synth.ReadFlash(luma, stride, w, h)
	})
}

// beeps returns when the beeps in 16 bit little-endian mono sound begin and end.
func beeps(pcm []byte, rate int) (begin, end []time.Duration) {
	const window = 48 // samples; a period of the beep at 48 kHz
	sounding := false
	for i := 0; i+2*window <= len(pcm); i += 2 * window {
		peak := 0.0
		for j := i; j < i+2*window; j += 2 {
			peak = max(peak, math.Abs(float64(int16(binary.LittleEndian.Uint16(pcm[j:])))))
		}
		at := time.Duration(i/2) * time.Second / time.Duration(rate)
		if on := peak > 6000; on != sounding {
			sounding = on
			if on {
				begin = append(begin, at)
			} else {
				end = append(end, at)
			}
		}
	}
	return begin, end
}

func TestBeepsBeginAtWholeSeconds(t *testing.T) { // H7: sound and picture within 40 ms
	const seconds = 18
	for codec, args := range map[string][]string{
		"aac":  {"-f", "aac"},
		"lpcm": {"-f", "s16be", "-ar", "48000"},
		"pcma": {"-f", "alaw", "-ar", "8000"},
		"pcmu": {"-f", "mulaw", "-ar", "8000"},
	} {
		t.Run(codec, func(t *testing.T) {
			src := open(t, fmt.Sprintf("synth://?audio=%s&pace=fast&frames=%d", codec, 25*seconds), hal.Options{})
			var file []byte
			var next time.Duration
			readAll(t, src, func(f hal.Frame) {
				if f.Track != 1 {
					return
				}
				require.Equal(t, next.Round(time.Microsecond), f.Stamp.PTS.Round(time.Microsecond), "pieces follow each other")
				b := f.Buf.Bytes()
				samples := map[string]int{"aac": 1024, "lpcm": len(b) / 2, "pcma": len(b), "pcmu": len(b)}[codec]
				next = f.Stamp.PTS + time.Duration(samples)*time.Second/time.Duration(f.Info().SampleRate)
				if codec == "aac" { // ADTS: AAC-LC, 48 kHz, mono
					n := len(b) + 7
					file = append(file, 0xFF, 0xF1, 0x4C, 0x40|byte(n>>11), byte(n>>3), byte(n<<5)|0x1F, 0xFC)
				}
				file = append(file, b...)
			})
			require.InDelta(t, seconds*time.Second, next, float64(25*time.Millisecond))
			pcm := ffmpeg(t, file, append(args, "-i", "IN", "-f", "s16le", "-ar", "48000", "-ac", "1", "-")...)
			begin, end := beeps(pcm[:seconds*2*48000], 48000) // the last AAC unit reaches into the next second
			require.Len(t, begin, seconds)
			for i := range begin {
				want := time.Duration(i) * time.Second
				slack := 3 * time.Millisecond
				if i == 0 && codec == "aac" {
					slack = 22 * time.Millisecond // the first unit has none before it to overlap with
				}
				require.InDelta(t, want, begin[i], float64(slack), "beep %d", i)
				require.InDelta(t, want+synth.BeepLength, end[i], float64(12*time.Millisecond), "end of beep %d", i)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, query := range []string{"audio=none", "audio=none&bitrate=4M", "audio=none&size=1920x1080", "audio=none&codec=raw"} {
		b.Run(query, func(b *testing.B) {
			src := open(b, "synth://?pace=fast&"+query, hal.Options{})
			b.ReportAllocs()
			for b.Loop() {
				f, err := src.Read(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				f.Release()
			}
		})
	}
}
