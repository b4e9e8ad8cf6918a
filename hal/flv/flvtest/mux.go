// Package flvtest writes FLV for tests: H.265 in ways that Debian's ffmpeg does not know, and what
// nobody writes.
package flvtest

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// Header returns the header of a file that announces pictures (1) and sound (4).
func Header(flags byte) []byte { return []byte{'F', 'L', 'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0} }

// The kinds of tags.
const (
	Audio  = 8
	Video  = 9
	Script = 18
)

// Tag returns a tag and its size behind it.
func Tag(kind byte, ms uint32, body ...byte) []byte {
	head := []byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), byte(ms >> 16), byte(ms >> 8), byte(ms), byte(ms >> 24), 0, 0, 0}
	size := binary.BigEndian.AppendUint32(nil, uint32(len(head)+len(body)))
	return slices.Concat(head, body, size)
}

// The ways in which a codec is carried.
const (
	Legacy   = "legacy"   // codec 7 or 12
	Enhanced = "enhanced" // FourCC, with composition times
	Timeless = "timeless" // FourCC, CodedFramesX where there is no composition time
)

// Muxer writes frames as FLV.
type Muxer struct {
	Way    string
	Stream *hal.Stream
	Base   uint32 // ms, added to every time stamp
}

func fourCC(c hal.Codec) []byte {
	return []byte(map[hal.Codec]string{hal.H264: "avc1", hal.H265: "hvc1", hal.AV1: "av01", hal.AAC: "mp4a"}[c])
}

// Config returns the tag with a track's sequence header, nil where it has none.
func (m Muxer) Config(t hal.Track) []byte {
	ms := m.Base
	var record []byte
	switch t.Codec { //nolint:exhaustive // the others have none
	case hal.H264:
		record = slices.Concat([]byte{1, t.SPS[1], t.SPS[2], t.SPS[3], 0xff, 0xe1}, sized(t.SPS), []byte{1}, sized(t.PPS))
	case hal.H265:
		record = slices.Concat(make([]byte, 21), []byte{3, 3}, []byte{32, 0, 1}, sized(t.VPS), []byte{33, 0, 1}, sized(t.SPS), []byte{34, 0, 1}, sized(t.PPS))
		record[0] = 1
	case hal.AV1:
		record = slices.Concat([]byte{0x81, 0, 0, 0}, t.SPS)
	case hal.AAC:
		if m.Way == Legacy {
			return Tag(Audio, ms, slices.Concat([]byte{0xaf, 0}, t.AudioConfig)...)
		}
		return Tag(Audio, ms, slices.Concat([]byte{0x90}, []byte("mp4a"), t.AudioConfig)...)
	default:
		return nil
	}
	switch {
	case m.Way != Legacy || t.Codec == hal.AV1:
		return Tag(Video, ms, slices.Concat([]byte{0x90}, fourCC(t.Codec), record)...)
	case t.Codec == hal.H264:
		return Tag(Video, ms, slices.Concat([]byte{0x17, 0, 0, 0, 0}, record)...)
	default:
		return Tag(Video, ms, slices.Concat([]byte{0x1c, 0, 0, 0, 0}, record)...)
	}
}

func sized(p []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...) }

// Frame returns the tag with a frame of a track.
func (m Muxer) Frame(track int, dts, pts time.Duration, key bool, unit []byte) []byte {
	t := m.Stream.Tracks[track]
	ms := uint32(dts.Round(time.Millisecond).Milliseconds())
	late := uint32(pts.Round(time.Millisecond).Milliseconds()) - ms
	ms += m.Base
	delay := []byte{byte(late >> 16), byte(late >> 8), byte(late)}
	kind := byte(0x20)
	if key {
		kind = 0x10
	}
	switch {
	case t.Codec == hal.AAC && m.Way == Legacy:
		return Tag(Audio, ms, slices.Concat([]byte{0xaf, 1}, unit)...)
	case t.Codec == hal.AAC:
		return Tag(Audio, ms, slices.Concat([]byte{0x91}, []byte("mp4a"), unit)...)
	case t.Codec == hal.G711A:
		return Tag(Audio, ms, slices.Concat([]byte{0x72}, unit)...)
	case t.Codec == hal.G711U:
		return Tag(Audio, ms, slices.Concat([]byte{0x82}, unit)...)
	}
	var head []byte
	switch {
	case t.Codec == hal.AV1:
		head = slices.Concat([]byte{0x80 | kind | 1}, []byte("av01"))
	case m.Way == Timeless && late == 0:
		head = slices.Concat([]byte{0x80 | kind | 3}, fourCC(t.Codec))
	case m.Way != Legacy:
		head = slices.Concat([]byte{0x80 | kind | 1}, fourCC(t.Codec), delay)
	case t.Codec == hal.H264:
		head = slices.Concat([]byte{kind | 7, 1}, delay)
	default:
		head = slices.Concat([]byte{kind | 12, 1}, delay)
	}
	return Tag(Video, ms, slices.Concat(head, unit)...)
}
