package rtsp_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/rtsp"
)

// Parameter sets of x264 at 320x180, 25 a second, reordering two pictures.
const (
	sps264 = "Z01ADOygoM/PgIgAAAMACAAAAwGQeKFMsA=="
	pps264 = "aM4PyA=="
)

func b64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}

func sdpOf(media ...string) string {
	s := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
	for i, m := range media {
		s += m + fmt.Sprintf("a=control:track%d\r\n", i)
	}
	return s
}

func sdpH264() string {
	return "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
		"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=" + sps264 + "," + pps264 + "\r\n"
}

const (
	sdpAAC = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/1\r\n" +
		"a=fmtp:97 streamtype=5; mode=AAC-hbr; config=1188; sizelength=13; indexlength=3; indexdeltalength=3\r\n"
	sdpAV1  = "m=video 0 RTP/AVP 98\r\na=rtpmap:98 AV1/90000\r\n"
	sdpH265 = "m=video 0 RTP/AVP 99\r\na=rtpmap:99 H265/90000\r\n"
	sdpJPEG = "m=video 0 RTP/AVP 26\r\n"
	sdpPCMU = "m=audio 0 RTP/AVP 0\r\n"
	sdpL16  = "m=audio 0 RTP/AVP 101\r\na=rtpmap:101 L16/48000/2\r\n"
	sdpL24  = "m=audio 0 RTP/AVP 101\r\na=rtpmap:101 L24/48000/2\r\n"
	sdpOpus = "m=audio 0 RTP/AVP 102\r\na=rtpmap:102 opus/48000/2\r\na=fmtp:102 sprop-stereo=1\r\n"
)

func desk(t testing.TB, media ...string) *rtsp.Desk {
	t.Helper()
	d, err := rtsp.NewDesk(sdpOf(media...))
	require.NoError(t, err)
	t.Cleanup(func() {
		d.Close()
		require.Zero(t, d.Arena.Stats().Held, "frames never released")
	})
	return d
}

// fill makes a NAL unit or OBU body that no other has.
func fill(n int, header ...byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + n)
	}
	copy(b, header)
	return b
}

func bytesOf(t testing.TB, p *rtp.Packet, ts uint32) []byte {
	t.Helper()
	p.Timestamp = ts
	raw, err := p.Marshal()
	require.NoError(t, err)
	return raw
}

// avc joins units as a frame has them.
func avc(units ...[]byte) []byte {
	var out []byte
	for _, u := range units {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(u))), u...)
	}
	return out
}

// seen is a frame in short.
type seen struct {
	b        []byte
	key, gap bool
	dts, pts time.Duration
}

func take(d *rtsp.Desk) []seen {
	var out []seen
	for _, f := range d.Take() {
		out = append(out, seen{append([]byte(nil), f.Buf.Bytes()...), f.Key, f.Gap, f.Stamp.DTS, f.Stamp.PTS})
		f.Release()
	}
	return out
}

// cameraH264 packs access units.
type cameraH264 struct {
	t   testing.TB
	enc rtph264.Encoder
	ts  uint32
}

func newCamera(t testing.TB) *cameraH264 {
	t.Helper()
	c := &cameraH264{t: t, enc: rtph264.Encoder{PayloadType: 96, PacketizationMode: 1, PayloadMaxSize: 1000}}
	require.NoError(t, c.enc.Init())
	return c
}

// shoot returns the packets of the next access unit.
func (c *cameraH264) shoot(units ...[]byte) [][]byte {
	c.t.Helper()
	pkts, err := c.enc.Encode(units)
	require.NoError(c.t, err)
	var out [][]byte
	for _, p := range pkts {
		out = append(out, bytesOf(c.t, p, c.ts))
	}
	c.ts += 3600
	return out
}

func put(d *rtsp.Desk, track int, packets ...[]byte) {
	for _, p := range packets {
		d.Put(track, p, 0)
	}
}

func TestAccessUnitsOfH264(t *testing.T) {
	sps, pps := b64(t, sps264), b64(t, pps264)
	aud, sei := []byte{9, 0xf0}, fill(40, 6)
	idr, delta := fill(5000, 0x65, 0x88), fill(300, 0x41, 0x9a)

	t.Run("delimiters and known parameter sets are stripped, the rest is joined", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		put(d, 0, c.shoot(aud, sps, pps, sei, idr)...)
		put(d, 0, c.shoot(aud, delta)...)
		got := take(d)
		require.Len(t, got, 2)
		require.Equal(t, avc(sei, idr), got[0].b)
		require.Equal(t, avc(delta), got[1].b)
		require.True(t, got[0].key)
		require.False(t, got[1].key)
		require.Equal(t, 40*time.Millisecond, got[1].dts)
	})
	t.Run("four slices are one picture", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		slices := [][]byte{idr, fill(2000, 0x65, 0x10), fill(2000, 0x65, 0x08), fill(100, 0x65, 0x04)}
		put(d, 0, c.shoot(slices...)...)
		got := take(d)
		require.Len(t, got, 1)
		require.Equal(t, avc(slices...), got[0].b)
	})
	t.Run("a time stamp that changes ends a picture without marker", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		for range 3 {
			for _, p := range c.shoot(idr) {
				p[1] &^= 0x80
				put(d, 0, p)
			}
		}
		require.Len(t, take(d), 2)
	})
	t.Run("a camera that marks every slice is found out", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		second := fill(100, 0x65, 0x10)
		for range 4 {
			for _, p := range c.shoot(idr, second) {
				p[1] |= 0x80
				put(d, 0, p)
			}
		}
		got := take(d)
		last := got[len(got)-1]
		require.Equal(t, avc(idr, second), last.b)
	})
	t.Run("the first frame is a key frame, what comes before is counted", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		put(d, 0, c.shoot(delta)...)
		put(d, 0, c.shoot(delta)...)
		put(d, 0, c.shoot(idr)...)
		got := take(d)
		require.Len(t, got, 1)
		require.True(t, got[0].key)
		require.Zero(t, got[0].dts)
		require.EqualValues(t, 2, d.S.SourceStats().Dropped)
	})
	t.Run("a new parameter set is a new stream, the same one is not", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		other := append([]byte(nil), sps...)
		other[3]++ // level
		put(d, 0, c.shoot(sps, pps, idr)...)
		put(d, 0, c.shoot(sps, pps, idr)...)
		put(d, 0, c.shoot(other, pps, idr)...)
		put(d, 0, c.shoot(delta)...)
		frames := d.Take()
		require.Len(t, frames, 4)
		for _, f := range frames {
			defer f.Release()
		}
		require.Same(t, frames[0].Stream, frames[1].Stream)
		require.NotSame(t, frames[1].Stream, frames[2].Stream)
		require.Same(t, frames[2].Stream, frames[3].Stream)
		require.Equal(t, other, frames[2].Info().SPS)
		require.Equal(t, avc(idr), frames[2].Buf.Bytes())
	})
	t.Run("an intra picture at a recovery point is a key frame", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		point := []byte{6, 0, 1, 0xff, 6, 1, 0xc4, 0x80} // behind a message of another kind
		intra := fill(5000, 0x41, 0x88)                  // slice type 7
		put(d, 0, c.shoot(intra)...)
		put(d, 0, c.shoot(point, delta)...) // slice type 5
		put(d, 0, c.shoot(point, intra)...)
		got := take(d)
		require.Len(t, got, 1)
		require.True(t, got[0].key)
	})
	t.Run("a picture at a recovery point that is intra in part is none", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		point := []byte{6, 6, 1, 0xc4, 0x80}
		intra, inter := fill(2000, 0x41, 0x88), fill(2000, 0x41, 0x46) // slice types 7 and 5
		put(d, 0, c.shoot(point, intra, inter)...)
		put(d, 0, c.shoot(point, intra)...)
		put(d, 0, c.shoot(delta)...)
		got := take(d)
		require.Len(t, got, 2)
		require.Equal(t, avc(point, intra), got[0].b)
	})
	t.Run("filler behind the marker ends no picture twice", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		for range 3 {
			first := c.shoot(idr)
			c.ts -= 3600
			put(d, 0, append(first, c.shoot(fill(50, 12))...)...)
		}
		got := take(d)
		require.Len(t, got, 3)
		require.Zero(t, d.S.SourceStats().Malformed)
	})
	t.Run("an encoder that counts its parameter sets anew is followed", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		next := b64(t, "Z01ADFsoKDPz4CIAAAMAAgAAAwBkHihTLA==") // as before, with number 1
		pps1 := []byte{0x68, 0xa7, 0x81, 0x72}                 // number 0, for that
		put(d, 0, c.shoot(sps, pps, idr)...)
		put(d, 0, c.shoot(next, pps1, idr)...)
		put(d, 0, c.shoot(next, pps1, idr)...)
		frames := d.Take()
		require.Len(t, frames, 3)
		for _, f := range frames {
			defer f.Release()
		}
		require.Equal(t, next, frames[1].Info().SPS)
		require.Equal(t, pps1, frames[1].Info().PPS)
		require.Same(t, frames[1].Stream, frames[2].Stream)
		require.Equal(t, avc(idr), frames[2].Buf.Bytes())
	})
	t.Run("a second picture parameter set stays in the frame", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		second := []byte{0x68, 0x5b, 0x81, 0x72} // number 1
		put(d, 0, c.shoot(sps, pps, second, idr)...)
		got := take(d)
		require.Len(t, got, 1)
		require.Equal(t, avc(second, idr), got[0].b)
	})
}

func TestLoss(t *testing.T) {
	idr, delta := fill(5000, 0x65, 0x88), fill(3000, 0x41, 0x9a)
	for _, tc := range []struct {
		name   string
		lose   func(packets [][]byte) [][]byte // of the second of four pictures
		frames int
		gap    int // which frame says so
		lost   uint64
	}{
		{"the first packet", func(p [][]byte) [][]byte { return p[1:] }, 3, 1, 1},
		{"one in the middle", func(p [][]byte) [][]byte { return append(p[:1:1], p[2:]...) }, 3, 1, 1},
		{"the last packet", func(p [][]byte) [][]byte { return p[:len(p)-1] }, 3, 1, 1},
		{"the whole picture", func([][]byte) [][]byte { return nil }, 3, 1, 4},
		{"a copy that comes late", func(p [][]byte) [][]byte { return append(p, p[0]) }, 4, -1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, c := desk(t, sdpH264()), newCamera(t)
			put(d, 0, c.shoot(idr)...)
			put(d, 0, tc.lose(c.shoot(delta))...)
			put(d, 0, c.shoot(delta)...)
			put(d, 0, c.shoot(delta)...)
			got := take(d)
			require.Len(t, got, tc.frames)
			for i, f := range got {
				require.Equal(t, i == tc.gap, f.gap, "frame %d", i)
				if i > 0 {
					require.Equal(t, avc(delta), f.b)
				}
			}
			st := d.S.SourceStats()
			require.Equal(t, tc.lost, st.Lost)
			require.Zero(t, st.Malformed)
		})
	}
	t.Run("a picture that starts after the loss of another's end is whole", func(t *testing.T) {
		d, c := desk(t, sdpH264()), newCamera(t)
		put(d, 0, c.shoot(idr)...)
		p := c.shoot(delta)
		put(d, 0, p[:1]...)
		put(d, 0, c.shoot(delta)...)
		got := take(d)
		require.Len(t, got, 2)
		require.True(t, got[1].gap)
	})
}

func TestH265(t *testing.T) {
	// x265, 320x180; the parameter sets come in-band only.
	vps := b64(t, "QAEMAf//AWAAAAMAkAAAAwAAAwA8lZAJ")
	sps := b64(t, "QgEBAWAAAAMAkAAAAwAAAwA8oAoIDB8+WVkSkwvAWgIAAAMAAgAAAwAyEA==")
	pps := b64(t, "RAHAc8GJ")
	d := desk(t, sdpH265)
	enc := rtph265.Encoder{PayloadType: 99, PayloadMaxSize: 1000}
	require.NoError(t, enc.Init())
	idr := fill(5000, 0x26, 0x01, 0xaf)
	shoot := func(ts uint32, units ...[]byte) {
		pkts, err := enc.Encode(units)
		require.NoError(t, err)
		for _, p := range pkts {
			d.Put(0, bytesOf(t, p, ts), 0)
		}
	}
	shoot(0, idr) // nobody can decode it yet
	shoot(3600, vps, sps, pps, idr)
	shoot(7200, fill(100, 0x02, 0x01, 0xd0))
	frames := d.Take()
	require.Len(t, frames, 2)
	for _, f := range frames {
		defer f.Release()
	}
	require.Equal(t, avc(idr), frames[0].Buf.Bytes())
	require.True(t, frames[0].Key)
	require.Equal(t, []int{320, 180}, []int{frames[0].Info().Width, frames[0].Info().Height})
	require.Equal(t, sps, frames[0].Info().SPS)
}

func TestAV1(t *testing.T) {
	seq := []byte{0x08, 0x00, 0x00, 0x00, 0x42, 0xa7, 0xbf, 0xe4, 0x60, 0x0d, 0x00, 0x40} // libaom, 1920x804
	frame := fill(3000, 0x30)
	d := desk(t, sdpAV1)
	enc := rtpav1.Encoder{PayloadType: 98, PayloadMaxSize: 1000}
	require.NoError(t, enc.Init())
	pkts, err := enc.Encode([][]byte{seq, frame})
	require.NoError(t, err)
	require.Greater(t, len(pkts), 2)
	for _, p := range pkts {
		d.Put(0, bytesOf(t, p, 0), 0)
	}
	frames := d.Take()
	require.Len(t, frames, 1)
	defer frames[0].Release()
	require.True(t, frames[0].Key)
	want := append([]byte{seq[0] | 2}, sized(len(seq)-1)...)
	want = append(append(want, seq[1:]...), frame[0]|2)
	want = append(append(want, sized(len(frame)-1)...), frame[1:]...)
	require.Equal(t, want, frames[0].Buf.Bytes())
	require.Equal(t, 1920, frames[0].Info().Width)
}

// sized is a LEB128 number in four bytes.
func sized(n int) []byte {
	return []byte{byte(n)&0x7f | 0x80, byte(n>>7)&0x7f | 0x80, byte(n>>14)&0x7f | 0x80, byte(n >> 21)}
}

func TestAAC(t *testing.T) {
	d := desk(t, sdpAAC)
	enc := rtpmpeg4audio.Encoder{PayloadType: 97, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, PayloadMaxSize: 1000}
	require.NoError(t, enc.Init())
	units := [][]byte{fill(100), fill(200), fill(300), fill(2500)} // three in a packet, one in three
	pkts, err := enc.Encode(units)
	require.NoError(t, err)
	base := uint32(0)
	for _, p := range pkts {
		d.Put(0, bytesOf(t, p, p.Timestamp+base), 0)
	}
	got := take(d)
	require.Equal(t, len(units), len(got)) //nolint:testifylint // Len prints it all
	for i, f := range got {
		require.Equal(t, units[i], f.b)
		require.InDelta(t, float64(i)*1024/48, float64(f.dts)/1e6, 0.01)
	}
}

func TestPlainSound(t *testing.T) {
	for _, tc := range []struct {
		name, sdp string
		want      hal.Track
		in, out   int
	}{
		{"µ-law", sdpPCMU, hal.Track{Codec: hal.G711U, SampleRate: 8000, Channels: 1}, 160, 160},
		{"L16 keeps whole samples", sdpL16, hal.Track{Codec: hal.LPCM, SampleRate: 48000, Channels: 2, BitDepth: 16}, 962, 960},
		{"L24", sdpL24, hal.Track{Codec: hal.LPCM, SampleRate: 48000, Channels: 2, BitDepth: 24}, 960, 960},
		{"Opus", sdpOpus, hal.Track{Codec: hal.Opus, SampleRate: 48000, Channels: 2}, 77, 77},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := desk(t, tc.sdp)
			tc.want.TimeScale = uint32(tc.want.SampleRate)
			require.Equal(t, tc.want, d.S.Stream().Tracks[0])
			pt := map[hal.Codec]uint8{hal.G711U: 0, hal.LPCM: 101, hal.Opus: 102}[tc.want.Codec]
			p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: pt}, Payload: fill(tc.in)}
			d.Put(0, bytesOf(t, p, 0), 0)
			got := take(d)
			require.Len(t, got, 1)
			require.Equal(t, fill(tc.in)[:tc.out], got[0].b)
		})
	}
}

func TestLATM(t *testing.T) {
	conf := &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{
		Layers: []*mpeg4audio.StreamMuxConfigLayer{{
			AudioSpecificConfig: &mpeg4audio.AudioSpecificConfig{
				Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 1, ChannelCount: 1, //nolint:staticcheck // both are asked for
			},
			LatmBufferFullness: 255,
		}},
	}}}
	rawConf, err := conf.Marshal()
	require.NoError(t, err)
	d := desk(t, fmt.Sprintf("m=audio 0 RTP/AVP 96\r\na=rtpmap:96 MP4A-LATM/48000/1\r\na=fmtp:96 profile-level-id=1; cpresent=0; config=%x\r\n", rawConf))
	require.Equal(t, hal.AAC, d.S.Stream().Tracks[0].Codec)
	require.Equal(t, []byte{0x11, 0x88}, d.S.Stream().Tracks[0].AudioConfig)
	unit := fill(300)
	raw, err := mpeg4audio.AudioMuxElement{StreamMuxConfig: conf, Payloads: [][][][]byte{{{unit}}}}.Marshal()
	require.NoError(t, err)
	for i, piece := range [][]byte{raw[:100], raw[100:]} {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(i), Marker: i == 1}, Payload: piece}
		d.Put(0, bytesOf(t, p, 0), 0)
	}
	got := take(d)
	require.Len(t, got, 1)
	require.Equal(t, unit, got[0].b)
}
