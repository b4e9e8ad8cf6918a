package rtsp_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmjpeg"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	pion "github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/send/rtsp"
)

// decoder gives a frame's content once its packets are in: what it was made of, joined.
type decoder func(*pion.Packet) ([]byte, error)

var errMore = errors.New("more packets are to come")

// joined makes a decoder of one that gives pieces.
func joined[T []byte | [][]byte](decode func(*pion.Packet) (T, error)) decoder {
	return func(p *pion.Packet) ([]byte, error) {
		got, err := decode(p)
		for _, more := range []error{
			rtph264.ErrMorePacketsNeeded, rtph265.ErrMorePacketsNeeded, rtpav1.ErrMorePacketsNeeded,
			rtpmjpeg.ErrMorePacketsNeeded, rtpmpeg4audio.ErrMorePacketsNeeded,
		} {
			if errors.Is(err, more) {
				return nil, errMore
			}
		}
		switch got := any(got).(type) {
		case []byte:
			return got, err
		case [][]byte:
			return bytes.Join(got, []byte("|")), err
		}
		return nil, err
	}
}

// decoderOf makes the decoder that a description asks for.
func decoderOf(t *testing.T, f format.Format) decoder {
	t.Helper()
	var d decoder
	var err error
	switch f := f.(type) {
	case *format.H264:
		var x *rtph264.Decoder
		x, err = f.CreateDecoder()
		d = joined(x.Decode)
	case *format.H265:
		var x *rtph265.Decoder
		x, err = f.CreateDecoder()
		d = joined(x.Decode)
	case *format.AV1:
		var x *rtpav1.Decoder
		x, err = f.CreateDecoder()
		d = joined(x.Decode)
	case *format.MJPEG:
		var x *rtpmjpeg.Decoder
		x, err = f.CreateDecoder()
		d = joined(x.Decode)
	case *format.MPEG4Audio:
		var x *rtpmpeg4audio.Decoder
		x, err = f.CreateDecoder()
		d = joined(x.Decode)
	case *format.Opus:
		x, e := f.CreateDecoder()
		d, err = joined(x.Decode), e
	case *format.G711:
		x, e := f.CreateDecoder()
		d, err = joined(x.Decode), e
	case *format.LPCM:
		x, e := f.CreateDecoder()
		d, err = joined(x.Decode), e
	default:
		t.Fatalf("no decoder for %T", f)
	}
	require.NoError(t, err)
	return d
}

// photo is a JPEG file of noise, which is large.
func photo(w, h, quality int) []byte {
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	noise := rand.New(rand.NewPCG(1, 2))
	for _, plane := range [][]byte{img.Y, img.Cb, img.Cr} {
		for i := range plane {
			plane[i] = byte(noise.Uint32())
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
	return b.Bytes()
}

func obu(kind byte, size int) []byte {
	out := []byte{kind<<3 | 2}
	for n := size; ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|0x80)
	}
	return append(out, filled(size)...)
}

// bare is an OBU without its size.
func bare(kind byte, size int) []byte { return append([]byte{kind << 3}, filled(size)...) }

func join(units ...[]byte) []byte { return bytes.Join(units, []byte("|")) }

func TestEveryCodecArrivesAsItWas(t *testing.T) {
	sps, pps := []byte{0x67, 0x42, 0xC0, 0x0A, 0xDA, 0x0F, 0x0A, 0x69, 0xA8, 0x08, 0x08, 0x0A}, []byte{0x68, 0xCE, 0x3C, 0x80}
	vps5, sps5, pps5 := filled(24, 0x40, 1), filled(40, 0x42, 1), filled(8, 0x44, 1)
	sequence := obu(1, 11)
	for _, tc := range []struct {
		name   string
		track  hal.Track
		frames [][]byte
		want   [][]byte
	}{
		{
			"h264",
			hal.Track{Codec: hal.H264, SPS: sps, PPS: pps},
			[][]byte{
				nals(filled(20, 6), filled(50000, 0x65)), nals(filled(1, 0x41, 1), filled(9, 0x41)),
				nals(filled(1428, 0x41)), nals(filled(1429, 0x41)), nals(filled(900, 0x41), filled(900, 0x41), filled(300, 0x41)),
			},
			[][]byte{
				join(sps, pps, filled(20, 6), filled(50000, 0x65)), join(filled(9, 0x41)),
				filled(1428, 0x41), filled(1429, 0x41), join(filled(900, 0x41), filled(900, 0x41), filled(300, 0x41)),
			},
		},
		{
			"h265",
			hal.Track{Codec: hal.H265, VPS: vps5, SPS: sps5, PPS: pps5},
			[][]byte{nals(filled(30000, 38, 1)), nals(filled(30, 2, 1)), nals(filled(1500, 2, 2), filled(300, 2, 2))},
			[][]byte{join(vps5, sps5, pps5, filled(30000, 38, 1)), filled(30, 2, 1), join(filled(1500, 2, 2), filled(300, 2, 2))},
		},
		{
			"av1",
			hal.Track{Codec: hal.AV1, SPS: sequence},
			[][]byte{
				append(bytes.Clone(sequence), obu(6, 40000)...), obu(6, 1424), obu(6, 1425), obu(6, 1426),
				slices.Concat(obu(3, 100), obu(4, 1320), obu(4, 5)), slices.Concat(obu(3, 1), obu(4, 1), obu(5, 1), obu(4, 1)),
			},
			[][]byte{
				join(bare(1, 11), bare(6, 40000)), bare(6, 1424), bare(6, 1425), bare(6, 1426),
				join(bare(3, 100), bare(4, 1320), bare(4, 5)), join(bare(3, 1), bare(4, 1), bare(5, 1), bare(4, 1)),
			},
		},
		{
			"aac",
			hal.Track{Codec: hal.AAC, SampleRate: 48000, Channels: 1, AudioConfig: []byte{0x11, 0x88}},
			[][]byte{filled(300), filled(1424), filled(1)},
			nil,
		},
		{"opus", hal.Track{Codec: hal.Opus, SampleRate: 48000, Channels: 2}, [][]byte{filled(300), filled(1)}, nil},
		{"pcma", hal.Track{Codec: hal.G711A, SampleRate: 8000, Channels: 1}, [][]byte{filled(160), filled(80)}, nil},
		{"pcmu", hal.Track{Codec: hal.G711U, SampleRate: 16000, Channels: 2}, [][]byte{filled(160)}, nil},
		{"lpcm", hal.Track{Codec: hal.LPCM, SampleRate: 48000, Channels: 2, BitDepth: 16}, [][]byte{filled(960), filled(4)}, nil},
		{"lpcm 24", hal.Track{Codec: hal.LPCM, SampleRate: 48000, Channels: 1, BitDepth: 24}, [][]byte{filled(1200)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.want == nil {
				tc.want = tc.frames
			}
			checkCodec(t, tc.track, tc.frames, func(i int, got []byte) bool { return bytes.Equal(tc.want[i], got) })
		})
	}
}

func TestJPEGArrivesAsItWas(t *testing.T) {
	t.Parallel()
	files := [][]byte{photo(640, 480, 90), photo(16, 16, 50), photo(1280, 720, 30)}
	checkCodec(t, hal.Track{Codec: hal.MJPEG, Width: 640, Height: 480}, files, func(i int, got []byte) bool {
		want, have := decodeJPEG(t, files[i]), decodeJPEG(t, got)
		return want.Bounds() == have.Bounds() && bytes.Equal(want.Y, have.Y) && bytes.Equal(want.Cb, have.Cb) && bytes.Equal(want.Cr, have.Cr)
	})
}

func decodeJPEG(t *testing.T, file []byte) *image.YCbCr {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(file))
	require.NoError(t, err)
	pic, ok := img.(*image.YCbCr)
	require.True(t, ok)
	return pic
}

// checkCodec sends frames of one track through the server, over and over, and compares what a
// player gets out of the packets.
func checkCodec(t *testing.T, track hal.Track, frames [][]byte, same func(i int, got []byte) bool) {
	t.Helper()
	r := newRig(t, rtsp.Config{ReaderBytes: 256 << 20}) // nothing is skipped, however slow this machine is
	s, _ := r.scripted("gate", track)
	s.repeat(func(n int) (int, time.Duration, bool, []byte) {
		i := n % len(frames)
		return 0, time.Duration(n) * 40 * time.Millisecond, i == 0 || !track.Codec.IsInter(), frames[i]
	})
	p := dial(t, r.server.Addr().String())
	a := p.ask("DESCRIBE", r.url("gate"))
	require.Equal(t, 200, a.status, a.reason)
	if track.Codec == hal.H265 { // these parameter sets are none
		a.body = regexp.MustCompile(`a=fmtp:.*\n`).ReplaceAllString(a.body, "")
	}
	sdp, err := sdpunmarshaler.Unmarshal([]byte(a.body))
	require.NoError(t, err, a.body)
	var desc description.Session
	require.NoError(t, desc.Unmarshal2(sdp), a.body)
	require.Len(t, desc.Medias, 1)
	f := desc.Medias[0].Formats[0]
	decode := decoderOf(t, f)
	// Channels of its own choice: 6 and 7.
	require.Equal(t, 200, p.ask("SETUP", r.url("gate/trackID=0"), "Transport: RTP/AVP/TCP;unicast;interleaved=6-7").status)
	a = p.ask("PLAY", r.url("gate"))
	require.Equal(t, 200, a.status)
	require.Contains(t, a.header.Get("RTP-Info"), "rtptime=")
	var base uint32
	first := -1
	for n := range 3 * len(frames) {
		got, ts := p.unit(decode, f)
		if first < 0 { // what needs no key frame begins anywhere
			first, base = 0, ts
			for !track.Codec.IsInter() && first < len(frames)-1 && !same(first, got) {
				first++
			}
		}
		require.True(t, same((first+n)%len(frames), got), "frame %d", n)
		require.InDelta(t, n*f.ClockRate()/25, ts-base, 1, "time stamp")
	}
}

// unit reads packets until a frame is whole.
func (p *player) unit(decode decoder, f format.Format) (content []byte, ts uint32) {
	p.t.Helper()
	for {
		ch, b := p.packet()
		if ch == 7 {
			continue
		}
		require.Equal(p.t, 6, ch)
		require.LessOrEqual(p.t, len(b), 1440)
		var k pion.Packet
		require.NoError(p.t, k.Unmarshal(b))
		require.Equal(p.t, f.PayloadType(), k.PayloadType)
		got, err := decode(&k)
		if errors.Is(err, errMore) {
			continue
		}
		require.NoError(p.t, err, fmt.Sprint("packet ", k))
		return got, k.Timestamp
	}
}
