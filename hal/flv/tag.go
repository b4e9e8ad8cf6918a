package flv

import (
	"encoding/binary"

	"github.com/millrace-video/millrace/hal"
)

// The kinds of tags (E.4.1).
const (
	tagAudio  = 8
	tagVideo  = 9
	tagScript = 18
)

const (
	fileHeader = 9
	tagHeader  = 11
	backLength = 4 // the size of the tag before
)

// tag is the header of one.
type tag struct {
	kind   byte
	size   int // bytes of the body
	time   uint32
	filter bool // its body is encrypted
}

// parseTag reads a tag's header. ok is false where it makes no sense.
func parseTag(p []byte) (t tag, ok bool) {
	t = tag{
		kind: p[0] & 0x1f, filter: p[0]&0x20 != 0,
		size: int(binary.BigEndian.Uint32(p) & 0xffffff),
		time: binary.BigEndian.Uint32(p[3:])&0xffffff | uint32(p[7])<<24,
	}
	known := t.kind == tagAudio || t.kind == tagVideo || t.kind == tagScript
	return t, known && p[0]&0xc0 == 0 && p[8]|p[9]|p[10] == 0
}

// use is what a tag's body is for.
type use uint8

const (
	useNothing use = iota // nothing that anybody needs
	useConfig             // a sequence header
	useFrame
	useUnknown // a codec that is not taken
	useBroken  // it makes no sense
)

// bodyHead is how a tag's body begins.
type bodyHead struct {
	use    use
	codec  hal.Codec
	name   string // of a codec that is not taken
	delay  int32  // ms from decoding to presentation
	key    bool   // as announced
	stereo bool   // G.711
}

// The kinds of packets, of Enhanced RTMP too.
const (
	packetConfig  = 0
	packetFrames  = 1
	packetEnd     = 2
	packetFramesX = 3 // Enhanced RTMP: no composition time
)

const (
	enhancedVideo = 0x80
	enhancedAudio = 9
	fourCC        = 4
)

// headLen returns how long the head of a body is, of which p is there; more than len(p) where more
// is needed to know what follows.
func headLen(kind byte, p []byte) int {
	if len(p) == 0 {
		return 1
	}
	switch {
	case kind == tagAudio && p[0]>>4 == enhancedAudio:
		return 1 + fourCC
	case kind == tagAudio && p[0]>>4 == 10:
		return 2
	case kind == tagAudio:
		return 1
	case p[0]&enhancedVideo != 0 && p[0]&0xf == packetFrames && len(p) >= 1+fourCC && timed(p):
		return 1 + fourCC + 3
	case p[0]&enhancedVideo != 0:
		return 1 + fourCC
	case p[0]&0xf == 7 || p[0]&0xf == 12:
		return 5
	}
	return 1
}

// timed says which codecs of Enhanced RTMP have a composition time.
func timed(p []byte) bool {
	name := string(p[1 : 1+fourCC])
	return name == "avc1" || name == "hvc1"
}

// parseHead reads the head of a body, as long as headLen says.
func parseHead(kind byte, p []byte) bodyHead {
	switch {
	case kind == tagAudio:
		return soundHead(p)
	case p[0]&enhancedVideo != 0:
		return enhancedHead(p)
	}
	h := bodyHead{key: p[0]>>4 == 1, use: useUnknown}
	switch p[0] & 0xf {
	case 7:
		h.codec = hal.H264
	case 12:
		h.codec = hal.H265
	default:
		h.name = videoName(p[0] & 0xf)
		return h
	}
	if p[0]>>4 == 5 { // a command
		h.use = useNothing
		return h
	}
	h.use, h.delay = packetUse(p[1]), signed24(p[2:])
	if p[1] == packetFramesX { // not of these
		h.use = useBroken
	}
	return h
}

func packetUse(kind byte) use {
	switch kind {
	case packetConfig:
		return useConfig
	case packetFrames, packetFramesX:
		return useFrame
	case packetEnd:
		return useNothing
	}
	return useBroken
}

func signed24(p []byte) int32 { return int32(uint32(p[0])<<24|uint32(p[1])<<16|uint32(p[2])<<8) >> 8 }

func enhancedHead(p []byte) bodyHead {
	h := bodyHead{key: p[0]>>4&7 == 1, use: useNothing}
	kind := p[0] & 0xf
	switch {
	case p[0]>>4&7 == 5 || kind == 4: // a command, metadata
		return h
	case kind > 4:
		h.use, h.name = useUnknown, "several tracks in one"
		return h
	}
	switch string(p[1 : 1+fourCC]) {
	case "avc1":
		h.codec = hal.H264
	case "hvc1":
		h.codec = hal.H265
	case "av01":
		h.codec = hal.AV1
	default:
		h.use, h.name = useUnknown, string(p[1:1+fourCC])
		return h
	}
	h.use = packetUse(kind)
	if len(p) > 1+fourCC {
		h.delay = signed24(p[1+fourCC:])
	}
	return h
}

func soundHead(p []byte) bodyHead {
	h := bodyHead{use: useFrame, key: true, stereo: p[0]&1 != 0}
	switch format := p[0] >> 4; format {
	case 7:
		h.codec = hal.G711A
	case 8:
		h.codec = hal.G711U
	case 10:
		h.codec, h.use = hal.AAC, packetUse(p[1])
		if p[1] > packetFrames {
			h.use = useBroken
		}
	case enhancedAudio:
		return enhancedSound(h, p)
	default:
		h.use, h.name = useUnknown, soundName(format)
	}
	return h
}

func enhancedSound(h bodyHead, p []byte) bodyHead {
	kind := p[0] & 0xf
	switch {
	case kind > 4:
		h.use, h.name = useUnknown, "several tracks in one"
	case string(p[1:1+fourCC]) != "mp4a":
		h.use, h.name = useUnknown, string(p[1:1+fourCC])
	case kind > packetEnd: // which loudspeaker is which
		h.codec, h.use = hal.AAC, useNothing
	default:
		h.codec, h.use = hal.AAC, packetUse(kind)
	}
	return h
}

func videoName(id byte) string {
	return [16]string{2: "Sorenson H.263", 3: "Screen video", 4: "VP6", 5: "VP6 with alpha", 6: "Screen video 2", 8: "H.263", 9: "MPEG-4"}[id]
}

func soundName(id byte) string {
	return [16]string{
		0: "PCM", 1: "ADPCM", 2: "MP3", 3: "PCM", 4: "Nellymoser", 5: "Nellymoser", 6: "Nellymoser", 11: "Speex", 14: "MP3",
	}[id]
}
