package flv_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack/packtest"
)

// A small muxer, because Debian's ffmpeg writes no H.265 into FLV, and nobody writes damaged ones.

func fileHeader(flags byte) []byte { return []byte{'F', 'L', 'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0} }

func tagOf(kind byte, ms uint32, body ...byte) []byte {
	b := []byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), byte(ms >> 16), byte(ms >> 8), byte(ms), byte(ms >> 24), 0, 0, 0}
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, uint32(len(b)))
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

const (
	legacy   = "legacy"   // codec 7 or 12
	enhanced = "enhanced" // FourCC, with composition times
	timeless = "timeless" // FourCC, CodedFramesX where there is no composition time
)

// muxer writes a clip as FLV, carried in one of these ways.
type muxer struct {
	way    string
	stream *hal.Stream
	flags  byte
	base   uint32 // ms, added to every time stamp
}

func (m muxer) fourCC(c hal.Codec) string {
	return map[hal.Codec]string{hal.H264: "avc1", hal.H265: "hvc1", hal.AV1: "av01", hal.AAC: "mp4a"}[c]
}

// config returns the tag with a track's sequence header.
func (m muxer) config(t hal.Track, ms uint32) []byte {
	ms += m.base
	var record []byte
	switch t.Codec {
	case hal.H264:
		record = join([]byte{1, t.SPS[1], t.SPS[2], t.SPS[3], 0xff, 0xe1}, sized(t.SPS), []byte{1}, sized(t.PPS))
	case hal.H265:
		record = join(make([]byte, 21), []byte{3, 3}, []byte{32, 0, 1}, sized(t.VPS), []byte{33, 0, 1}, sized(t.SPS), []byte{34, 0, 1}, sized(t.PPS))
		record[0] = 1
	case hal.AV1:
		record = join([]byte{0x81, 0, 0, 0}, t.SPS)
	case hal.AAC:
		if m.way == legacy {
			return tagOf(8, ms, join([]byte{0xaf, 0}, t.AudioConfig)...)
		}
		return tagOf(8, ms, join([]byte{0x90}, []byte("mp4a"), t.AudioConfig)...)
	default:
		return nil
	}
	switch {
	case m.way != legacy || t.Codec == hal.AV1:
		return tagOf(9, ms, join([]byte{0x90}, []byte(m.fourCC(t.Codec)), record)...)
	case t.Codec == hal.H264:
		return tagOf(9, ms, join([]byte{0x17, 0, 0, 0, 0}, record)...)
	default:
		return tagOf(9, ms, join([]byte{0x1c, 0, 0, 0, 0}, record)...)
	}
}

func sized(p []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...) }

// frame returns the tag with a frame.
func (m muxer) frame(u packtest.Unit) []byte {
	t := m.stream.Tracks[u.Track]
	ms := uint32(u.DTS.Round(time.Millisecond).Milliseconds())
	late := uint32(u.PTS.Round(time.Millisecond).Milliseconds()) - ms
	ms += m.base
	delay := []byte{byte(late >> 16), byte(late >> 8), byte(late)}
	kind := byte(0x20)
	if u.Key {
		kind = 0x10
	}
	var head []byte
	switch {
	case t.Codec == hal.AAC && m.way == legacy:
		return tagOf(8, ms, join([]byte{0xaf, 1}, u.Bytes)...)
	case t.Codec == hal.AAC:
		return tagOf(8, ms, join([]byte{0x91}, []byte("mp4a"), u.Bytes)...)
	case t.Codec == hal.G711A:
		return tagOf(8, ms, join([]byte{0x72}, u.Bytes)...)
	case t.Codec == hal.G711U:
		return tagOf(8, ms, join([]byte{0x82}, u.Bytes)...)
	case t.Codec == hal.AV1:
		head = join([]byte{0x80 | kind | 1}, []byte("av01"))
	case m.way == timeless && late == 0:
		head = join([]byte{0x80 | kind | 3}, []byte(m.fourCC(t.Codec)))
	case m.way != legacy:
		head = join([]byte{0x80 | kind | 1}, []byte(m.fourCC(t.Codec)), delay)
	case t.Codec == hal.H264:
		head = join([]byte{kind | 7, 1}, delay)
	default:
		head = join([]byte{kind | 12, 1}, delay)
	}
	return tagOf(9, ms, join(head, u.Bytes)...)
}

// tags returns what stands behind the file header, a tag each: the sequence headers, then the frames.
func (m muxer) tags(units []packtest.Unit) [][]byte {
	var out [][]byte
	for _, t := range m.stream.Tracks {
		if c := m.config(t, 0); c != nil {
			out = append(out, c)
		}
	}
	for _, u := range units {
		out = append(out, m.frame(u))
	}
	return out
}

// film returns a clip as FLV.
func film(t testing.TB, c *packtest.Clip, way string) []byte {
	t.Helper()
	m := muxer{way: way, stream: c.Stream}
	require.NotEmpty(t, c.Units)
	flags := byte(0)
	if c.Stream.Video() >= 0 {
		flags |= 1
	}
	if c.Stream.Audio() >= 0 {
		flags |= 4
	}
	return join(append([][]byte{fileHeader(flags)}, m.tags(c.Units)...)...)
}
